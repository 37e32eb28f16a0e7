//! The sound side from file to file: two of them wired back to back, without a network.

#![expect(clippy::print_stdout, reason = "the delay is a figure worth seeing")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use twocan::api::CallId;
use twocan::audio::{Audio, AudioEvent, AudioStats, Backend, Settings};
use twocan::phone::types::{Frame, OpenMic, Rung};

/// Two sound sides in one call, each with a WAV microphone and a WAV loudspeaker.
struct Pair {
    _directory: TempDir,
    ends: [End; 2],
    said: [PathBuf; 2],
    heard: [PathBuf; 2],
}

struct End {
    audio: Audio,
    events: Receiver<AudioEvent>,
    stats: AudioStats,
    loudest: (f32, f32),
}

impl Pair {
    fn new(said: [Vec<f32>; 2]) -> Pair {
        let directory = TempDir::new().expect("directory");
        let path = |name: &str| directory.path().join(name);
        let files = [path("said0.wav"), path("said1.wav")];
        let heard = [path("heard0.wav"), path("heard1.wav")];
        let ends = [0, 1].map(|i| {
            write(&files[i], 48_000, 1, &said[i]);
            let (input, output) = (files[i].clone(), heard[i].clone());
            let settings = Settings::new(Backend::Wav { input, output });
            let (audio, events) = Audio::start(settings).expect("started");
            End {
                audio,
                events,
                stats: AudioStats::default(),
                loudest: (0.0, 0.0),
            }
        });
        Pair {
            _directory: directory,
            ends,
            said: files,
            heard,
        }
    }

    fn open(&self, call: CallId) {
        for end in &self.ends {
            end.audio.open(OpenMic::for_testing_only(call));
        }
    }

    fn close(&self, call: CallId) {
        for end in &self.ends {
            end.audio.close(call);
        }
    }

    /// Carries frames both ways.
    async fn run(&mut self, time: Duration) {
        let [left, right] = &mut self.ends;
        let there = pump(
            &mut left.events,
            &right.audio,
            &mut left.stats,
            &mut left.loudest,
        );
        let back = pump(
            &mut right.events,
            &left.audio,
            &mut right.stats,
            &mut right.loudest,
        );
        let _ = timeout(time, async { tokio::join!(there, back) }).await;
    }
}

async fn pump(
    from: &mut Receiver<AudioEvent>,
    to: &Audio,
    stats: &mut AudioStats,
    loudest: &mut (f32, f32),
) {
    while let Some(event) = from.recv().await {
        match event {
            AudioEvent::Frame(call, frame, _) => to.push(call, frame),
            AudioEvent::Report(call, report) => to.report(call, report),
            AudioEvent::Stats { stats: new, .. } => *stats = new,
            AudioEvent::Levels { mic, speaker, .. } => {
                *loudest = (loudest.0.max(mic), loudest.1.max(speaker));
            }
            AudioEvent::Lost { why } => panic!("sound lost: {why}"),
            AudioEvent::Restored { .. }
            | AudioEvent::Refused { .. }
            | AudioEvent::Microphone { .. }
            | AudioEvent::RecordingLost { .. } => {}
        }
    }
}

#[tokio::test]
async fn what_one_says_the_other_hears_soon_and_at_the_same_level() {
    let mut pair = Pair::new([chirps(6.0), vec![0.0; 48_000]]);
    pair.open(CallId(1));
    pair.run(Duration::from_secs(5)).await;
    pair.close(CallId(1));
    pair.run(Duration::from_millis(500)).await;

    let (said, heard) = (read(&pair.said[0]), read(&pair.heard[1]));
    let early = delay(&said, &heard, 1.0, 2.0);
    let late = delay(&said, &heard, 3.5, 4.5);
    println!("mouth to ear: {early:.1} ms in second 1, {late:.1} ms in second 4");
    assert!((20.0..SLOW_DAY).contains(&early), "{early} ms");
    assert!((late - early).abs() < SLOW_DAY, "from {early} to {late} ms");
    let stats = &pair.ends[1].stats;
    assert!(stats.received >= 190, "{stats:?}");
    assert!(stats.loss < 0.1, "{stats:?}");
    let (mic, speaker) = (pair.ends[0].loudest.0, pair.ends[1].loudest.1);
    assert!(
        (mic - speaker).abs() < 0.15 && mic > 0.3,
        "{mic} became {speaker}"
    );
    assert_eq!(pair.ends[1].loudest.0, 0.0, "the other one was silent");
}

#[tokio::test]
async fn mute_sends_silence_in_frames_of_the_same_size() {
    let directory = TempDir::new().expect("directory");
    let input = directory.path().join("in.wav");
    write(&input, 48_000, 1, &chirps(3.0));
    let output = directory.path().join("out.wav");
    let (audio, mut events) =
        Audio::start(Settings::new(Backend::Wav { input, output })).expect("started");
    audio.mute(true);
    audio.open(OpenMic::for_testing_only(CallId(7)));
    let (mut frames, mut loudest) = (0, 0.0f32);
    while frames < 60 {
        match timeout(Duration::from_secs(5), events.recv()).await {
            Ok(Some(AudioEvent::Frame(call, frame, _))) => {
                assert_eq!(call, CallId(7));
                assert_eq!(usize::from(frame.seq), frames);
                assert!((1..=80).contains(&frame.opus.len()));
                assert_eq!((frame.copies.len(), frame.rung), (0, Rung::USUAL));
                frames += 1;
            }
            Ok(Some(AudioEvent::Levels { mic, .. })) => loudest = loudest.max(mic),
            Ok(Some(_)) => {}
            other => panic!("no more frames: {other:?}"),
        }
    }
    assert_eq!(loudest, 0.0);
}

#[tokio::test]
async fn a_resumed_call_goes_on_with_its_files_and_another_starts_anew() {
    let mut pair = Pair::new([chirps(10.0), vec![0.0; 480]]);
    let call = CallId(1);
    pair.open(call);
    pair.run(Duration::from_millis(1500)).await;
    pair.close(call);
    pair.run(Duration::from_millis(700)).await;
    let first = read(&pair.heard[1]);
    assert!(
        (68_000..76_000).contains(&first.len()),
        "{} samples",
        first.len()
    );

    pair.open(call);
    pair.run(Duration::from_millis(1500)).await;
    pair.close(call);
    pair.run(Duration::from_millis(300)).await;
    let both = read(&pair.heard[1]);
    assert_eq!(both[..first.len()], first[..], "the first part was kept");
    assert!(both.len() > first.len() + 68_000, "{} samples", both.len());
    // The microphone stood still during the hold: what comes now follows what was said before.
    let said = read(&pair.said[0]);
    let shift = delay(&said, &both, 1.8, 2.6);
    assert!(shift < SLOW_DAY, "{shift} ms");

    pair.open(CallId(2));
    pair.run(Duration::from_millis(500)).await;
    pair.close(CallId(2));
    pair.run(Duration::from_millis(300)).await;
    let other = read(&pair.heard[1]);
    assert!(other.len() < 30_000, "{} samples", other.len());
}

#[tokio::test]
async fn the_written_file_is_whole_while_the_call_lasts() {
    let mut pair = Pair::new([chirps(5.0), vec![0.0; 480]]);
    pair.open(CallId(1));
    pair.run(Duration::from_millis(2600)).await;
    let heard = read(&pair.heard[1]);
    assert!(heard.len() >= 48_000 * 3 / 2, "{} samples", heard.len());
}

#[tokio::test]
async fn files_of_other_rates_and_channels_are_converted() {
    for (rate, channels) in [(8_000, 2), (44_100, 2), (16_000, 1)] {
        let directory = TempDir::new().expect("directory");
        let input = directory.path().join("in.wav");
        let tone: Vec<f32> = (0..rate * 3)
            .map(|i| 0.4 * (i as f32 / rate as f32 * 700.0 * std::f32::consts::TAU).sin())
            .collect();
        write(&input, rate, channels, &tone);
        let output = directory.path().join("out.wav");
        let settings = Settings::new(Backend::Wav { input, output });
        let (audio, mut events) = Audio::start(settings).expect("started");
        audio.open(OpenMic::for_testing_only(CallId(1)));
        let mut loudest = 0.0f32;
        for _ in 0..100 {
            match timeout(Duration::from_secs(5), events.recv()).await {
                Ok(Some(AudioEvent::Levels { mic, .. })) => loudest = loudest.max(mic),
                Ok(Some(_)) => {}
                other => panic!("no more events: {other:?}"),
            }
        }
        assert!((0.36..0.44).contains(&loudest), "{rate} Hz: {loudest}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_to_do() {
    let directory = TempDir::new().expect("directory");
    let path = |name: &str| directory.path().join(name);
    let said = |input: PathBuf, output: PathBuf| {
        let started = Audio::start(Settings::new(Backend::Wav { input, output }));
        started.expect_err("refused").to_string()
    };
    let error = said(path("none.wav"), path("out.wav"));
    assert!(error.contains("none.wav"), "{error}");

    std::fs::write(
        path("text.wav"),
        "this is not sound at all, but long enough",
    )
    .expect("written");
    let error = said(path("text.wav"), path("out.wav"));
    assert!(
        error.contains("text.wav") && error.contains("WAV"),
        "{error}"
    );

    // A-law, 8000 Hz, mono.
    let mut alaw = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x06\0\x01\0".to_vec();
    alaw.extend([0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0]);
    alaw.extend(b"data\x08\0\0\0\xd5\xd5\xd5\xd5\xd5\xd5\xd5\xd5");
    std::fs::write(path("alaw.wav"), alaw).expect("written");
    let error = said(path("alaw.wav"), path("out.wav"));
    assert!(
        error.contains("A-law") && error.contains("ffmpeg"),
        "{error}"
    );

    write(&path("good.wav"), 48_000, 1, &[0.0; 480]);
    let error = said(path("good.wav"), path("nowhere").join("out.wav"));
    assert!(error.contains("nowhere"), "{error}");
    assert!(!path("out.wav").exists(), "nothing was written");
}

#[tokio::test]
async fn a_device_that_is_not_there_is_told_once_and_the_call_goes_on() {
    let name = Some("no device is called like this".to_owned());
    let (input, output) = (name.clone(), name);
    let settings = Settings::new(Backend::Cpal { input, output });
    let (audio, mut events) = Audio::start(settings).expect("started");
    audio.open(OpenMic::for_testing_only(CallId(1)));
    let (mut lost, mut frames) = (Vec::new(), 0);
    // Long enough for a second attempt.
    while frames < 200 || lost.is_empty() {
        match timeout(Duration::from_secs(10), events.recv()).await {
            Ok(Some(AudioEvent::Lost { why })) => lost.push(why),
            Ok(Some(AudioEvent::Frame(..))) => frames += 1,
            Ok(Some(AudioEvent::Restored { place })) => panic!("sound from {place}"),
            Ok(Some(_)) => {}
            other => panic!("no more events: {other:?}"),
        }
    }
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(audio.place(), "no sound");
}

#[tokio::test]
async fn without_a_call_nothing_comes_and_frames_are_ignored() {
    let (audio, mut events) = Audio::start(Settings::new(Backend::Null)).expect("started");
    let frame = Frame::new(0, [0; 80].into_iter().collect());
    for _ in 0..100 {
        audio.push(CallId(1), frame.clone());
    }
    audio.close(CallId(9));
    assert!(
        timeout(Duration::from_millis(300), events.recv())
            .await
            .is_err()
    );
    audio.open(OpenMic::for_testing_only(CallId(1)));
    let first = timeout(Duration::from_secs(5), events.recv()).await;
    assert!(matches!(first, Ok(Some(AudioEvent::Restored { place })) if place.words == "null"));
    drop(audio);
    let ended = timeout(Duration::from_secs(5), async {
        while events.recv().await.is_some() {}
    });
    assert!(ended.await.is_ok(), "the thread did not end");
}

/// Two tones every quarter of a second, so that a delay can be found by correlation.
fn chirps(seconds: f32) -> Vec<f32> {
    (0..(seconds * 48_000.0) as usize)
        .map(|i| {
            let time = i as f32 / 48_000.0;
            let part = time % 0.25;
            let tone = 300.0 + 1700.0 * ((time * 4.0).floor() * 0.37).fract();
            let shape = if part < 0.1 { (part * 31.4).sin() } else { 0.0 };
            0.5 * shape * (part * tone * std::f32::consts::TAU).sin()
        })
        .collect()
}

/// The shift in ms at which a stretch of `said` is found best in `heard`.
fn delay(said: &[f32], heard: &[f32], from: f32, to: f32) -> f32 {
    let (from, to) = ((from * 48_000.0) as usize, (to * 48_000.0) as usize);
    let likeness = |shift: usize| -> f32 {
        let pairs = said[from..to].iter().zip(&heard[from + shift..]);
        pairs.step_by(3).map(|(a, b)| a * b).sum()
    };
    let best = (0..24_000)
        .step_by(8)
        .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)));
    best.expect("not empty") as f32 / 48.0
}

fn write(path: &Path, rate: u32, channels: u16, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("created");
    for sample in samples {
        for _ in 0..channels {
            writer
                .write_sample((sample * 32767.0) as i16)
                .expect("written");
        }
    }
    writer.finalize().expect("finalized");
}

fn read(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).expect("a whole WAV file");
    assert_eq!(reader.spec().sample_rate, 48_000);
    let samples = reader.samples::<i16>();
    samples
        .map(|s| f32::from(s.expect("a sample")) / 32768.0)
        .collect()
}

/// Milliseconds that no delay here may reach even on a busy machine; the real figures are printed
/// by the bench.
const SLOW_DAY: f32 = 400.0;
