//! Reports of how voice arrives: in numbers here, in bytes on the wire.

use std::time::Duration;

use crate::phone::types::Report as Bytes;
use crate::voice::Report;

pub(super) fn to_bytes(report: &Report) -> Bytes {
    // A float that is too large for a byte, or none at all, becomes its nearest value.
    Bytes {
        loss: (report.loss.min(1.0) * LOSS).round() as u8,
        burst: (report.burst * BURST).round() as u8,
        queue: (report.queue.as_secs_f32() * QUEUE).round() as u8,
    }
}

pub(super) fn from_bytes(report: Bytes) -> Report {
    Report {
        loss: (f32::from(report.loss) / LOSS).min(1.0),
        burst: f32::from(report.burst) / BURST,
        queue: Duration::from_secs_f32(f32::from(report.queue) / QUEUE),
    }
}

/// Units in everything, in a frame, in a second.
const LOSS: f32 = 200.0;
const BURST: f32 = 4.0;
const QUEUE: f32 = 250.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_wire_and_hostile_ones_are_bounded() {
        let report = Report {
            loss: 0.125,
            burst: 3.75,
            queue: Duration::from_millis(400),
        };
        assert_eq!(from_bytes(to_bytes(&report)), report);
        let absurd = Report {
            loss: 7.0,
            burst: f32::INFINITY,
            queue: Duration::from_secs(1 << 40),
        };
        let bytes = to_bytes(&absurd);
        assert_eq!((bytes.loss, bytes.burst, bytes.queue), (200, 255, 255));
        let worst = from_bytes(Bytes {
            loss: 255,
            burst: 255,
            queue: 255,
        });
        assert_eq!(worst.loss, 1.0);
        assert!(worst.queue < Duration::from_secs(2) && worst.burst < 64.0);
    }
}
