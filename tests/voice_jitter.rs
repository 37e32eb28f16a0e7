//! The jitter buffer against simulated lines: minutes of calls in a blink.

use std::time::Duration;

use twocan::voice::{Jitter, Pull, Settings, Stats};

/// A sender, a line and a loudspeaker with their own clocks. Times in microseconds.
struct Line {
    jitter: Jitter,
    /// Frames on their way: moment of arrival, number.
    flying: Vec<(u64, u64)>,
    now: u64,
    heard: Vec<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    Frame(u64),
    Gap,
    Nothing,
}

const FRAME: u64 = 20_000;

impl Line {
    fn new() -> Line {
        Line {
            jitter: new(),
            flying: Vec::new(),
            now: 0,
            heard: Vec::new(),
        }
    }

    /// Frame `number` will arrive at `at`.
    fn send(&mut self, number: u64, at: u64) {
        self.flying.push((at, number));
    }

    /// Lets the loudspeaker play until `until`; one of its frames lasts `period`.
    fn play(&mut self, until: u64, period: u64) {
        while self.now < until {
            let now = self.now;
            self.flying.sort();
            let arrived = self.flying.partition_point(|(at, _)| *at <= now);
            for (at, number) in self.flying.drain(..arrived) {
                let payload = number.to_le_bytes();
                self.jitter.push(number as u16, &payload, micros(at));
            }
            let (heard, lasts) = match self.jitter.pop(micros(now)) {
                Pull::Play(bytes) => {
                    let bytes = bytes.try_into().expect("the payload that was sent");
                    (Heard::Frame(u64::from_le_bytes(bytes)), period)
                }
                Pull::Conceal => (Heard::Gap, period),
                Pull::Silence => (Heard::Nothing, period / 2),
            };
            self.heard.push(heard);
            self.now += lasts;
        }
    }

    fn frames(&self) -> Vec<u64> {
        let frame = |heard: &Heard| match heard {
            Heard::Frame(number) => Some(*number),
            _ => None,
        };
        self.heard.iter().filter_map(frame).collect()
    }

    fn gaps(&self) -> usize {
        self.heard
            .iter()
            .filter(|heard| **heard == Heard::Gap)
            .count()
    }

    fn stats(&self) -> Stats {
        self.jitter.stats(micros(self.now))
    }
}

fn new() -> Jitter {
    Jitter::new(Settings {
        frame: Duration::from_millis(20),
        target: Duration::from_millis(10),
        max_payload: 80,
    })
}

fn micros(time: u64) -> Duration {
    Duration::from_micros(time)
}

#[test]
fn a_quiet_line_loses_nothing_and_waits_for_the_target_only() {
    let mut line = Line::new();
    for number in 0..500 {
        line.send(number, 3_000 + number * FRAME);
    }
    line.play(500 * FRAME, FRAME);
    assert_eq!(line.frames(), (0..499).collect::<Vec<_>>());
    assert_eq!(line.gaps(), 0);
    let stats = line.stats();
    assert!((10..=20).contains(&stats.depth.as_millis()), "{stats:?}");
    assert_eq!(
        (stats.loss, stats.late, stats.jitter),
        (0.0, 0, Duration::ZERO)
    );
}

#[test]
fn frames_out_of_order_are_played_in_order() {
    let mut line = Line::new();
    for number in 0..400u64 {
        // Every fourth frame overtakes its predecessor by 5 ms.
        let shift = if number % 4 == 2 { 25_000 } else { 0 };
        line.send(number, 1_000 + number * FRAME + shift);
    }
    line.play(400 * FRAME, FRAME);
    let frames = line.frames();
    assert!(frames.is_sorted(), "{frames:?}");
    assert!(frames.len() >= 398, "{} of 400", frames.len());
}

#[test]
fn the_first_frames_may_come_in_any_order() {
    let mut jitter = new();
    for seq in [2u16, 0, 1] {
        jitter.push(seq, &[seq as u8], micros(0));
    }
    for expected in 0..3u8 {
        let now = micros(10_000 + u64::from(expected) * FRAME);
        assert_eq!(jitter.pop(now), Pull::Play(&[expected]));
    }
}

#[test]
fn numbers_wrap_around_at_any_place() {
    for first in [65_530u64, 65_535, 65_536 - 64, 3 * 65_536 - 2] {
        let mut line = Line::new();
        for number in first..first + 200 {
            line.send(number, (number - first) * FRAME);
        }
        line.play(200 * FRAME, FRAME);
        assert_eq!(line.frames(), (first..first + 200).collect::<Vec<_>>());
    }
}

#[test]
fn duplicates_and_late_frames_are_counted_and_dropped() {
    let mut line = Line::new();
    for number in 0..100 {
        line.send(number, number * FRAME);
        line.send(number, number * FRAME + 100);
    }
    line.send(3, 60 * FRAME);
    line.play(100 * FRAME, FRAME);
    let frames = line.frames();
    assert!(frames.is_sorted_by(|a, b| a < b), "{frames:?}");
    let stats = line.stats();
    assert_eq!((stats.received, stats.duplicate, stats.late), (100, 100, 1));
}

#[test]
fn lost_frames_are_concealed_and_cost_no_delay() {
    let mut line = Line::new();
    for number in (0..1000).filter(|number| number % 10 != 5) {
        line.send(number, 2_000 + number * FRAME);
    }
    line.play(1000 * FRAME, FRAME);
    assert_eq!(line.gaps(), 100);
    let stats = line.stats();
    assert!((stats.loss - 0.1).abs() < 0.025, "{stats:?}");
    assert!(stats.depth.as_millis() <= 20, "{stats:?}");
}

#[test]
fn a_burst_after_a_short_stall_delays_for_a_second_only() {
    let mut line = Line::new();
    for number in 0..400u64 {
        let stall = if (100..105).contains(&number) {
            105
        } else {
            number
        };
        line.send(number, 1_000 + stall * FRAME);
    }
    line.play(130 * FRAME, FRAME);
    let grown = line.stats().depth;
    line.play(400 * FRAME, FRAME);
    let after = line.stats();
    assert!(after.depth < grown, "{grown:?}, then {after:?}");
    assert!(after.depth.as_millis() <= 30, "{after:?}");
    assert_eq!(after.loss, 0.0);
}

#[test]
fn a_line_that_stalls_every_second_is_not_shortened_every_second() {
    let mut line = Line::new();
    let seconds = 60;
    for number in 0..seconds * 50 {
        // The first frame of every second is 35 ms late.
        let late = if number % 50 == 0 { 35_000 } else { 0 };
        line.send(number, 1_000 + number * FRAME + late);
    }
    line.play(seconds * 50 * FRAME, FRAME);
    let stats = line.stats();
    assert!(stats.concealed <= 12, "{stats:?}");
    assert!(stats.depth.as_millis() <= 60, "{stats:?}");
}

#[test]
fn a_backlog_is_skipped_at_once() {
    let mut line = Line::new();
    for number in 0..400u64 {
        let stall = if (100..150).contains(&number) {
            150
        } else {
            number
        };
        line.send(number, 1_000 + stall * FRAME);
    }
    line.play(160 * FRAME, FRAME);
    let last = *line.frames().last().expect("something was heard");
    assert!(last >= 157, "still at {last} after the backlog of a second");
    assert!(line.stats().skipped >= 45, "{:?}", line.stats());
}

#[test]
fn a_pause_of_the_sender_ends_in_silence_and_then_goes_on() {
    let mut line = Line::new();
    for number in 0..50 {
        line.send(number, number * FRAME);
    }
    // On hold for ten seconds; the numbers go on where they stopped.
    for number in 50..150 {
        line.send(number, (number + 500) * FRAME);
    }
    line.play(300 * FRAME, FRAME);
    assert_eq!(line.heard.last(), Some(&Heard::Nothing));
    assert!(line.gaps() <= 5, "{} gaps", line.gaps());
    line.play(650 * FRAME, FRAME);
    assert_eq!(line.frames(), (0..150).collect::<Vec<_>>());
    let stats = line.stats();
    assert!(stats.depth.as_millis() <= 20, "{stats:?}");
}

#[test]
fn a_sender_that_starts_over_is_heard_again() {
    for restart in [0u16, 12_000, 60] {
        let mut jitter = new();
        for number in 0..100u64 {
            jitter.push(number as u16, &[1], micros(number * FRAME));
            jitter.pop(micros(number * FRAME + 10_000));
        }
        let mut heard = 0;
        for number in 0..50u64 {
            let now = (200 + number) * FRAME;
            jitter.push(restart + number as u16, &[2], micros(now));
            heard += usize::from(jitter.pop(micros(now + 10_000)) == Pull::Play(&[2]));
        }
        assert!(heard >= 38, "only {heard} of 50 from {restart} on");
    }
}

#[test]
fn half_an_hour_of_clock_drift_adds_no_delay() {
    for period in [FRAME - 6, FRAME, FRAME + 6] {
        let mut line = Line::new();
        let frames = 30 * 60 * 50;
        let mut deepest = Duration::ZERO;
        for number in 0..frames {
            // Up to 4 ms of jitter.
            let wobble = (number * 2_654_435_761 % 4_001) & 0xfff;
            line.send(number, 5_000 + number * FRAME + wobble);
            line.play(number * FRAME, period);
            if number % 500 == 499 {
                deepest = deepest.max(line.stats().depth);
            }
        }
        let stats = line.stats();
        assert!(deepest.as_millis() <= 45, "{period}: {deepest:?} {stats:?}");
        // 300 ppm of half an hour are 27 frames; each may cost one skip or gap.
        assert!(stats.skipped <= 60, "{period}: {stats:?}");
        assert!(stats.concealed <= 60, "{period}: {stats:?}");
        let jitter = stats.jitter.as_micros();
        assert!((300..3_000).contains(&jitter), "{period}: {jitter} us");
    }
}

#[test]
fn nothing_that_a_peer_sends_breaks_it() {
    let mut jitter = new();
    let mut random = 7u64;
    let (mut played, mut silent) = (0, 0);
    for step in 0..200_000u64 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let seq = match random >> 62 {
            0 => (random >> 32) as u16,
            _ => (step as u16).wrapping_add((random >> 40) as u16 % 200),
        };
        let length = (random >> 20) as usize % 100;
        jitter.push(seq, &[0; 100][..length], micros(step * 5_000));
        match jitter.pop(micros(step * 5_000)) {
            Pull::Play(bytes) => {
                assert!(bytes.len() <= 80);
                played += 1;
            }
            Pull::Conceal => {}
            Pull::Silence => silent += 1,
        }
    }
    let stats = jitter.stats(micros(200_000 * 5_000));
    assert!(
        stats.refused > 10_000 && played > 0 && silent > 0,
        "{stats:?}"
    );
    assert!((0.0..=1.0).contains(&stats.loss), "{stats:?}");
}
