//! Prices of models, for usage that is reported without a price.

use std::collections::HashMap;
use std::path::Path;

use rust_decimal::Decimal;
use serde::Deserialize;

use relive_session::{Command, usd};

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    #[error("cannot read the model prices in {path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("the model prices are invalid: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Prices per million tokens, by model.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    models: HashMap<String, Price>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Price {
    #[serde(with = "usd")]
    input: Decimal,
    #[serde(with = "usd")]
    output: Decimal,
}

/// The format of the file; `data/model-prices.json` is one.
#[derive(Debug, Deserialize)]
struct Table {
    models: HashMap<String, Price>,
}

impl Prices {
    /// The built-in table, or the one in `replacement`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not a price table.
    pub fn load(replacement: Option<&Path>) -> Result<Self, PriceError> {
        let json = match replacement {
            None => include_str!("../../data/model-prices.json").to_owned(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| PriceError::Unreadable { path: path.display().to_string(), source })?,
        };
        let Table { models } = serde_json::from_str(&json)?;
        Ok(Self { models })
    }

    /// Adds the price to usage that names a model and no price. Usage of an unknown model costs
    /// nothing, and is counted in a metric.
    pub(super) fn put_into(&self, command: &mut Command) {
        if let Command::RecordUsage { model: Some(model), cost_usd: cost @ None, input_tokens, output_tokens, .. } =
            command
        {
            *cost = self.cost(model, *input_tokens, *output_tokens);
            if cost.is_none() {
                metrics::counter!("relive_unpriced_usage_total").increment(1);
            }
        }
    }

    fn cost(&self, model: &str, input_tokens: u64, output_tokens: u64) -> Option<Decimal> {
        let Price { input, output } = self.price(model)?;
        let million = Decimal::from(1_000_000);
        Some((Decimal::from(input_tokens) * input + Decimal::from(output_tokens) * output) / million)
    }

    /// Finds a model by its name, or by its name before a date or version, as in `gpt-4o-2024-08-06`.
    fn price(&self, model: &str) -> Option<Price> {
        let is_version = |rest: &str| {
            let rest = rest.strip_prefix('-').unwrap_or_default();
            rest == "latest"
                || (!rest.is_empty() && rest.chars().all(|letter| letter.is_ascii_digit() || letter == '-'))
        };
        let exact = self.models.get(model);
        let versioned =
            || self.models.iter().find(|(name, _)| model.strip_prefix(name.as_str()).is_some_and(is_version));
        exact.or_else(|| versioned().map(|(_, price)| price)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_exact_and_versions_are_recognised() {
        let prices = Prices::load(None).expect("the table that comes with the server");
        let cents = |model| prices.cost(model, 1_000, 100).map(|cost| cost.normalize().to_string());
        assert_eq!(cents("gpt-4o-mini").as_deref(), Some("0.00021"));
        assert_eq!(cents("gpt-4o-mini-2024-07-18").as_deref(), Some("0.00021"));
        assert_eq!(cents("claude-3-5-haiku-latest").as_deref(), Some("0.0012"));
        assert_eq!(cents("gpt-4o-mini-tuned"), None);
        assert_eq!(cents("gpt"), None);
    }
}
