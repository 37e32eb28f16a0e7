//! Recording: who is told, and that the file holds what was said and heard.

mod common;
mod support;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::World;
use support::{Phone, SOON, connect, friends, signal};
use twocan::api::{CallState, Command, Event, Switch, Trouble};

const SECOND: Duration = Duration::from_secs(1);

fn record(to: Switch) -> Command {
    Command::Record { call: None, to }
}

/// What this side was told of recordings: here and there.
fn told(world: &World, side: usize) -> Vec<(bool, bool)> {
    let events = world.sides[side].events.iter();
    let told = events.filter_map(|event| match event {
        Event::Recording { here, there, .. } => Some((*here, *there)),
        _ => None,
    });
    told.collect()
}

#[test]
fn both_sides_know_who_records_as_long_as_it_lasts() {
    let mut world = World::friends(71);
    world.dial(0, 1);
    world.run_until(SECOND, |w| w.state(1) == Some(CallState::Ringing));
    world.answer(1);
    world.run(SECOND);
    world.order(0, record(Switch::On));
    world.run(SECOND);
    assert_eq!(told(&world, 0), [(true, false)]);
    assert_eq!(told(&world, 1), [(false, true)]);
    let flags = |world: &World, side: usize| {
        let calls = world.sides[side].phone.status().calls;
        (calls[0].recording_here, calls[0].recording_there)
    };
    assert_eq!(flags(&world, 0), (true, false));
    assert_eq!(flags(&world, 1), (false, true));
    world.order(1, record(Switch::Toggle));
    world.run(SECOND);
    assert_eq!(
        (flags(&world, 0), flags(&world, 1)),
        ((true, true), (true, true))
    );
    world.order(0, record(Switch::Off));
    world.order(0, record(Switch::Off));
    world.run(SECOND);
    assert_eq!(
        told(&world, 0),
        [(true, false), (true, true), (false, true)]
    );
    assert_eq!(
        told(&world, 1),
        [(false, true), (true, true), (true, false)]
    );
}

#[test]
fn nothing_is_recorded_before_the_answer() {
    let mut world = World::friends(72);
    world.dial(0, 1);
    world.run_until(SECOND, |w| w.state(0) == Some(CallState::Ringing));
    for side in [0, 1] {
        let answer = world.order(side, record(Switch::On)).expect("an answer");
        let refusal = answer.expect_err("too early");
        assert_eq!(refusal.trouble, Trouble::NotNow);
    }
    world.run(SECOND);
    assert!(told(&world, 0).is_empty() && told(&world, 1).is_empty());
}

#[tokio::test]
async fn the_file_holds_what_was_said_and_what_was_heard() {
    let (said_by_anna, said_by_ben) = (signal::speech(5.0, 1), signal::speech(5.0, 2));
    let anna = Phone::with_wav("Anna", &said_by_anna);
    let ben = Phone::with_wav("Ben", &said_by_ben);
    let (mut anna, mut ben) = friends(anna, ben).await;
    connect(&mut ben, &mut anna, "Anna").await;
    anna.order(record(Switch::On)).await;
    let file = anna
        .wait(SOON, |event| match event {
            Event::Recording {
                here: true, file, ..
            } => file.clone(),
            _ => None,
        })
        .await;
    let is_told = |event: &Event| match event {
        Event::Recording {
            there: true,
            file: None,
            ..
        } => Some(()),
        _ => None,
    };
    ben.wait(SOON, is_told).await;
    tokio::time::sleep(4 * SECOND).await;

    let file = Path::new(&file);
    let early = sides(file);
    assert!(
        early[0].len() >= 2 * signal::RATE,
        "it is written as it goes on"
    );
    let is_over = |event: &Event| match event {
        Event::Recording {
            here: false,
            there: false,
            ..
        } => Some(()),
        _ => None,
    };
    anna.order(record(Switch::Off)).await;
    ben.wait(SOON, is_over).await;
    anna.hang_up().await;
    anna.until_ended(SOON).await;
    ben.until_ended(SOON).await;
    let history = [&anna.history().await[0], &ben.history().await[0]]
        .map(|line| (line.recorded_here, line.recorded_there));
    assert_eq!(history, [(true, false), (false, true)]);
    let heard = anna.out();
    let _home = anna.end().await;

    let name = file
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(
        name.starts_with("twocan-2") && name.ends_with("-Ben.opus"),
        "{name}"
    );
    let mode = file.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let [left, right] = sides(file);
    assert!((3.5..8.0).contains(&(left.len() as f32 / signal::RATE as f32)));
    let length = 2.5;
    for (original, track) in [(said_by_anna, left), (signal::read(&heard), right)] {
        let found = best(&original, &track, length);
        assert!(found > 0.8, "likeness {found}");
    }
    ben.end().await;
}

/// How alike the middle of `track` is to whatever piece of `original` it is most alike to.
fn best(original: &[i16], track: &[i16], seconds: f32) -> f32 {
    let original: Vec<f32> = original.iter().map(|&s| f32::from(s)).collect();
    let from = signal::RATE / 2;
    let piece = &track[from..from + (seconds * signal::RATE as f32) as usize];
    let piece: Vec<f32> = piece.iter().map(|&s| f32::from(s)).collect();
    let likeness = |at: usize, step: usize| {
        let (mut product, mut a, mut b) = (0.0, 0.0, 0.0);
        for n in (0..piece.len()).step_by(step) {
            let (x, y) = (original[at + n], piece[n]);
            product += x * y;
            a += x * x;
            b += y * y;
        }
        product / (a * b).sqrt().max(1.0)
    };
    let places = original.len().saturating_sub(piece.len());
    // Coarse first: the pitch is below 250 Hz, so 12 samples are a small part of a period.
    let coarse = (0..places).step_by(12).map(|at| (likeness(at, 8), at));
    let (_, near) = coarse.fold(
        (0.0, 0),
        |best, new| if new.0 > best.0 { new } else { best },
    );
    let around = near.saturating_sub(12)..(near + 12).min(places);
    around.map(|at| likeness(at, 1)).fold(0.0, f32::max)
}

/// Both channels of a recording, by an independent reading of RFC 7845 and RFC 6716 appendix B.
fn sides(file: &Path) -> [Vec<i16>; 2] {
    let mut reader = ogg::PacketReader::new(File::open(file).expect("a recording"));
    let head = reader.read_packet_expected().expect("a head").data;
    assert_eq!(&head[..8], b"OpusHead");
    // Version 1, 2 channels, mapping family 1, 2 streams, none coupled, left and right.
    assert_eq!(
        (head[8], head[9], &head[18..]),
        (1, 2, &[1, 2, 0, 0, 1][..])
    );
    let skip = usize::from(u16::from_le_bytes([head[10], head[11]]));
    let tags = reader.read_packet_expected().expect("tags").data;
    assert_eq!(&tags[..8], b"OpusTags");
    let mut decoders = [(); 2].map(|()| audiopus_sys::Decoder::new(48_000).expect("a decoder"));
    let mut tracks = [Vec::new(), Vec::new()];
    while let Ok(Some(packet)) = reader.read_packet() {
        let data = packet.data;
        let (length, start) = match data[1] {
            length @ 0..=251 => (usize::from(length), 2),
            first => (usize::from(data[2]) * 4 + usize::from(first), 3),
        };
        let mut left = vec![data[0]];
        left.extend(&data[start..start + length]);
        let streams = [left.as_slice(), &data[start + length..]];
        for ((decoder, track), opus) in decoders.iter_mut().zip(&mut tracks).zip(streams) {
            let mut pcm = [0.0; 960];
            decoder.decode(opus, &mut pcm).expect("a good packet");
            track.extend(pcm.map(|sample| (sample * 32_767.0) as i16));
        }
    }
    tracks.map(|track| track[skip.min(track.len())..].to_vec())
}
