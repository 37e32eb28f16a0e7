//! How much sound waits at the server, by how far away it is.

use std::time::Duration;

use pulseaudio::protocol::SampleFormat;

/// The way to a server, as questions have found it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) round_trip: Duration,
    /// Mean difference between one question's time and the next one's.
    pub(super) jitter: Duration,
}

impl Line {
    /// From the times that some questions took.
    pub(super) fn of(times: &[Duration]) -> Line {
        let least = times.iter().min().copied().unwrap_or_default();
        let steps = times.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        let count = u32::try_from(times.len().saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        Line {
            round_trip: least,
            jitter: steps.sum::<Duration>() / count,
        }
    }

    /// Takes in the time of one more question, for a figure that wanders slowly.
    pub(super) fn take(&mut self, time: Duration) {
        let off = self.round_trip.abs_diff(time);
        self.jitter = (self.jitter * 7 + off) / 8;
        self.round_trip = (self.round_trip * 7 + time) / 8;
    }
}

/// Lengths of the server's buffers, in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Sound that the server tries to hold for the loudspeaker.
    pub(super) target: Duration,
    /// It asks for no less than this at a time.
    pub(super) request: Duration,
    /// It sends the microphone in pieces of this.
    pub(super) fragment: Duration,
    /// The loudspeaker itself is to be turned to short blocks too; the microphone always is.
    pub(super) turns_speaker: bool,
    /// Of each sample on its way.
    pub(super) format: SampleFormat,
}

impl Geometry {
    /// For a server on this computer. Each step is for a busier one.
    pub(super) fn near(step: usize) -> Geometry {
        let (target, request) = NEAR[step.min(NEAR.len() - 1)];
        Geometry {
            target: Duration::from_millis(target),
            request: Duration::from_millis(request),
            fragment: FRAGMENT,
            turns_speaker: true,
            format: SampleFormat::Float32Le,
        }
    }

    /// For a server at the end of a line. Measured with lines of 2 to 60 ms round trip: with
    /// `2.5 RTT + 4 jitter + 40 ms` at the server, asked for in pieces of 20 ms and without turning
    /// the device, nothing was missing; with two pieces alone half of the sound was. Each step holds
    /// half as much again.
    pub(super) fn far(line: Line, step: usize) -> Geometry {
        let wanted = line.round_trip * 5 / 2 + line.jitter * 4 + Duration::from_millis(40);
        let target = wanted.clamp(LEAST_FAR, MOST_FAR);
        let more = u32::try_from(step.min(STEPS)).unwrap_or(0);
        Geometry {
            target: (target + target / 2 * more).min(MOST_FAR * 2),
            request: PIECE,
            fragment: PIECE,
            turns_speaker: false,
            format: SampleFormat::S16Le,
        }
    }
}

/// Milliseconds of target and request on this computer. The server gives the device half of what two
/// requests leave of the target: with nothing left it would turn the device to its shortest period,
/// and send half milliseconds.
const NEAR: [(u64, u64); STEPS + 1] = [(15, 5), (30, 10), (60, 20), (120, 20), (200, 20)];

/// Steps that there are above the first geometry.
pub(in crate::audio) const STEPS: usize = 4;

/// Half a frame: what completes a frame is there as soon as with shorter ones, and wakes us half as
/// often.
const FRAGMENT: Duration = Duration::from_millis(10);

const PIECE: Duration = Duration::from_millis(20);
const LEAST_FAR: Duration = Duration::from_millis(80);
const MOST_FAR: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    fn line(round_trip: u64, jitter: u64) -> Line {
        Line {
            round_trip: Duration::from_millis(round_trip),
            jitter: Duration::from_millis(jitter),
        }
    }

    #[test]
    fn the_buffer_grows_with_the_line_within_bounds() {
        let target = |round_trip, jitter| Geometry::far(line(round_trip, jitter), 0).target;
        assert_eq!(target(2, 0).as_millis(), 80);
        assert_eq!(target(30, 3).as_millis(), 127);
        assert_eq!(target(60, 10).as_millis(), 230);
        assert_eq!(target(900, 90).as_millis(), 400);
    }

    #[test]
    fn each_step_holds_more_and_none_is_beyond_the_last() {
        for step in 0..STEPS {
            assert!(Geometry::near(step).target < Geometry::near(step + 1).target);
            let far = |step| Geometry::far(line(30, 3), step).target;
            assert!(far(step) < far(step + 1));
        }
        assert_eq!(Geometry::near(STEPS), Geometry::near(STEPS + 9));
        for step in 0..=STEPS {
            let near = Geometry::near(step);
            assert!(near.target > near.request * 2, "{near:?}");
        }
    }

    #[test]
    fn a_line_is_as_long_as_its_quickest_answer() {
        let times = [30, 34, 31, 31].map(Duration::from_millis);
        let line = Line::of(&times);
        assert_eq!(line.round_trip.as_millis(), 30);
        assert!((2..3).contains(&line.jitter.as_millis()), "{line:?}");
        assert_eq!(Line::of(&[]), Line::default());
    }

    #[test]
    fn a_line_that_gets_longer_is_followed_slowly() {
        let mut line = line(10, 0);
        for _ in 0..40 {
            line.take(Duration::from_millis(50));
        }
        assert!(line.round_trip > Duration::from_millis(48), "{line:?}");
        assert!(line.jitter < Duration::from_millis(15), "{line:?}");
    }
}
