//! The lines that are tried, what is to be reached on each, and the table of what was.

use crate::call::Heard;
use crate::line::{Jitter, Line, Loss};
use crate::score::Scores;

/// One line of the table.
pub struct Row {
    pub name: &'static str,
    pub line: Line,
    /// Millionths by which the second phone's sound card is slower.
    pub slower_ppm: f64,
    /// PESQ-WB and PLCMOS, kbit/s and ms to reach; 0 where nothing is asked.
    pub wanted: [f32; 4],
    pub is_long: bool,
}

impl Row {
    pub fn file(&self) -> String {
        let letters = self.name.chars();
        letters
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect()
    }
}

const fn row(name: &'static str, line: Line, wanted: [f32; 4]) -> Row {
    Row {
        name,
        line,
        slower_ppm: 0.0,
        wanted,
        is_long: false,
    }
}

const fn lossy(name: &'static str, share: f64, wanted: [f32; 4]) -> Row {
    row(name, Line::lossy(Loss::Random(share)), wanted)
}

const GOOD: Line = Line::GOOD;

pub const ROWS: [Row; 15] = [
    row("clean", GOOD, [4.45, 3.75, 32.0, 35.0]),
    lossy("0.5 % random loss", 0.005, [0.0; 4]),
    lossy("1 % random loss", 0.01, [0.0; 4]),
    lossy("2 % random loss", 0.02, [4.19, 3.74, 32.0, 0.0]),
    lossy("5 % random loss", 0.05, [4.2, 3.68, 48.0, 0.0]),
    lossy("10 % random loss", 0.10, [4.2, 3.7, 64.0, 0.0]),
    lossy("20 % random loss", 0.20, [4.0, 3.65, 64.0, 0.0]),
    lossy("30 % random loss", 0.30, [3.6, 3.55, 64.0, 0.0]),
    row(
        "19 % loss in bursts of 80 ms",
        Line::lossy(Loss::Bursts(0.19, 80.0)),
        [3.1, 3.5, 48.0, 0.0],
    ),
    row(
        "jitter, normal, 30 + 15 ms, reordering",
        Line {
            delay_ms: 30.0,
            jitter: Jitter::Normal(15.0),
            ..GOOD
        },
        [4.35, 0.0, 32.0, 110.0],
    ),
    row(
        "jitter, pareto, 30 + 20 ms, 2 % loss",
        Line {
            delay_ms: 30.0,
            jitter: Jitter::Pareto(20.0),
            loss: Loss::Random(0.02),
            ..GOOD
        },
        [4.0, 0.0, 0.0, 170.0],
    ),
    row(
        "jitter, pareto in order, 30 + 20 ms",
        Line {
            delay_ms: 30.0,
            jitter: Jitter::Pareto(20.0),
            in_order: true,
            ..GOOD
        },
        [0.0, 0.0, 0.0, 0.0],
    ),
    row(
        "2 s stall each 20 s",
        Line {
            delay_ms: 30.0,
            stall_each_s: 20.0,
            ..GOOD
        },
        [0.0, 0.0, 0.0, 65.0],
    ),
    row(
        "60 kbit/s with a queue of 2 s",
        Line {
            delay_ms: 30.0,
            carries_kbps: 60.0,
            ..GOOD
        },
        [0.0; 4],
    ),
    Row {
        slower_ppm: 300.0,
        is_long: true,
        ..row("clocks 300 ppm apart", GOOD, [0.0, 0.0, 0.0, 40.0])
    },
];

pub fn head() -> String {
    format!(
        "{:<40} {:>11} {:>11} {:>9} {:>17} {:>9}",
        "line (to reach in brackets)",
        "PESQ-WB",
        "PLCMOS",
        "kbit/s",
        "ms: median, end",
        "concealed"
    )
}

/// What was heard over one line.
pub fn line(row: &Row, heard: &Heard, scores: Option<&Scores>) -> String {
    let [pesq, plcmos, rate, delay] = row.wanted;
    let score = |of: fn(&Scores) -> f32| scores.map_or("-".to_owned(), |s| format!("{:.2}", of(s)));
    let goal = |wanted: f32, digits: usize| match wanted {
        0.0 => String::new(),
        _ => format!(" ({wanted:.digits$})"),
    };
    format!(
        "{:<40} {:>11} {:>11} {:>9} {:>17} {:>8.2}%",
        row.name,
        score(|s| s.pesq) + &goal(pesq, 2),
        score(|s| s.plcmos) + &goal(plcmos, 2),
        format!("{:.0}", heard.kbps) + &goal(rate, 0),
        format!("{:.0}, {:.0}", heard.delay_ms, heard.last_delay_ms) + &goal(delay, 0),
        heard.concealed * 100.0,
    )
}
