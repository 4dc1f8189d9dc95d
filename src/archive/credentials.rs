//! Keys of a bucket from the file in which the tools of AWS keep them. Those of the environment come first, and are
//! read by the client of the bucket.

use std::path::{Path, PathBuf};

/// Bytes of such a file at most.
const LONGEST: u64 = 1024 * 1024;

/// Why the file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketKeysError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is too long for a file of credentials", path.display())]
    TooLong { path: PathBuf },
    #[error("{} has no keys for the profile {profile}", path.display())]
    NoProfile { path: PathBuf, profile: String },
}

/// The keys of a profile.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// The keys of the file that `AWS_SHARED_CREDENTIALS_FILE` names, or `~/.aws/credentials`, for the profile
/// `AWS_PROFILE`, or `default`. `None` if the environment says others, or nothing names a file and there is none.
pub(super) fn of_file() -> Result<Option<Keys>, BucketKeysError> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let others = [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    if others.into_iter().any(|name| given(name).is_some()) {
        return Ok(None);
    }
    let (named, profile) = (given("AWS_SHARED_CREDENTIALS_FILE"), given("AWS_PROFILE"));
    let is_wanted = named.is_some() || profile.is_some();
    let path = match (named, std::env::home_dir()) {
        (Some(path), _) => PathBuf::from(path),
        (None, Some(home)) => home.join(".aws/credentials"),
        (None, None) => return Ok(None),
    };
    let profile = profile.unwrap_or_else(|| "default".to_owned());
    match read(&path)? {
        None if !is_wanted => Ok(None),
        text => match text.and_then(|text| keys_of(&text, &profile)) {
            Some(keys) => Ok(Some(keys)),
            None => Err(BucketKeysError::NoProfile { path, profile }),
        },
    }
}

fn read(path: &Path) -> Result<Option<String>, BucketKeysError> {
    let wrong = |source| BucketKeysError::Read { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
        Ok(found) if found.len() > LONGEST => return Err(BucketKeysError::TooLong { path: path.to_owned() }),
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(wrong)
}

/// The keys of a profile in the text of such a file: `[profile]`, and below it `name = value`.
fn keys_of(text: &str, profile: &str) -> Option<Keys> {
    let (mut is_in, mut id, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_in = name.trim() == profile;
        } else if is_in && let Some((name, value)) = line.split_once('=') {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Keys { id: id?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_profile() {
        let text = "# mine\n[default]\naws_access_key_id=A\naws_secret_access_key = b=c \n\n[ other ]\n\
                    aws_access_key_id = X\n;aws_secret_access_key = no\naws_secret_access_key=Y\naws_session_token=Z\n\
                    [half]\naws_access_key_id = H\n";
        let keys = |profile| keys_of(text, profile).map(|keys| (keys.id, keys.secret, keys.token));
        assert_eq!(keys("default"), Some(("A".to_owned(), "b=c".to_owned(), None)));
        assert_eq!(keys("other"), Some(("X".to_owned(), "Y".to_owned(), Some("Z".to_owned()))));
        assert_eq!(keys("half"), None);
        assert_eq!(keys("none"), None);
    }
}
