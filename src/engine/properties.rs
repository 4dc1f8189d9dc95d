//! Reads a node's properties, by their name in either spelling; errors name the node.

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::PlanError;
use super::templates;
use relive_session::{GraphNode, NodeId};

/// The longest time a property may ask for: a year.
const LONGEST_SECONDS: f64 = 31_536_000.0;

/// The properties of one node, or of a whole graph.
#[derive(Clone, Copy, Debug)]
pub struct Properties<'a> {
    node: Option<&'a NodeId>,
    values: &'a Map<String, Value>,
}

impl<'a> Properties<'a> {
    #[must_use]
    pub fn of(node: &'a GraphNode) -> Self {
        Self { node: Some(&node.id), values: &node.properties }
    }

    /// Of the graph itself.
    #[must_use]
    pub fn of_graph(values: &'a Map<String, Value>) -> Self {
        Self { node: None, values }
    }

    /// The properties of an object that is itself a property.
    #[must_use]
    pub fn within(self, values: &'a Map<String, Value>) -> Self {
        Self { values, ..self }
    }

    /// The value under a `camelCase` name, or the same name in `snake_case`. `null` counts as absent.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a Value> {
        let found = self.values.get(name).or_else(|| self.values.get(&snake_case(name)));
        found.filter(|value| !value.is_null())
    }

    /// A value that `take` accepts; `expected` describes it for the error.
    ///
    /// # Errors
    ///
    /// [`PlanError::Property`] if `take` rejects it.
    pub fn read<T>(
        self,
        name: &'static str,
        expected: &'static str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, PlanError> {
        self.get(name).map(|value| take(value).ok_or_else(|| self.wrong(name, expected))).transpose()
    }

    #[must_use]
    pub fn wrong(self, property: &'static str, expected: &'static str) -> PlanError {
        PlanError::Property { node: self.node.cloned(), property, expected }
    }

    /// # Errors
    ///
    /// [`PlanError::Property`] for anything but a text.
    pub fn text(self, name: &'static str) -> Result<Option<String>, PlanError> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// # Errors
    ///
    /// [`PlanError::Property`] for anything but `true` and `false`.
    pub fn flag(self, name: &'static str) -> Result<bool, PlanError> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or_default())
    }

    /// # Errors
    ///
    /// [`PlanError::Property`] for anything but a number.
    pub fn number(self, name: &'static str) -> Result<Option<f64>, PlanError> {
        self.read(name, "a number", Value::as_f64)
    }

    /// # Errors
    ///
    /// [`PlanError::Property`] for anything but a whole number up to `most`.
    pub fn count(self, name: &'static str, most: u32) -> Result<Option<u32>, PlanError> {
        let fits = |value: &Value| value.as_u64().filter(|count| *count <= u64::from(most))?.try_into().ok();
        self.read(name, "a whole number, not negative and not too large", fits)
    }

    /// # Errors
    ///
    /// [`PlanError::Property`] for anything but a number of seconds above 0.
    pub fn seconds(self, name: &'static str) -> Result<Option<Duration>, PlanError> {
        self.read(name, "a number of seconds above 0, at most a year", |value| {
            seconds(value.as_f64()?).filter(|time| !time.is_zero())
        })
    }

    pub(super) fn names(self) -> impl Iterator<Item = &'a String> {
        self.values.keys()
    }

    pub(super) fn unknown(self, name: &str, nearest: Option<&'static str>) -> PlanError {
        let name = name.chars().take(100).collect();
        PlanError::UnknownProperty { node: self.node.cloned(), name, nearest }
    }

    /// A value with templates in its texts.
    ///
    /// # Errors
    ///
    /// [`PlanError::Template`] if one cannot be parsed.
    pub fn template(self, name: &'static str) -> Result<Option<Value>, PlanError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong = |error| PlanError::Template { node: self.node.cloned(), property: name, error };
        templates::check(value).map_err(wrong)?;
        Ok(Some(value.clone()))
    }
}

/// A time from 0 to a year.
#[must_use]
pub fn seconds(seconds: f64) -> Option<Duration> {
    Some(seconds).filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds)).map(Duration::from_secs_f64)
}

pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
