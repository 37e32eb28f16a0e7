//! What the voice costs and how late it comes. `cargo bench --bench voice -- MODE`:
//!
//! - (nothing): codec and jitter buffer alone, then one minute's worth of a call with no device
//! - `speech IN.wav OUT.wav`: IN through both sound sides of a call in real time, for a quality score
//! - `soak SECONDS`: mouth to ear at the beginning and at the end of a long call
//! - `devices SECONDS`: a call on the default sound devices that hears itself
//! - `loop SECONDS`: speaker to microphone and back; wants a sink whose monitor is the default source
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use twocan::api::CallId;
use twocan::audio::{Audio, AudioEvent, AudioStats, Backend, Decoder, Encoder, SAMPLES, Settings};
use twocan::phone::types::OpenMic;
use twocan::voice::{Jitter, Pull};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let seconds = |text: &str| Duration::from_secs(text.parse().expect("a number of seconds"));
    match words[..] {
        [] => {
            parts();
            runtime.block_on(silent_call(Duration::from_secs(10)));
        }
        ["speech", input, output] => {
            runtime.block_on(speech(Path::new(input), Path::new(output)));
        }
        ["soak", time] => runtime.block_on(soak(seconds(time))),
        ["devices", time] => runtime.block_on(devices(seconds(time))),
        ["loop", time] => runtime.block_on(round(seconds(time))),
        _ => println!("unknown mode: see the head of benches/voice.rs"),
    }
}

/// A minute of frames through each part, without waiting.
fn parts() {
    let frames = 3000;
    let pcm = voice_like(frames);
    for complexity in [10, 8, 7, 5] {
        let mut encoder = Encoder::new(complexity).unwrap();
        encoder.aim(32_000, false).unwrap();
        let cost = cpu(|| {
            for frame in pcm.as_chunks::<SAMPLES>().0 {
                encoder.encode(frame, 80).unwrap();
            }
        });
        println!("encode, complexity {complexity:2}: {cost:.3} CPU s per minute");
    }
    let mut encoder = Encoder::new(10).unwrap();
    encoder.aim(32_000, false).unwrap();
    let cost = cpu(|| {
        for _ in 0..frames {
            encoder.encode(&[0.0; SAMPLES], 80).unwrap();
        }
    });
    println!("encode silence, complexity 10: {cost:.3} CPU s per minute");
    let mut encoder = Encoder::new(10).unwrap();
    encoder.aim(32_000, false).unwrap();
    let packets: Vec<_> = pcm
        .as_chunks::<SAMPLES>()
        .0
        .iter()
        .map(|frame| encoder.encode(frame, 80).unwrap())
        .collect();
    for (complexity, lost) in [(0, 0), (5, 0), (5, 20), (6, 0), (7, 0), (10, 0)] {
        let mut decoder = Decoder::new(complexity).unwrap();
        let mut heard = [0.0; SAMPLES];
        let cost = cpu(|| {
            for (number, packet) in packets.iter().enumerate() {
                match lost > 0 && number % (100 / lost.max(1)) == 0 {
                    true => decoder.conceal(&mut heard).unwrap(),
                    false => decoder.decode(packet, &mut heard).unwrap(),
                }
            }
        });
        println!("decode, complexity {complexity:2}, {lost:2} % lost: {cost:.3} CPU s per minute");
    }
    let mut encoder = Encoder::new(10).unwrap();
    encoder.aim(32_000, false).unwrap();
    let silence = encoder.encode(&[0.0; SAMPLES], 80).unwrap();
    let mut decoder = Decoder::new(5).unwrap();
    let mut heard = [0.0; SAMPLES];
    let cost = cpu(|| {
        for _ in 0..frames {
            decoder.decode(&silence, &mut heard).unwrap();
        }
    });
    println!("decode silence, complexity  5: {cost:.3} CPU s per minute");
    let settings = twocan::voice::Settings {
        frame: Duration::from_millis(20),
        target: Duration::from_millis(10),
        max_payload: 80,
        mends: |_| false,
    };
    let mut jitter = Jitter::new(settings);
    let cost = cpu(|| {
        for number in 0..frames as u64 * 100 {
            let now = Duration::from_millis(number * 20);
            jitter.push(number as u16, &packets[0], now);
            let pulled = jitter.pop(now + settings.target);
            assert!(pulled != Pull::Conceal);
        }
    });
    println!("jitter buffer: {:.5} CPU s per minute", cost / 100.0);
}

/// A call without devices that hears itself: codec, jitter buffer, thread, channels.
async fn silent_call(time: Duration) {
    let (audio, mut events) = Audio::start(Settings::new(Backend::Null)).unwrap();
    let cost = echoed(&audio, &mut events, time).await;
    println!("call without devices: {cost:.3} CPU s per minute, silence");
}

async fn devices(time: Duration) {
    let backend = Backend::Cpal {
        input: None,
        output: None,
    };
    let (audio, mut events) = Audio::start(Settings::new(backend)).unwrap();
    let cost = echoed(&audio, &mut events, time).await;
    println!("call on {}: {cost:.3} CPU s per minute", audio.place());
    audio.close(CallId(1));
    let before = process_time();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = (process_time() - before).as_secs_f64() * 12.0;
    println!("no call: {idle:.3} CPU s per minute");
}

/// Serves a call whose far side says what the microphone says. CPU seconds per minute, and where
/// they went.
async fn echoed(audio: &Audio, events: &mut Receiver<AudioEvent>, time: Duration) -> f64 {
    let call = CallId(1);
    audio.open(OpenMic::for_testing_only(call));
    tokio::time::sleep(Duration::from_secs(2)).await;
    while events.try_recv().is_ok() {}
    let (threads, before, began) = (thread_times(), process_time(), Instant::now());
    let _ = tokio::time::timeout(time, async {
        while let Some(event) = events.recv().await {
            match event {
                AudioEvent::Frame(call, frame, _) => audio.push(call, frame),
                AudioEvent::Stats { stats, .. } => println!("  {}", line(&stats)),
                AudioEvent::Lost { why } => println!("  lost: {why}"),
                AudioEvent::Restored { place } => println!("  restored: {place}"),
                AudioEvent::Report(call, report) => audio.report(call, report),
                AudioEvent::Levels { .. }
                | AudioEvent::RecordingLost { .. }
                | AudioEvent::Microphone { .. } => {}
                AudioEvent::Refused { why } => println!("  refused: {why}"),
            }
        }
    })
    .await;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    for (id, name, spent) in thread_times() {
        let earlier = threads.iter().find(|thread| thread.0 == id);
        let spent = spent - earlier.map_or(0.0, |thread| thread.2);
        println!("  thread {name}: {:.3} CPU s per minute", spent / minutes);
    }
    (process_time() - before).as_secs_f64() / minutes
}

async fn speech(input: &Path, output: &Path) {
    let length = hound::WavReader::open(input).unwrap().duration() / 48_000;
    let silence = scratch("silence.wav");
    write(&silence, &[0.0; 480]);
    let time = Duration::from_secs(u64::from(length) + 1);
    let stats = between(input, &scratch("unheard.wav"), &silence, output, time).await;
    println!("{} {} {}", input.display(), output.display(), line(&stats));
}

async fn soak(time: Duration) {
    let seconds = time.as_secs_f32();
    let (said, heard) = (scratch("said.wav"), scratch("heard.wav"));
    write(&said, &chirps(seconds));
    let stats = between(&said, &scratch("unheard.wav"), &said, &heard, time).await;
    println!("{}", line(&stats));
    let (said, heard) = (read(&said), read(&heard));
    let mut at = 1.0;
    while at + 2.0 < seconds {
        println!(
            "at {at:5.0} s: {:.1} ms mouth to ear",
            delay(&said, &heard, at)
        );
        at += (seconds / 10.0).max(2.0);
    }
}

/// One side with files calls one with the devices, whose loudspeaker stands before its microphone.
async fn round(time: Duration) {
    let (said, heard) = (scratch("said.wav"), scratch("heard.wav"));
    write(&said, &chirps(time.as_secs_f32()));
    let files = Backend::Wav {
        input: said.clone(),
        output: heard.clone(),
    };
    let devices = Backend::Cpal {
        input: None,
        output: None,
    };
    let stats = pair(files, devices, time).await;
    println!("{} | {}", line(&stats.0), line(&stats.1));
    let (said, heard) = (read(&said), read(&heard));
    let mut at = 3.0;
    while at + 2.0 < time.as_secs_f32() {
        println!(
            "at {at:5.0} s: {:.1} ms there and back",
            delay(&said, &heard, at)
        );
        at += 2.0;
    }
}

async fn between(
    left_in: &Path,
    left_out: &Path,
    right_in: &Path,
    right_out: &Path,
    time: Duration,
) -> AudioStats {
    let files = |input: &Path, output: &Path| Backend::Wav {
        input: input.to_owned(),
        output: output.to_owned(),
    };
    pair(files(left_in, left_out), files(right_in, right_out), time)
        .await
        .1
}

/// A call between two sound sides, without a network.
async fn pair(left: Backend, right: Backend, time: Duration) -> (AudioStats, AudioStats) {
    let call = CallId(1);
    let (left, mut from_left) = Audio::start(Settings::new(left)).unwrap();
    let (right, mut from_right) = Audio::start(Settings::new(right)).unwrap();
    left.open(OpenMic::for_testing_only(call));
    right.open(OpenMic::for_testing_only(call));
    let (mut at_left, mut at_right) = (AudioStats::default(), AudioStats::default());
    let there = carry(&mut from_left, &right, &mut at_left);
    let back = carry(&mut from_right, &left, &mut at_right);
    let _ = tokio::time::timeout(time, async { tokio::join!(there, back) }).await;
    (at_left, at_right)
}

async fn carry(from: &mut Receiver<AudioEvent>, to: &Audio, last: &mut AudioStats) {
    while let Some(event) = from.recv().await {
        match event {
            AudioEvent::Frame(call, frame, _) => to.push(call, frame),
            AudioEvent::Stats { stats, .. } => *last = stats,
            AudioEvent::Lost { why } => println!("lost: {why}"),
            AudioEvent::Report(call, report) => to.report(call, report),
            AudioEvent::Restored { .. }
            | AudioEvent::RecordingLost { .. }
            | AudioEvent::Refused { .. }
            | AudioEvent::Microphone { .. }
            | AudioEvent::Levels { .. } => {}
        }
    }
}

fn line(stats: &AudioStats) -> String {
    format!(
        "jitter {:.1} ms, buffer {:.1} ms, loss {:.1} %, recorded {}, received {}, concealed {}, late {}, skipped {}, dropped {}",
        stats.jitter_ms,
        stats.buffer_ms,
        stats.loss * 100.0,
        stats.recorded,
        stats.received,
        stats.concealed,
        stats.late,
        stats.skipped,
        stats.dropped
    )
}

/// CPU seconds of this thread.
fn cpu(work: impl FnOnce()) -> f64 {
    let own = || {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        nanoseconds(&text)
    };
    let before = own();
    work();
    own() - before
}

/// CPU time of all threads that ever ran.
fn process_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Number, name and CPU seconds of every thread.
fn thread_times() -> Vec<(String, String, f64)> {
    let mut times = Vec::new();
    for entry in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let id = entry.file_name().to_string_lossy().into_owned();
        times.push((
            id,
            read("comm").trim().to_owned(),
            nanoseconds(&read("schedstat")),
        ));
    }
    times
}

fn nanoseconds(schedstat: &str) -> f64 {
    let first = schedstat.split_whitespace().next().unwrap_or("0");
    first.parse::<f64>().unwrap_or(0.0) / 1e9
}

/// Noise through two resonances, in syllables: keeps a speech encoder as busy as speech.
fn voice_like(frames: usize) -> Vec<f32> {
    let mut random = 1u32;
    let (mut near, mut far) = (0.0f32, 0.0f32);
    (0..frames * SAMPLES)
        .map(|i| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pulse = if i % 400 == 0 { 8.0 } else { 0.0 };
            let drive = pulse + (random as f32 / u32::MAX as f32 - 0.5) * 0.2;
            let loud = (i as f32 / 48_000.0 * 4.0 * std::f32::consts::TAU)
                .sin()
                .max(0.0);
            let new = 1.9 * near - 0.91 * far + drive * 0.02;
            (far, near) = (near, new);
            (new * loud).clamp(-1.0, 1.0)
        })
        .collect()
}

/// A tone of changing pitch every quarter of a second, so that a delay can be found.
fn chirps(seconds: f32) -> Vec<f32> {
    (0..(seconds * 48_000.0) as usize)
        .map(|i| {
            let time = i as f64 / 48_000.0;
            let part = time % 0.25;
            let tone = 300.0 + 1700.0 * ((time * 4.0).floor() * 0.37).fract();
            let shape = if part < 0.1 { (part * 31.4).sin() } else { 0.0 };
            (0.5 * shape * (part * tone * std::f64::consts::TAU).sin()) as f32
        })
        .collect()
}

/// The shift in ms at which a second of `said` is found best in `heard`.
fn delay(said: &[f32], heard: &[f32], from: f32) -> f32 {
    let from = (from * 48_000.0) as usize;
    let likeness = |shift: usize| -> f32 {
        let pairs = said[from..from + 48_000]
            .iter()
            .zip(heard.get(from + shift..).unwrap_or(&[]));
        pairs.map(|(a, b)| a * b).sum()
    };
    let best = (0..19_200)
        .step_by(8)
        .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)));
    best.unwrap() as f32 / 48.0
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("voice-{}-{name}", std::process::id()))
}

fn write(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        writer.write_sample((sample * 32767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

fn read(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let samples = reader.samples::<i16>();
    samples.map(|s| f32::from(s.unwrap()) / 32768.0).collect()
}
