//! What is heard while a call moves from a reflector to a direct path: lines of all lengths, with
//! jitter, and a jitter buffer at both ends. `--nocapture` prints each call and the distribution.

#![expect(
    clippy::print_stdout,
    reason = "the table of what was heard, for --nocapture"
)]

mod common;

use std::time::Duration;

use common::World;
use common::homes::Home;
use common::internet::Cable;
use common::talks::SECOND;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use twocan::api::CallState;
use twocan::voice::{Jitter, Pull, Settings};

const MILLI: Duration = Duration::from_millis(1);

/// What a call was like at one end.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// The longest time between two arrivals.
    arrivals: Duration,
    /// The longest time that was bridged or silent once voice was there.
    silence: Duration,
}

/// Plays what has come since `from`, in halves of frames.
fn listen(world: &World, side: usize, from: Duration) -> Heard {
    let mut jitter = Jitter::new(Settings {
        frame: 20 * MILLI,
        target: 10 * MILLI,
        max_payload: 160,
        mends: |_| false,
    });
    let mut heard = Heard::default();
    let arrivals = world.sides[side].heard.iter();
    let mut arrivals = arrivals.filter(|(at, ..)| *at >= from).peekable();
    let mut last: Option<Duration> = None;
    let mut is_begun = false;
    let mut silence = Duration::ZERO;
    let mut now = from;
    while now < world.now {
        while let Some((at, _, frame)) = arrivals.next_if(|(at, ..)| *at <= now) {
            heard.arrivals = heard
                .arrivals
                .max(last.map_or(Duration::ZERO, |last| *at - last));
            last = Some(*at);
            jitter.push(frame.seq, &frame.opus, *at);
        }
        let (is_voice, lasts) = match jitter.pop(now) {
            Pull::Play(_) | Pull::Recover(_) => (true, 20 * MILLI),
            Pull::Conceal | Pull::Silence => (false, 10 * MILLI),
        };
        let trimmed = 10 * MILLI * jitter.trim();
        is_begun |= is_voice;
        if is_voice {
            silence = Duration::ZERO;
        } else if is_begun {
            silence += lasts;
        }
        heard.silence = heard.silence.max(silence);
        now += lasts - trimmed;
    }
    heard
}

/// Homes that meet directly, some after a search.
const PAIRS: [[Home; 2]; 6] = [
    [Home::PortRestricted, Home::PortRestricted],
    [Home::Open, Home::PortRestricted],
    [Home::Cgnat, Home::PortRestricted],
    [Home::PortRestricted, Home::Sequential],
    [Home::PortRestricted, Home::Symmetric],
    [Home::Symmetric, Home::Cgnat],
];

/// Every line has a delay of its own, up to 50 ms, and up to so much jitter.
fn on_any_lines(seed: u8, homes: [Home; 2], jitter: Duration) -> World {
    let mut rng = ChaCha20Rng::seed_from_u64(seed.into());
    let mut line = || Cable {
        jitter,
        ..Cable::of(MILLI * (1 + rng.next_u32() % 50))
    };
    let mut world = World::at_homes(seed, homes);
    for side in 0..2 {
        let host = world.homes().hosts[side];
        let node = world.homes().net.behind(host).unwrap_or(host);
        world.homes().net.lay(node, line());
    }
    for number in 0..2 {
        let host = world.homes().reflectors[number].host;
        world.homes().net.lay(host, line());
    }
    world
}

/// Nobody hears when a call goes from a circuit to a reflector, while it rings, and from there to a
/// direct path, while they talk.
#[test]
fn no_voice_is_missed_on_the_way_to_a_direct_path() {
    for jitter in [0, 5, 20] {
        let mut all = Vec::new();
        for seed in 0..24 {
            let homes = PAIRS[usize::from(seed) % PAIRS.len()];
            let mut world = on_any_lines(seed, homes, jitter * MILLI);
            world.dial(0, 1);
            let rings = |world: &World| world.state(1) == Some(CallState::Ringing);
            assert!(world.run_until(20 * SECOND, rings), "{homes:?}");
            world.run(2 * SECOND);
            let answered = world.now;
            world.answer(1);
            let is_direct = world.run_until(4 * SECOND, World::is_direct);
            assert!(is_direct, "{seed}: {homes:?}");
            world.run(3 * SECOND);
            for side in 0..2 {
                let heard = listen(&world, side, answered);
                println!("{seed:>3} {homes:?} side {side}, jitter {jitter} ms: {heard:?}");
                all.push(heard);
            }
        }
        let mut arrivals: Vec<Duration> = all.iter().map(|heard| heard.arrivals).collect();
        let mut silences: Vec<Duration> = all.iter().map(|heard| heard.silence).collect();
        for (name, of) in [("arrivals", &mut arrivals), ("silence", &mut silences)] {
            of.sort_unstable();
            let part = |percent: usize| of[(of.len() - 1) * percent / 100];
            let [half, most] = [part(50), part(100)];
            println!("jitter {jitter} ms: {name} {half:?}, at most {most:?}");
        }
        // Two lines in a row, each with its own.
        let most = (40 + 2 * jitter) * MILLI;
        assert!(arrivals.iter().all(|gap| *gap <= most), "{arrivals:?}");
        // A buffer that begins small bridges a little more before it knows how uneven the line is.
        let most = if jitter > 10 { 20 * MILLI } else { 10 * MILLI };
        assert!(silences.iter().all(|gap| *gap <= most), "{silences:?}");
    }
}
