//! `DATABASE_URL`, as libpq understands it.

use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// How to connect to a database.
///
/// Beyond what the driver does, `sslmode=require` with a `sslrootcert` checks the certificate, as in
/// libpq, and `sslrootcert=system` means the public certificate authorities.
///
/// # Errors
///
/// If it is not a PostgreSQL address, or names a file that cannot be read.
pub fn connect_options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let mut address = Url::parse(url).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    let parameters: Vec<(String, String)> =
        address.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    let is_system = |(key, value): &(String, String)| key == "sslrootcert" && value == "system";
    let uses_system = parameters.iter().any(is_system);
    if uses_system {
        let kept: Vec<_> = parameters.iter().filter(|parameter| !is_system(parameter)).collect();
        address.query_pairs_mut().clear().extend_pairs(kept);
    }
    let mut options: PgConnectOptions = address.as_str().parse()?;
    let mut has_root = false;
    for (key, value) in &parameters {
        if matches!(&**key, "sslrootcert" | "sslcert" | "sslkey") && value != "system" {
            has_root |= key == "sslrootcert";
            std::fs::read(value)
                .map_err(|error| sqlx::Error::Configuration(format!("cannot read {key} {value}: {error}").into()))?;
        }
    }
    if uses_system {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    } else if has_root && matches!(options.get_ssl_mode(), PgSslMode::Require) {
        options = options.ssl_mode(PgSslMode::VerifyCa);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(query: &str) -> Result<String, String> {
        let options = connect_options(&format!("postgres://user:secret@db.example:6432/name?{query}"));
        options.map(|options| format!("{:?}", options.get_ssl_mode())).map_err(|error| error.to_string())
    }

    #[test]
    fn ssl_modes_mean_what_libpq_means_by_them() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let root = file.path().display();
        for (query, expected) in [
            (String::new(), "Prefer"),
            ("sslmode=disable".to_owned(), "Disable"),
            ("sslmode=require".to_owned(), "Require"),
            (format!("sslmode=require&sslrootcert={root}"), "VerifyCa"),
            (format!("sslmode=verify-full&sslrootcert={root}"), "VerifyFull"),
            ("sslrootcert=system&sslmode=verify-full".to_owned(), "VerifyFull"),
            ("sslrootcert=system".to_owned(), "VerifyFull"),
        ] {
            assert_eq!(mode(&query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_without_the_password() {
        let error = mode("sslmode=verify-ca&sslrootcert=/nowhere/root.pem").expect_err("there is no such file");
        assert!(error.contains("sslrootcert /nowhere/root.pem: No such file"), "{error}");
        let error = mode("sslmode=sometimes").expect_err("there is no such mode");
        assert!(error.contains("sometimes") && !error.contains("secret"), "{error}");
        assert!(connect_options("nonsense").is_err());
    }
}
