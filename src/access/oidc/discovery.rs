//! The provider's configuration (OpenID Connect Discovery 1.0).

use reqwest::Url;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::fetch::{Fetch, FetchError, is_safe};

/// What is used of the configuration.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    #[serde(deserialize_with = "address")]
    pub jwks_uri: Url,
    #[serde(default, deserialize_with = "optional_address")]
    pub authorization_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "optional_address")]
    pub token_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "optional_address")]
    pub userinfo_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

impl Metadata {
    /// Where the configuration of an issuer is.
    pub fn address(issuer: &Url) -> Url {
        let mut address = issuer.clone();
        let path = issuer.path().trim_end_matches('/');
        address.set_path(&format!("{path}/.well-known/openid-configuration"));
        address.set_query(None);
        address.set_fragment(None);
        address
    }

    pub async fn read(fetch: &Fetch, issuer: &str, address: &Url) -> Result<Self, FetchError> {
        let read: Self = fetch.get(address, None).await?;
        // Otherwise somebody who can answer for the address could name another issuer's keys.
        if read.issuer != issuer {
            return Err(FetchError::Answer("its issuer is another one than RELIVE_OIDC_ISSUER".to_owned()));
        }
        let used = [Some(&read.jwks_uri), read.token_endpoint.as_ref(), read.userinfo_endpoint.as_ref()];
        if let Some(unsafe_one) = used.into_iter().flatten().find(|url| !is_safe(url)) {
            return Err(FetchError::Answer(format!("{unsafe_one} is not an https address")));
        }
        Ok(read)
    }

    /// Whether the client's secret goes into the form, not into a header (`client_secret_post`).
    pub fn wants_secret_in_form(&self) -> bool {
        let has = |method: &str| self.token_endpoint_auth_methods_supported.iter().any(|has| has == method);
        has("client_secret_post") && !has("client_secret_basic")
    }
}
