//! Speech through the whole chain of two phones, WAV to WAV, over lines good and bad:
//! `cargo bench --bench sound -- [DIR] [--row NAME]... [--keep DIR] [--minutes N]`
//!
//! Microphone, encoder, copies, sealed packets at their constant clock, the line, jitter buffer,
//! decoder, loudspeaker, and the reports back, in virtual time: the same at every run, and quick.
//! DIR holds the speech as mono WAV files; without one espeak-ng says something, if it is there.
//! Quality is judged by `score.py` beside this file, if the Python named by `TWOCAN_SCORE_PYTHON`
//! (or python3) has what it needs; else there are delays only.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../../tests/common/mod.rs"]
mod common;

mod call;
mod clips;
mod line;
mod measure;
mod rows;
mod score;

use std::path::PathBuf;

use call::Call;
use rows::{ROWS, Row};

fn main() -> Result<(), String> {
    let asked = Asked::read()?;
    let clips = clips::load(asked.speech.as_deref())?;
    println!("{} clips, {:.0} s", clips.len(), clips::seconds(&clips));
    println!("{}", rows::head());
    let rows = ROWS.iter().filter(|row| asked.wants(row));
    for row in rows {
        let heard = Call::new(row, &clips, asked.minutes).run();
        let folder = asked.keep.clone().unwrap_or_else(clips::scratch);
        let pairs = clips::write(&folder.join(row.file()), &clips, &heard)?;
        let scores = score::judge(&pairs);
        println!("{}", rows::line(row, &heard, scores.as_ref()));
        if asked.keep.is_none() {
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    Ok(())
}

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    speech: Option<PathBuf>,
    rows: Vec<String>,
    keep: Option<PathBuf>,
    minutes: u64,
}

impl Asked {
    fn read() -> Result<Asked, String> {
        let mut asked = Asked {
            minutes: 10,
            ..Asked::default()
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                // From cargo.
                "--bench" => {}
                "--row" => asked.rows.push(value()?),
                "--keep" => asked.keep = Some(value()?.into()),
                "--minutes" => asked.minutes = value()?.parse().map_err(|_| "minutes: a number")?,
                _ => asked.speech = Some(word.into()),
            }
        }
        Ok(asked)
    }

    fn wants(&self, row: &Row) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| row.name.starts_with(name))
    }
}
