//! The speech: read or made, put in a row, cut out again.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What was said and what was heard, as files.
pub type Pair = (PathBuf, PathBuf);

/// The speech in this folder, in the order of names; without one, made by espeak-ng.
pub fn load(folder: Option<&Path>) -> Result<Vec<Vec<f32>>, String> {
    let made = folder.is_none().then(speak).transpose()?;
    let folder = folder.or(made.as_deref()).ok_or("no speech")?;
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "wav"));
    files.sort();
    let clips: Vec<_> = files
        .iter()
        .map(|path| read(path))
        .collect::<Result<_, _>>()?;
    if let Some(made) = &made {
        let _ = std::fs::remove_dir_all(made);
    }
    match clips.len() {
        0 | 1 => Err(format!(
            "{}: at least two WAV files, please",
            folder.display()
        )),
        _ => Ok(clips),
    }
}

pub fn seconds(clips: &[Vec<f32>]) -> f64 {
    clips.iter().map(Vec::len).sum::<usize>() as f64 / 48_000.0
}

/// What one phone says: the lead, then all clips so many times.
pub fn said(clips: &[Vec<f32>], side: usize, repeats: u64) -> Vec<f32> {
    let lead = clips[clips.len() - 2..].concat();
    let passes = (0..repeats).flat_map(|_| order(clips.len(), side));
    let said = passes.flat_map(|index| clips[index].iter().copied());
    lead.into_iter().chain(said).collect()
}

/// Samples of the lead.
pub fn lead(clips: &[Vec<f32>]) -> usize {
    clips.iter().rev().take(2).map(Vec::len).sum()
}

/// Cuts what was heard of the first pass into as many files as there are clips.
pub fn write(
    folder: &Path,
    clips: &[Vec<f32>],
    heard: &crate::call::Heard,
) -> Result<Vec<Pair>, String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut pairs = Vec::new();
    for (side, heard) in heard.by.iter().enumerate() {
        let mut at = lead(clips);
        for index in order(clips.len(), side) {
            let clip = &clips[index];
            let end = (at + clip.len() + LATE).min(heard.len());
            let name = |what: &str| folder.join(format!("{side}-{index:02}-{what}.wav"));
            let pair = (name("said"), name("heard"));
            save(&pair.0, clip)?;
            save(&pair.1, &heard[at.min(end)..end])?;
            pairs.push(pair);
            at += clip.len();
        }
    }
    Ok(pairs)
}

/// A folder of our own under that for temporary files.
pub fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("twocan-sound-{}", std::process::id()))
}

fn order(count: usize, side: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index + side * count / 2) % count)
}

fn speak() -> Result<PathBuf, String> {
    let folder = scratch().with_extension("speech");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for (number, sentences) in SENTENCES.iter().enumerate() {
        let file = folder.join(format!("{number}.wav"));
        let voice = ["en+m3", "en+f2"][number % 2];
        let done = Command::new("espeak-ng")
            .args(["-v", voice, "-s", "150", "-w"])
            .arg(&file)
            .arg(sentences)
            .status();
        if !done.is_ok_and(|status| status.success()) {
            return Err("there is no speech: name a folder of mono WAV files \
                (cargo bench --bench sound -- DIR), or install espeak-ng"
                .to_owned());
        }
    }
    Ok(folder)
}

/// At 48 kHz. A straight line between two samples will do: this is what is said, whatever it is.
fn read(path: &Path) -> Result<Vec<f32>, String> {
    let error = |e: hound::Error| format!("{}: {e}", path.display());
    let mut reader = hound::WavReader::open(path).map_err(error)?;
    let spec = reader.spec();
    if spec.channels != 1 || spec.sample_format != hound::SampleFormat::Int {
        return Err(format!("{}: not mono of whole numbers", path.display()));
    }
    let most = (1u64 << (spec.bits_per_sample - 1)) as f32;
    let samples = reader.samples::<i32>();
    let samples: Vec<f32> = samples
        .map(|sample| sample.map(|sample| sample as f32 / most))
        .collect::<Result<_, _>>()
        .map_err(error)?;
    let step = f64::from(spec.sample_rate) / 48_000.0;
    let count = (samples.len() as f64 / step) as usize;
    let at = |index: usize| {
        let (whole, part) = (
            (index as f64 * step) as usize,
            (index as f64 * step).fract() as f32,
        );
        let next = samples.get(whole + 1).unwrap_or(&samples[whole]);
        samples[whole] * (1.0 - part) + next * part
    };
    Ok((0..count).map(at).collect())
}

fn save(path: &Path, samples: &[f32]) -> Result<(), String> {
    let error = |e: hound::Error| format!("{}: {e}", path.display());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).map_err(error)?;
    for sample in samples {
        let whole = (sample * 32_768.0).clamp(-32_768.0, 32_767.0) as i16;
        writer.write_sample(whole).map_err(error)?;
    }
    writer.finalize().map_err(error)
}

/// Longest delay with which a clip is heard to its end, in samples.
const LATE: usize = 28_800;

const SENTENCES: [&str; 6] = [
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. \
        It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish. Rice is often served in round bowls. \
        The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage. \
        Four hours of steady work faced us.",
    "A large size in stockings is hard to sell. The boy was there when the sun rose. \
        A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring. Kick the ball straight and follow through. \
        Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening. Smoky fires lack flame and heat. \
        The soft cushion broke the man's fall.",
];
