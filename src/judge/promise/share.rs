//! Rule `share`: broken when `short` of the last `of` tests are short.
//!
//! What an operator's own contract may say. Kept as soon as the tests that are still to come cannot break it.

use super::rule::{Judged, Reason, Sample, Verdict};

/// Judges the last `of` samples.
pub fn judge(samples: &[Sample], short: u32, of: u32) -> Judged {
    let from = samples.len().saturating_sub(of as usize);
    let last = &samples[from..];
    let (low, n) = (last.iter().filter(|s| s.short).count(), last.len());
    let verdict = if low >= short as usize {
        Verdict::Broken
    } else if low + (of as usize - n) < short as usize {
        Verdict::Kept
    } else {
        Verdict::Inconclusive(Reason::TooFew)
    };
    let carried =
        (from..samples.len()).filter(|&at| samples[at].short == (verdict != Verdict::Kept)).collect();
    Judged {
        verdict,
        carried,
        required: None,
        words: format!("{low} of the last {n} tests are short; {short} of {of} break the promise"),
    }
}
