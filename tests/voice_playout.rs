//! What is heard over simulated lines, with a voice made of formulas in the place of a codec:
//! delay, repair, clicks, drift. Virtual time, seeded.

use std::collections::BTreeSet;
use std::f32::consts::TAU;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use twocan::voice::{BLOCK, Decode, FRAME, Playout, Settings, Stats, stretch};

/// A sender, a line and a loudspeaker. Times in microseconds.
struct Call {
    playout: Playout,
    voice: Voice,
    random: Random,
    /// Frames on their way: moment of arrival, number.
    flying: BTreeSet<(u64, u64)>,
    /// Every packet carries copies of the frames so far back.
    backs: Vec<u64>,
    mends: bool,
    now: u64,
    /// What the loudspeaker calls 10 ms.
    block: u64,
    /// Samples that it takes at a time.
    grain: usize,
    heard: Vec<f32>,
    /// When each frame was decoded, and how long after the fastest way here.
    lags: Vec<(u64, f64)>,
}

/// Packets are numbers, and sound is a function of time.
struct Voice {
    /// Six seconds that are said over and over.
    said: &'static [f32],
    decoded: Vec<u64>,
    bridged: u64,
}

impl Decode for Voice {
    fn decode(&mut self, packet: &[u8], sound: &mut [f32; FRAME]) -> bool {
        let number = number_in(packet);
        self.decoded.push(number);
        self.say(number, sound);
        true
    }

    fn recover(&mut self, packet: &[u8], sound: &mut [f32; FRAME]) -> bool {
        let number = number_in(packet) - 1;
        self.decoded.push(number);
        self.say(number, sound);
        true
    }

    fn conceal(&mut self, sound: &mut [f32]) -> bool {
        self.bridged += 1;
        sound.fill(0.0);
        true
    }
}

impl Voice {
    fn say(&self, number: u64, sound: &mut [f32; FRAME]) {
        let from = number as usize * FRAME % self.said.len();
        sound.copy_from_slice(&self.said[from..from + FRAME]);
    }
}

impl Call {
    fn new(said: &'static [f32]) -> Call {
        Call {
            playout: new(),
            voice: Voice {
                said,
                decoded: Vec::new(),
                bridged: 0,
            },
            random: Random(0x1234_5678_9abc_def1),
            flying: BTreeSet::new(),
            backs: Vec::new(),
            mends: false,
            now: 3_000,
            block: 10_000,
            grain: BLOCK,
            heard: Vec::new(),
            lags: Vec::new(),
        }
    }

    /// Frames of these seconds go over a line that delays each by some milliseconds, or loses it.
    fn run(&mut self, seconds: Range<u64>, mut line: impl FnMut(&mut Random, u64) -> Option<f64>) {
        for number in seconds.start * 50..seconds.end * 50 {
            if let Some(delay) = line(&mut self.random, number) {
                let at = number * 20_000 + (delay * 1000.0) as u64;
                self.flying.insert((at, number));
            }
        }
        while self.now < seconds.end * 1_000_000 {
            self.turn();
        }
    }

    fn turn(&mut self) {
        while let Some((at, number)) = self.flying.first().copied().filter(|f| f.0 <= self.now) {
            self.flying.pop_first();
            self.arrive(number, micros(at));
        }
        let mut block = [0.0; BLOCK];
        let sound = &mut block[..self.grain];
        let before = self.voice.decoded.len();
        self.playout.set_grain(self.grain);
        self.playout.pull(&mut self.voice, micros(self.now), sound);
        for number in &self.voice.decoded[before..] {
            let lag = self.now as f64 / 1000.0 - *number as f64 * 20.0 - PATH;
            self.lags.push((self.now, lag));
        }
        self.heard.extend_from_slice(sound);
        self.now += self.block * self.grain as u64 / BLOCK as u64;
    }

    fn arrive(&mut self, number: u64, at: Duration) {
        let packet = |number: u64| {
            let mut packet = [u8::from(self.mends); 9];
            packet[..8].copy_from_slice(&number.to_le_bytes());
            packet
        };
        self.playout.push(number as u16, &packet(number), at);
        for back in &self.backs {
            if let Some(earlier) = number.checked_sub(*back) {
                let copy = packet(earlier);
                self.playout
                    .push_copy(earlier as u16, &copy, *back as u8, at);
            }
        }
    }

    fn stats(&self) -> Stats {
        self.playout.stats(micros(self.now))
    }

    /// Mean delay in ms of the frames decoded in these tenths of a second, above the fastest way.
    fn lag(&self, tenths: Range<u64>) -> f64 {
        let of_then: Vec<f64> = self
            .lags
            .iter()
            .filter(|(at, _)| tenths.contains(&(at / 100_000)))
            .map(|(_, lag)| *lag)
            .collect();
        assert!(!of_then.is_empty(), "nothing was decoded in {tenths:?}");
        of_then.iter().sum::<f64>() / of_then.len() as f64
    }
}

struct Random(u64);

impl Random {
    /// 0..1
    fn even(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.even()).ln()).sqrt();
        radius * (self.even() * std::f64::consts::TAU).cos()
    }

    /// Mean 0, deviation 1, and a long tail.
    fn pareto(&mut self) -> f64 {
        ((1.0 - self.even()).powf(-1.0 / 3.0) - 1.5) / 0.75f64.sqrt()
    }

    fn loses(&mut self, share: f64) -> bool {
        self.even() < share
    }
}

fn quiet(random: &mut Random, _: u64) -> Option<f64> {
    Some(PATH + random.even() * 0.5)
}

#[test]
fn a_quiet_line_adds_little_and_changes_nothing() {
    let mut call = Call::new(speech());
    call.run(0..4, quiet);
    // What it waited for at first, when it did not know.
    let given_back = call.stats().stretched;
    assert!(given_back.as_millis() <= 35, "{given_back:?}");
    call.run(4..30, quiet);
    let stats = call.stats();
    assert!(call.lag(40..300) < 16.0, "{} ms", call.lag(40..300));
    assert_eq!((stats.concealed, stats.late), (0, 0), "{stats:?}");
    assert_eq!(stats.stretched, given_back, "{stats:?}");
}

/// A frame waits for the next moment at which the loudspeaker takes sound: by chance up to the time
/// between two.
#[test]
fn who_takes_less_at_a_time_hears_sooner() {
    for (grain, most) in [(BLOCK, 16.0), (BLOCK / 2, 11.0)] {
        for phase in 0..10 {
            let mut call = Call::new(speech());
            (call.grain, call.now) = (grain, phase * 1000);
            call.run(0..30, quiet);
            let (lag, stats) = (call.lag(60..300), call.stats());
            assert!((5.0..most).contains(&lag), "{grain}, {phase}: {lag} ms");
            assert_eq!((stats.concealed, stats.late), (0, 0), "{stats:?}");
        }
    }
}

#[test]
fn the_delay_covers_jitter_and_no_more() {
    let mut call = Call::new(speech());
    call.run(0..60, |random, _| {
        Some((PATH + 15.0 * random.normal()).max(0.0))
    });
    let stats = call.stats();
    // 30 ms of the line are no jitter to a frame that overtakes it all.
    let lag = call.lag(50..600);
    assert!((20.0..65.0).contains(&lag), "{lag} ms, {stats:?}");
    assert!(stats.late + stats.concealed <= 30, "of 3000: {stats:?}");
    assert_eq!(stats.rough, 0, "{stats:?}");
}

#[test]
fn a_long_tail_is_not_waited_for() {
    let mut call = Call::new(speech());
    call.run(0..60, |random, _| {
        let delay = (PATH + 20.0 * random.pareto()).max(0.0);
        (!random.loses(0.02)).then_some(delay)
    });
    let (stats, lag) = (call.stats(), call.lag(50..600));
    assert!((20.0..130.0).contains(&lag), "{lag} ms, {stats:?}");
    // 60 of 3000 are lost for good.
    assert!((50..170).contains(&stats.concealed), "{stats:?}");
}

#[test]
fn after_a_stall_the_delay_is_back_within_five_seconds() {
    for (held, seconds) in [(true, 2), (false, 2), (true, 1), (true, 4)] {
        let mut call = Call::new(vowel());
        let end = 10 + seconds;
        call.run(0..20, |random, number| {
            let during = (10 * 50..end * 50).contains(&number);
            match during {
                true if held => Some((end * 50 - number) as f64 * 20.0 + PATH),
                true => None,
                false => quiet(random, number),
            }
        });
        let before = call.lag(50..90);
        let after = call.lag((end + 5) * 10..200);
        assert!(after < before + 10.0, "{before}, then {after} ms, {held}");
    }
}

#[test]
fn after_jitter_the_delay_is_back_within_five_seconds_even_in_a_long_vowel() {
    for width in [15.0, 40.0] {
        for said in [speech(), vowel()] {
            let mut call = Call::new(said);
            call.run(0..20, |random, _| {
                Some(PATH + (width * random.normal()).abs() * 2.0)
            });
            let shaken = call.lag(100..200);
            call.run(20..30, quiet);
            let after = call.lag(250..300);
            assert!(shaken > 30.0, "{shaken} ms with jitter of {width} ms");
            assert!(after < 25.0, "{shaken}, then {after} ms");
        }
    }
}

#[test]
fn the_delay_follows_a_line_that_becomes_slower_or_faster() {
    let mut call = Call::new(speech());
    let slower = |random: &mut Random, number| quiet(random, number).map(|delay| delay + 100.0);
    call.run(0..10, quiet);
    call.run(10..20, slower);
    call.run(20..30, quiet);
    let lags = [50..100, 150..200, 250..300].map(|tenths| call.lag(tenths));
    assert!(lags[0] < 20.0 && lags[2] < 20.0, "{lags:?}");
    assert!((100.0..120.0).contains(&lags[1]), "{lags:?}");
    let stats = call.stats();
    // The step is heard once, as a hole of its own length.
    assert!(stats.concealed <= 8, "{stats:?}");
}

#[test]
fn stalls_like_those_of_tcp_do_not_add_up() {
    let mut call = Call::new(speech());
    let (mut free, mut stalls) = (0.0f64, 0);
    call.run(0..120, |random, number| {
        let sent = number as f64 * 20.0;
        // A lost segment holds back all that follow it.
        if random.loses(0.01) {
            free = free.max(sent + PATH + 200.0);
            stalls += 1;
        }
        free = free.max(sent + PATH);
        Some(free - sent)
    });
    let (early, late) = (call.lag(50..350), call.lag(900..1200));
    assert!(stalls > 40);
    assert!(
        early < 100.0 && late < 100.0,
        "{early} ms, in the end {late} ms"
    );
    assert!(late < early * 1.6, "{early} ms, in the end {late} ms");
    // Nothing of what came late is left out.
    let mut decoded = call.voice.decoded.clone();
    decoded.dedup();
    assert!(decoded.len() > 5900, "{} of 6000", decoded.len());
    call.run(120..130, quiet);
    assert!(call.lag(1250..1300) < 20.0, "{}", call.lag(1250..1300));
}

#[test]
fn copies_are_waited_for_while_they_repair_and_not_after() {
    let mut in_burst = 0;
    let mut bursts = |random: &mut Random, number: u64| {
        if in_burst == 0 && random.loses(0.05) {
            in_burst = 4;
        }
        if in_burst > 0 {
            in_burst -= 1;
            return None;
        }
        quiet(random, number)
    };
    let mut call = Call::new(speech());
    call.backs = vec![3, 6];
    call.run(0..20, &mut bursts);
    let (before, stats) = (call.stats().concealed, call.stats());
    assert!(stats.lost > 0.05 && stats.burst > 3.0, "{stats:?}");
    assert!(stats.reach == 6, "{stats:?}");
    call.run(20..40, &mut bursts);
    let stats = call.stats();
    let concealed = stats.concealed - before;
    assert!(concealed <= 25, "{concealed} of about 165: {stats:?}");
    assert!(stats.copied > 150, "{stats:?}");
    let waited = call.lag(300..400);
    assert!((100.0..150.0).contains(&waited), "{waited} ms");
    // Copies go on, but nothing is lost any more.
    call.run(40..50, quiet);
    assert!(call.lag(450..500) < 25.0, "{} ms", call.lag(450..500));
}

#[test]
fn the_farthest_of_the_copies_is_waited_for_under_random_loss() {
    let mut call = Call::new(speech());
    call.backs = vec![1, 2];
    let mut line = |random: &mut Random, number: u64| {
        let delay = quiet(random, number);
        delay.filter(|_| !random.loses(0.1))
    };
    call.run(0..5, &mut line);
    let before = call.stats();
    call.run(5..125, &mut line);
    let stats = call.stats();
    // One in a thousand is lost with both of its copies: 6 of 6000.
    let concealed = stats.concealed - before.concealed;
    assert!(concealed <= 12, "{concealed}: {stats:?}");
    let moved = stats.stretched - before.stretched;
    assert!(moved.as_millis() <= 60, "{moved:?}");
}

#[test]
fn one_frame_in_a_hundred_is_not_worth_waiting_for_a_far_copy() {
    let mut call = Call::new(speech());
    call.backs = vec![10];
    call.run(0..60, |random, number| {
        let delay = quiet(random, number);
        delay.filter(|_| !random.loses(0.005))
    });
    assert!(call.lag(50..600) < 40.0, "{} ms", call.lag(50..600));
}

#[test]
fn a_frame_is_decoded_from_the_repair_in_the_next_one() {
    let mut call = Call::new(speech());
    call.mends = true;
    call.run(0..60, |random, number| {
        let delay = quiet(random, number);
        delay.filter(|_| !random.loses(0.05))
    });
    let stats = call.stats();
    assert!(stats.recovered > 100, "{stats:?}");
    assert!(stats.concealed < 30, "{stats:?}");
    let lag = call.lag(50..600);
    assert!((15.0..45.0).contains(&lag), "{lag} ms");
}

#[test]
fn half_an_hour_of_clock_drift_adds_no_delay_and_is_not_heard() {
    // 300 ppm either way.
    for block in [9_997, 10_003] {
        let mut call = Call::new(speech());
        call.block = block;
        for minute in 0..30u64 {
            call.run(minute * 60..(minute + 1) * 60, |random, _| {
                Some(PATH + 4.0 * random.even())
            });
            call.heard.clear();
            let last = (minute * 60 + 50) * 10..(minute + 1) * 600;
            let lag = call.lag(last);
            assert!(lag < 25.0, "{lag} ms in minute {minute}, {block}");
        }
        let stats = call.stats();
        assert!(stats.rough <= 30, "{stats:?}");
        assert!(stats.concealed <= 10, "{stats:?}");
        let moved = stats.stretched.as_millis();
        assert!((400..3_000).contains(&moved), "{moved} ms of 540");
    }
}

#[test]
fn stretched_speech_has_no_clicks() {
    let mut call = Call::new(vowel());
    // Up and down all the time.
    call.run(0..60, |random, number| {
        let slow = if number / 150 % 2 == 0 { 0.0 } else { 60.0 };
        Some(PATH + slow * random.even())
    });
    let stats = call.stats();
    assert!(stats.stretched.as_millis() > 300, "{stats:?}");
    // Past the start, and without holes: those are the decoder's to bridge.
    let steepest = |sound: &[f32]| {
        let steps = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        steps.fold(0.0, f32::max)
    };
    let allowed = steepest(vowel()) * 1.3;
    let holes = |part: &&[f32]| !part.contains(&0.0);
    let parts = call.heard[48_000..].chunks(BLOCK);
    let worst = parts.filter(holes).map(steepest).fold(0.0, f32::max);
    assert!(worst <= allowed, "a step of {worst}, said {allowed}");
}

#[test]
fn a_stretched_tone_keeps_its_pitch_and_level() {
    for tone in [110.0, 220.0, 333.0] {
        let made = |n: usize| 0.5 * (n as f32 / 48_000.0 * tone * TAU).sin();
        let mut sound: Vec<f32> = (0..72_000).map(made).collect();
        sound.resize(96_000, 0.0);
        let mut length = 72_000;
        for step in 0..30 {
            let from = 2_000 + step * 1_400;
            let window = from..from + 2_000;
            if step % 3 == 0 {
                let found = stretch::shorter(&sound[window], 120, 720, 0.5);
                let mut cut = found.expect("long enough");
                cut.at += from;
                let shorter = stretch::shorten(&mut sound[..length], cut);
                assert_eq!(shorter, length - cut.by);
                length = shorter;
            } else {
                let end = from + 2_000;
                let cut = stretch::longer(&sound[..end], from, 120, 720).expect("long enough");
                assert!(cut.likeness > 0.95, "{cut:?}");
                let longer = stretch::lengthen(&mut sound, length, cut);
                assert_eq!(longer, length + cut.by);
                length = longer;
            }
        }
        let heard = &sound[..length];
        let ups = heard.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0);
        let pitch = ups.count() as f32 / (length as f32 / 48_000.0);
        assert!((pitch - tone).abs() < tone * 0.02, "{tone} became {pitch}");
        for part in heard[..length / BLOCK * BLOCK].chunks(4 * BLOCK) {
            let power = part.iter().map(|s| s * s).sum::<f32>() / part.len() as f32;
            assert!((0.09..0.16).contains(&power), "{power} at {tone} Hz");
        }
    }
}

#[test]
fn a_long_gap_sounds_like_the_room_and_not_like_nothing() {
    let mut call = Call::new(speech());
    call.run(0..10, quiet);
    let until = call.heard.len();
    call.run(10..20, |_, _| None);
    call.run(20..25, quiet);
    let power = |sound: &[f32]| sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32;
    let gap = power(&call.heard[until + 48_000..until + 8 * 48_000]);
    let room = power(&(0..48_000).map(|n| hiss(n as u64)).collect::<Vec<_>>());
    assert!((0.4..2.5).contains(&(gap / room)), "{gap}, the room {room}");
    assert!(power(&call.heard[until + 10 * 48_000..]) > 1e-3, "no voice");
    assert!(call.stats().concealed < 20, "{:?}", call.stats());
}

#[test]
fn a_packet_that_cannot_be_decoded_is_bridged() {
    struct Broken(u32);
    impl Decode for Broken {
        fn decode(&mut self, _: &[u8], sound: &mut [f32; FRAME]) -> bool {
            sound.fill(f32::NAN);
            false
        }
        fn recover(&mut self, _: &[u8], _: &mut [f32; FRAME]) -> bool {
            false
        }
        fn conceal(&mut self, sound: &mut [f32]) -> bool {
            self.0 += 1;
            sound.fill(0.25);
            self.0.is_multiple_of(2)
        }
    }
    let (mut playout, mut decoder) = (new(), Broken(0));
    for number in 0..100u64 {
        let now = number * 20_000;
        playout.push(number as u16, &[1], micros(now));
        for half in [10_000, 20_000] {
            let mut block = [0.0; BLOCK];
            playout.pull(&mut decoder, micros(now + half), &mut block);
            assert!(block.iter().all(|sample| sample.is_finite()));
        }
    }
    assert!(decoder.0 > 50);
}

fn new() -> Playout {
    Playout::new(Settings {
        frame: Duration::from_millis(20),
        target: Duration::from_millis(5),
        max_payload: 80,
        mends: |packet| packet.last() == Some(&1),
    })
}

fn number_in(packet: &[u8]) -> u64 {
    let bytes = packet[..8].try_into().expect("a number");
    u64::from_le_bytes(bytes)
}

fn micros(time: u64) -> Duration {
    Duration::from_micros(time)
}

/// Words of 0.4 s with short stops between them, a pause every three seconds, in a quiet room.
fn speech() -> &'static [f32] {
    static SAID: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let said = vowel().iter().zip(0..);
        said.map(|(sample, n)| sample * loudness(n) + hiss(n))
            .collect()
    });
    &SAID
}

fn loudness(n: u64) -> f32 {
    let time = n as f64 / 48_000.0;
    match (time % 0.5, time % 3.0) {
        (_, 2.4..) => 0.0,
        (part @ 0.0..0.4, _) => (part / 0.4 * std::f64::consts::PI).sin() as f32,
        _ => 0.0,
    }
}

/// A voice that never stops: a period of 8 ms or so with its overtones.
fn vowel() -> &'static [f32] {
    static SAID: LazyLock<Vec<f32>> = LazyLock::new(|| (0..6 * 48_000).map(voice).collect());
    &SAID
}

fn voice(n: u64) -> f32 {
    let time = n as f64 / 48_000.0;
    // The pitch wanders by a twentieth, once in two seconds.
    let turns = 120.0 * time + 6.0 * (time * std::f64::consts::PI).sin() / std::f64::consts::PI;
    let phase = (turns.fract() as f32) * TAU;
    let overtones = [0.5, 0.35, 0.25, 0.2, 0.1, 0.05];
    let parts = overtones.iter().zip(1..);
    0.3 * parts
        .map(|(loud, k)| loud * (phase * k as f32).sin())
        .sum::<f32>()
}

/// The room, at about -72 dB.
fn hiss(n: u64) -> f32 {
    let mixed = (n ^ 0x9e37_79b9).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((mixed >> 40) as f32 / (1u32 << 24) as f32 - 0.5) * 8e-4
}

/// What the fastest packet takes, in ms.
const PATH: f64 = 30.0;
