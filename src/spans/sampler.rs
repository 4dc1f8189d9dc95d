//! Which traces are recorded.

use std::num::NonZeroU128;

/// Which traces are recorded: the samplers that every SDK of OpenTelemetry has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// A trace that comes from outside is recorded if it is recorded there.
    pub is_parent_based: bool,
    /// Of all others, this share, from 0 to 1. The same traces are chosen wherever the same share is.
    pub ratio: f64,
}

impl Sampler {
    /// `from`: whether who made the request records the trace; `None` where it begins here.
    pub(super) fn records(self, trace_id: NonZeroU128, from: Option<bool>) -> bool {
        match from {
            Some(is_sampled) if self.is_parent_based => is_sampled,
            _ => self.is_chosen(trace_id),
        }
    }

    fn is_chosen(self, trace_id: NonZeroU128) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        // As the SDKs do it: by 63 bits of the id, which are random.
        let bits = u64::try_from(trace_id.get() & u128::from(u64::MAX)).unwrap_or_default() >> 1;
        (bits as f64) < self.ratio * (1_u64 << 63) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(low: u64) -> NonZeroU128 {
        NonZeroU128::new(1 << 127 | u128::from(low)).expect("an id")
    }

    #[test]
    fn a_share_of_the_traces_is_recorded_and_always_the_same() {
        let half = Sampler { is_parent_based: false, ratio: 0.5 };
        assert!(half.records(id(0), None) && half.records(id(u64::MAX / 100 * 49), None));
        assert!(!half.records(id(u64::MAX / 100 * 51), None) && !half.records(id(u64::MAX), None));
        assert!(!half.records(id(u64::MAX), Some(true)), "whatever the parent says");
        let (all, none) = (Sampler { ratio: 1.0, ..half }, Sampler { ratio: 0.0, ..half });
        assert!(all.records(id(u64::MAX), None) && all.records(id(0), Some(false)));
        assert!(!none.records(id(0), None) && !none.records(id(0), Some(true)));
    }

    #[test]
    fn who_begins_a_trace_decides() {
        let none = Sampler { is_parent_based: true, ratio: 0.0 };
        assert!(none.records(id(7), Some(true)) && !none.records(id(7), None));
        let all = Sampler { is_parent_based: true, ratio: 1.0 };
        assert!(all.records(id(7), None) && !all.records(id(7), Some(false)));
    }
}
