//! PESQ by Python's package of that name, where it is there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that can score.
pub struct Scorer {
    python: String,
    /// Where the sounds are handed over.
    dir: PathBuf,
}

impl Scorer {
    pub fn find() -> Option<Scorer> {
        let python = env::var("PYTHON").unwrap_or("python3".to_owned());
        let found = Command::new(&python)
            .args(["-c", "import pesq, numpy, scipy"])
            .output()
            .is_ok_and(|output| output.status.success());
        let dir = env::temp_dir().join(format!("echo-bench-{}", std::process::id()));
        if !found {
            return None;
        }
        fs::create_dir_all(&dir).ok()?;
        Some(Scorer { python, dir })
    }

    /// PESQ-WB of what was heard against what was said, delay taken out. Both at 48 kHz.
    pub fn score(&self, said: &[f32], heard: &[f32]) -> Option<f32> {
        let files = [self.dir.join("said"), self.dir.join("heard")];
        write(&files[0], said).ok()?;
        write(&files[1], heard).ok()?;
        let output = Command::new(&self.python)
            .args(["-c", SCRIPT])
            .args(files)
            .output()
            .ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    }
}

impl Drop for Scorer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn write(path: &Path, sound: &[f32]) -> std::io::Result<()> {
    let bytes: Vec<u8> = sound.iter().flat_map(|s| s.to_le_bytes()).collect();
    fs::write(path, bytes)
}

const SCRIPT: &str = r#"
import sys, numpy as np
from scipy.signal import correlate, resample_poly
from pesq import pesq
said, heard = (resample_poly(np.fromfile(p, "<f4").astype(float), 1, 3) for p in sys.argv[1:3])
lag = int(np.argmax(correlate(heard, said, "full", "fft"))) - (len(said) - 1)
lag = lag if 0 <= lag < 1600 else 0
n = len(said) - lag
print(pesq(16000, said[:n], heard[lag:lag + n], "wb"))
"#;
