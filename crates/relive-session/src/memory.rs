//! Memories: texts that outlive the run they come from, found by similarity.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Refusal, SessionId, Timestamp};

/// A stored memory, as lists and searches return it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "memory.ts", optional_fields)]
pub struct Memory {
    pub id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    pub content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub metadata: Option<Value>,
    /// Whether it has an embedding, and so can be found by vector. False for good if the client
    /// gave none and the server has no embeddings endpoint; temporarily if the endpoint is down.
    pub embedded: bool,
    /// Present only where a single memory is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// The similarity to what was searched for; 1 is identical. Present only in search results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    pub created_at: Timestamp,
}

/// Lengths (norms) that a vector may have. Otherwise its square is 0 or infinite as an `f32`, and
/// so is every distance to it.
const NORM: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// Checks that a vector has a direction: finite numbers, not all of them zero.
///
/// # Errors
///
/// [`Refusal::Invalid`].
pub fn check_direction(embedding: &[f32]) -> Result<(), Refusal> {
    if embedding.iter().any(|number| !number.is_finite()) {
        return Err(Refusal::Invalid { field: "embedding", problem: "must hold finite numbers" });
    }
    let norm = embedding.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if embedding.is_empty() || NORM.contains(&norm) {
        return Ok(());
    }
    Err(Refusal::Invalid { field: "embedding", problem: "must have a length between 1e-15 and 1e15" })
}

/// Checks that a vector can be stored and compared where embeddings have `dimension` numbers.
///
/// # Errors
///
/// [`Refusal::Dimension`], or [`Refusal::Invalid`] for one without a direction.
pub fn check_embedding(embedding: &[f32], dimension: u32) -> Result<(), Refusal> {
    if embedding.len() != dimension as usize {
        return Err(Refusal::Dimension { expected: dimension, actual: embedding.len() });
    }
    check_direction(embedding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vectors_that_point_somewhere_can_be_compared() {
        assert_eq!(check_embedding(&[0.0, -3.5], 2), Ok(()));
        assert_eq!(check_embedding(&[1.0], 2), Err(Refusal::Dimension { expected: 2, actual: 1 }));
        assert_eq!(check_embedding(&[], 2), Err(Refusal::Dimension { expected: 2, actual: 0 }));
        for useless in [[0.0, 0.0], [f32::NAN, 1.0], [1.0, f32::INFINITY], [1e-20, 0.0], [1e20, 0.0]] {
            assert!(matches!(check_embedding(&useless, 2), Err(Refusal::Invalid { .. })), "{useless:?}");
        }
    }
}
