//! How long to wait before something is tried again.

use std::time::Duration;

/// Doubles with each failure from `first` up to `longest`, and is a fifth shorter or longer by
/// chance, so that all phones of a dead ultrapeer do not come back at the same moment.
pub(super) fn pause(failures: u32, first: Duration, longest: Duration) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.8 + 0.4 * chance())
}

/// Between 0 and 1. Nothing secret depends on it.
fn chance() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let (first, longest) = (Duration::from_secs(2), Duration::from_secs(600));
        for (failures, about) in [
            (0, 2),
            (1, 2),
            (2, 4),
            (3, 8),
            (9, 512),
            (10, 600),
            (4_000_000, 600),
        ] {
            let about = Duration::from_secs(about);
            let pause = pause(failures, first, longest);
            assert!(
                pause >= about.mul_f64(0.79) && pause <= about.mul_f64(1.21),
                "{failures}: {pause:?}"
            );
        }
    }
}
