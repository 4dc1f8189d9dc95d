//! Amounts of money, and their notation.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serializer, de};

/// US dollars: exact decimals inside, JSON numbers outside.
///
/// The shortest text of an `f64` is parsed as a decimal, so `0.1` is exactly a tenth; adding a million of
/// them does not drift.
pub mod usd {
    use std::str::FromStr;

    use super::{Decimal, Deserialize, Deserializer, Serializer, de};
    use crate::limits;

    pub fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        // Through the text, which is rounded once: `Decimal::to_f64` computes, and its result can be the
        // number next to the one that was read.
        serializer.serialize_f64(amount.to_string().parse().unwrap_or(f64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        from_f64(f64::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("an amount in US dollars must be a number from 0 to 1000000000"))
    }

    fn from_f64(amount: f64) -> Option<Decimal> {
        if !(amount.is_finite() && amount >= 0.0) {
            return None;
        }
        let exact = Decimal::from_str(&amount.to_string()).ok()?;
        (exact <= Decimal::from(limits::COST_USD)).then_some(exact.normalize())
    }
}

/// As [`usd`], for an amount that may be missing.
pub mod optional_usd {
    use super::{Decimal, Deserialize, Deserializer, Serializer, usd};

    pub fn serialize<S: Serializer>(amount: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
        match amount {
            Some(amount) => usd::serialize(amount, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
        #[derive(Deserialize)]
        struct Amount(#[serde(with = "usd")] Decimal);

        Ok(Option::<Amount>::deserialize(deserializer)?.map(|Amount(amount)| amount))
    }
}
