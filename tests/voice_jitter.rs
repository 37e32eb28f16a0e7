//! The jitter buffer against simulated lines: minutes of calls in a blink. What is heard of them is
//! in `voice_playout.rs`.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use twocan::voice::{Jitter, Pull, Settings, Stats};

/// A sender, a line and a loudspeaker with their own clocks. Times in microseconds.
struct Line {
    jitter: Jitter,
    /// Frames on their way: moment of arrival, number.
    flying: Vec<(u64, u64)>,
    /// Each packet carries a copy of the frame so far back.
    back: Option<u8>,
    mends: bool,
    now: u64,
    heard: Vec<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    Frame(u64),
    /// Decoded from the repair in the frame after it.
    Mended(u64),
    /// Half a frame.
    Gap,
    Nothing,
}

const FRAME: u64 = 20_000;

impl Line {
    fn new() -> Line {
        Line {
            jitter: new(10),
            flying: Vec::new(),
            back: None,
            mends: false,
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
            let arrived: Vec<_> = self.flying.drain(..arrived).collect();
            for (at, number) in arrived {
                self.arrive(number, micros(at));
            }
            let (heard, lasts) = match self.jitter.pop(micros(now)) {
                Pull::Play(bytes) => (Heard::Frame(number_in(bytes)), period),
                Pull::Recover(bytes) => (Heard::Mended(number_in(bytes) - 1), period),
                Pull::Conceal => (Heard::Gap, period / 2),
                Pull::Silence => (Heard::Nothing, period / 2),
            };
            self.heard.push(heard);
            self.now += lasts - u64::from(self.jitter.trim()) * period / 2;
        }
    }

    fn arrive(&mut self, number: u64, at: Duration) {
        let packet = |number: u64| {
            let mut packet = [u8::from(self.mends); 9];
            packet[..8].copy_from_slice(&number.to_le_bytes());
            packet
        };
        self.jitter.push(number as u16, &packet(number), at);
        if let Some(back) = self.back {
            let earlier = number - u64::from(back);
            self.jitter
                .push_copy(earlier as u16, &packet(earlier), back, at);
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

/// With this least wait, in ms.
fn new(target: u64) -> Jitter {
    Jitter::new(Settings {
        frame: Duration::from_millis(20),
        target: Duration::from_millis(target),
        max_payload: 80,
        mends: |payload| payload.get(8) == Some(&1),
    })
}

fn number_in(packet: &[u8]) -> u64 {
    let bytes = packet[..8].try_into().expect("the payload that was sent");
    u64::from_le_bytes(bytes)
}

fn micros(time: u64) -> Duration {
    Duration::from_micros(time)
}

#[test]
fn a_quiet_line_loses_nothing_and_waits_for_no_more_than_at_the_start() {
    let mut line = Line::new();
    for number in 0..500 {
        line.send(number, 3_000 + number * FRAME);
    }
    line.play(500 * FRAME, FRAME);
    assert_eq!(line.frames(), (0..499).collect::<Vec<_>>());
    assert_eq!(line.gaps(), 0);
    let stats = line.stats();
    assert!((10..=20).contains(&stats.depth.as_millis()), "{stats:?}");
    // All beyond the target may be taken out of the sound.
    assert_eq!(stats.target.as_millis(), 10);
    let excess = line.jitter.excess().as_millis();
    assert!(excess <= 10, "{excess} ms");
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
    let mut jitter = new(10);
    for seq in [2u16, 0, 1] {
        jitter.push(seq, &[seq as u8], micros(0));
    }
    for expected in 0..3u8 {
        let now = micros(30_000 + u64::from(expected) * FRAME);
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
        line.play(202 * FRAME, FRAME);
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
    assert_eq!(line.gaps(), 2 * 100);
    assert_eq!(line.stats().concealed, 100);
    let stats = line.stats();
    assert!((stats.loss - 0.1).abs() < 0.025, "{stats:?}");
    assert!(stats.depth.as_millis() <= 40, "{stats:?}");
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
    assert!(line.gaps() <= 10, "{} gaps", line.gaps());
    line.play(650 * FRAME, FRAME);
    assert_eq!(line.frames(), (0..150).collect::<Vec<_>>());
    let stats = line.stats();
    assert!(stats.depth.as_millis() <= 20, "{stats:?}");
}

#[test]
fn a_sender_that_starts_over_is_heard_again() {
    for restart in [0u16, 12_000, 60] {
        let mut jitter = new(10);
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
fn a_sender_may_step_down_for_as_long_as_it_likes() {
    let mut jitter = new(10);
    // As far down as a number can mean, and long enough in a row to be taken for a new start. There
    // is room for 2^32 frames below the first.
    for step in 0..(1u32 << 17) + 10 {
        let seq = if step % 2 == 0 { 0 } else { 0x8000 };
        for _ in 0..10 {
            jitter.push(seq, &[1; 9], Duration::ZERO);
        }
    }
    assert_eq!(jitter.pop(micros(400_000)), Pull::Play(&[1; 9]));
}

#[test]
fn a_copy_fills_a_hole_if_it_comes_in_time() {
    let mut line = Line::new();
    line.back = Some(2);
    // The first copies are useless, the first loss is too early to be known as a habit.
    for number in (10..1000).filter(|number| number % 10 != 5) {
        line.send(number, 2_000 + number * FRAME);
    }
    line.now = 10 * FRAME;
    line.play(1000 * FRAME, FRAME);
    let stats = line.stats();
    assert!(stats.copied >= 90, "{stats:?}");
    assert!(stats.concealed <= 8, "{stats:?}");
    assert_eq!((stats.duplicate, stats.late, stats.refused), (0, 0, 0));
    assert!((stats.lost - 0.1).abs() < 0.025, "{stats:?}");
    assert!((stats.burst - 1.0).abs() < 0.1, "{stats:?}");
    assert_eq!((stats.loss, stats.reach), (0.0, 2), "{stats:?}");
    let frames = line.frames();
    assert!(frames.is_sorted_by(|a, b| a < b), "{frames:?}");
}

#[test]
fn the_next_packet_mends_a_hole_when_no_copy_does() {
    let mut line = Line::new();
    // It waits for the next packet from the beginning, as nobody here makes the sound longer.
    line.jitter = new(30);
    line.mends = true;
    for number in (0..1000).filter(|number| number % 10 != 5) {
        line.send(number, 2_000 + number * FRAME);
    }
    line.play(1000 * FRAME, FRAME);
    let mended = line.heard.iter().filter_map(|heard| match heard {
        Heard::Mended(number) => Some(*number),
        _ => None,
    });
    let mended: Vec<u64> = mended.collect();
    assert!(mended.iter().all(|number| number % 10 == 5), "{mended:?}");
    assert!(mended.len() >= 95, "{mended:?}");
    let stats = line.stats();
    assert_eq!(stats.recovered, mended.len() as u64);
    assert!(stats.concealed <= 5 && stats.loss == 0.0, "{stats:?}");
}

#[test]
fn a_frame_that_is_a_little_late_is_cut_and_not_added() {
    let mut line = Line::new();
    // One in fifty comes 25 ms late: too few to wait for them all.
    for number in 0..2000u64 {
        let late = if number % 100 == 50 { 25_000 } else { 0 };
        line.send(number, 1_000 + number * FRAME + late);
    }
    line.play(2000 * FRAME, FRAME);
    let stats = line.stats();
    assert!(stats.depth.as_millis() <= 45, "{stats:?}");
    assert!(stats.concealed <= 40 && stats.late <= 20, "{stats:?}");
    let frames = line.frames();
    assert!(frames.is_sorted_by(|a, b| a < b), "{frames:?}");
    assert!(frames.len() >= 1975, "{} of 2000", frames.len());
}

/// What a hostile peer may do to the buffer.
#[derive(Clone, Debug)]
enum Deed {
    Push { seq: u16, length: usize },
    Copy { seq: u16, back: u8, length: usize },
    Wait(u64),
    Pop(u8),
    Stretch(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let seq = prop_oneof![0u16..300, any::<u16>(), 65_400u16..=65_535];
    let copied = (seq.clone(), any::<u8>(), 0usize..100);
    prop_oneof![
        4 => (seq, 0usize..100).prop_map(|(seq, length)| Deed::Push { seq, length }),
        2 => copied.prop_map(|(seq, back, length)| Deed::Copy { seq, back, length }),
        2 => (0u64..3_000_000).prop_map(Deed::Wait),
        3 => (0u8..40).prop_map(Deed::Pop),
        1 => (-50_000i64..50_000).prop_map(Deed::Stretch),
    ]
}

proptest! {
    #[test]
    fn nothing_that_a_peer_sends_breaks_it(deeds in vec(deed(), 1..400)) {
        let mut jitter = new(10);
        let mut now = 0;
        for deed in deeds {
            match deed {
                Deed::Push { seq, length } => jitter.push(seq, &[1; 100][..length], micros(now)),
                Deed::Copy { seq, back, length } => {
                    jitter.push_copy(seq, &[1; 100][..length], back, micros(now));
                }
                Deed::Wait(time) => now += time,
                Deed::Stretch(by) => jitter.stretched(by, by, false),
                Deed::Pop(times) => for _ in 0..times {
                    now += 10_000;
                    if let Pull::Play(bytes) | Pull::Recover(bytes) = jitter.pop(micros(now)) {
                        prop_assert!(bytes.len() <= 80);
                    }
                    prop_assert!(jitter.trim() <= 2);
                },
            }
            prop_assert!(jitter.excess().is_zero() || jitter.lack().is_zero());
            let stats = jitter.stats(micros(now));
            prop_assert!((0.0..=1.0).contains(&stats.loss), "{:?}", stats);
            prop_assert!((0.0..=1.0).contains(&stats.lost), "{:?}", stats);
            prop_assert!(stats.target <= Duration::from_secs(1), "{:?}", stats);
        }
        // And then an honest one is heard again.
        let mut heard = 0;
        for number in 0..300u64 {
            jitter.push(number as u16, &[7], micros(now));
            for _ in 0..2 {
                now += 10_000;
                heard += u32::from(jitter.pop(micros(now)) == Pull::Play(&[7]));
                jitter.trim();
            }
        }
        prop_assert!(heard > 200, "only {} of 300", heard);
    }
}
