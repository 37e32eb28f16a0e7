//! Reports of how voice arrives: in numbers here, in bytes on the wire.

use std::time::Duration;

use crate::phone::types::Report as Bytes;
use crate::voice::Report;

pub(super) fn to_bytes(report: &Report) -> Bytes {
    // A float that is too large for a byte, or none at all, becomes its nearest value.
    Bytes {
        loss: (report.loss.min(1.0) * LOSS).round() as u8,
        recent: (report.recent.min(1.0) * LOSS).round() as u8,
        burst: (report.burst * BURST).round() as u8,
        queue: (report.queue.as_millis() / QUEUE).min(255) as u8,
    }
}

pub(super) fn from_bytes(report: Bytes) -> Report {
    Report {
        loss: (f32::from(report.loss) / LOSS).min(1.0),
        recent: (f32::from(report.recent) / LOSS).min(1.0),
        burst: f32::from(report.burst) / BURST,
        queue: Duration::from_millis(u64::from(report.queue) * QUEUE as u64),
    }
}

/// Units in everything, units in a frame, milliseconds in a unit.
const LOSS: f32 = 200.0;
const BURST: f32 = 4.0;
const QUEUE: u128 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_wire_and_hostile_ones_are_bounded() {
        let report = Report {
            loss: 0.125,
            recent: 0.25,
            burst: 3.75,
            queue: Duration::from_millis(400),
        };
        assert_eq!(from_bytes(to_bytes(&report)), report);
        let absurd = Report {
            loss: 7.0,
            recent: f32::NAN,
            burst: f32::INFINITY,
            queue: Duration::from_secs(1 << 40),
        };
        let bytes = to_bytes(&absurd);
        assert_eq!((bytes.loss, bytes.burst, bytes.queue), (200, 255, 255));
        let worst = from_bytes(Bytes {
            loss: 255,
            recent: 255,
            burst: 255,
            queue: 255,
        });
        assert_eq!(worst.loss, 1.0);
        assert!(worst.queue < Duration::from_secs(2) && worst.burst < 64.0);
    }
}
