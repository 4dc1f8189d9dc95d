//! The content security policy of the dashboard's pages, and who may show them in a frame.

use axum::http::HeaderValue;

use super::origin::{OriginError, WebOrigin};

/// The pages load nothing from other servers and have no inline scripts. Who may frame them comes after it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; \
                      img-src 'self' data:; font-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors ";

/// The whole content security policy of the pages.
#[derive(Clone, Debug)]
pub struct FrameAncestors(HeaderValue);

impl FrameAncestors {
    /// Web origins whose pages may show the dashboard in a frame, and `self`; none by default.
    ///
    /// # Errors
    ///
    /// If an origin is one that no page has, or that every page has.
    pub fn new(origins: &[String]) -> Result<Self, OriginError> {
        let source = |text: &String| match text.trim().trim_matches('\'') {
            "self" => Ok("'self'".to_owned()),
            _ => WebOrigin::of_setting("--frame-ancestors", text).map(|origin| origin.to_string()),
        };
        let sources = origins.iter().map(source).collect::<Result<Vec<_>, _>>()?;
        let sources = if sources.is_empty() { "'none'".to_owned() } else { sources.join(" ") };
        // An origin is ASCII, so this is a header.
        let policy = HeaderValue::try_from(format!("{POLICY}{sources}"));
        Ok(Self(policy.unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))))
    }

    pub(super) fn policy(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::FrameAncestors;

    #[test]
    fn only_named_origins_may_frame_the_pages() {
        let policy = |origins: &[&str]| {
            let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
            FrameAncestors::new(&origins).map(|policy| policy.0.to_str().expect("a text").to_owned())
        };
        assert!(policy(&[]).expect("a policy").ends_with("; frame-ancestors 'none'"));
        let named = policy(&["self", "https://Portal.example.org/"]).expect("a policy");
        assert!(named.ends_with("; frame-ancestors 'self' https://portal.example.org"), "{named}");
        for wrong in ["*", "https://*.example.org", "portal.example.org", "https://a.example; script-src *", "none"] {
            let error = policy(&[wrong]).expect_err(wrong).to_string();
            assert!(error.contains("--frame-ancestors"), "{error}");
        }
    }
}
