//! The properties of a `command` node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::GraphNode;

/// What to run, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandSpec {
    /// Run by `sh -c`.
    pub command: String,
    /// Relative to the directory the run was started in, which is also the default.
    pub cwd: Option<PathBuf>,
    /// Added to this process's own environment.
    pub env: BTreeMap<String, String>,
    /// Per attempt.
    pub timeout: Option<Duration>,
}

impl CommandSpec {
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let command =
            own.read("command", "a shell command", |value| text(value).filter(|text| !text.trim().is_empty()));
        let directory = |value: &Value| text(value).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self {
            command: command?.ok_or_else(|| own.wrong("command", "a shell command"))?,
            cwd: own.read("cwd", "the path of a directory", directory)?,
            env: own.read("env", "an object of names and strings", environment)?.unwrap_or_default(),
            timeout: own.seconds("timeoutSeconds")?,
        })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.contains('\0')).map(str::to_owned)
}

fn environment(value: &Value) -> Option<BTreeMap<String, String>> {
    let fits = |name: &str, value: &str| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    let entry = |(name, value): (&String, &Value)| {
        value.as_str().filter(|value| fits(name, value)).map(|value| (name.clone(), value.to_owned()))
    };
    value.as_object()?.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_every_property() {
        let properties =
            json!({"command": "true", "cwd": "/tmp", "env": {"A": "b"}, "timeoutSeconds": 1.5, "colour": "red"});
        let node = json!({"id": "a", "type": "command", "name": "A", "properties": properties});
        let expected = CommandSpec {
            command: "true".into(),
            cwd: Some("/tmp".into()),
            env: BTreeMap::from([("A".into(), "b".into())]),
            timeout: Some(Duration::from_millis(1_500)),
        };
        assert_eq!(CommandSpec::read(&serde_json::from_value(node).expect("a node")), Ok(expected));
    }
}
