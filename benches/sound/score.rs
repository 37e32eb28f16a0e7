//! Quality, as far as a Python with the metrics is there.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::clips::Pair;

/// Means over all clips.
pub struct Scores {
    pub pesq: f32,
    pub plcmos: f32,
}

/// `None` when it cannot be judged; the reason is printed.
pub fn judge(pairs: &[Pair]) -> Option<Scores> {
    let python = std::env::var("TWOCAN_SCORE_PYTHON").unwrap_or("python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/sound/score.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut list = String::new();
    for (said, heard) in pairs {
        list += &format!("{}\t{}\n", said.display(), heard.display());
    }
    child.stdin.take()?.write_all(list.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let scores: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
    let mean = |name: &str| scores[name].as_f64().map_or(f32::NAN, |mean| mean as f32);
    Some(Scores {
        pesq: mean("pesq"),
        plcmos: mean("plcmos"),
    })
}
