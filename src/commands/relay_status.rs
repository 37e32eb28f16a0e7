//! `twocan relay status`: what the running ultrapeer of this home carries, for how many, and where
//! its owner caps it. It is told over a socket of that home, and never says for whom.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io::IsTerminal;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;
use twocan::cli::Exit;
use twocan::relay::{Reflected, Serve, Status};

use super::fail::Failure;
use super::out;
use super::setup::Setup;

/// What the ultrapeer's socket tells.
pub fn line(status: watch::Receiver<Status>) -> impl Fn() -> String + Clone + Send + 'static {
    #[derive(Serialize)]
    struct Line {
        event: &'static str,
        #[serde(flatten)]
        status: Status,
    }
    move || {
        let line = Line {
            event: "status",
            status: *status.borrow(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// Prints it, once or each second.
///
/// # Errors
/// When no ultrapeer runs for this home.
pub async fn show(setup: &Setup, watch: bool) -> Result<(), Failure> {
    let path = setup.home.relay_socket();
    let stream = UnixStream::connect(&path)
        .await
        .map_err(|_| nobody_runs())?;
    // A line is some hundred bytes.
    let mut reader = BufReader::new(stream);
    let mut history = VecDeque::new();
    loop {
        let mut line = String::new();
        let read = (&mut reader).take(LONGEST).read_line(&mut line).await;
        if !matches!(read, Ok(1..)) {
            return Err(nobody_runs());
        }
        if setup.global.json {
            out::line(line.trim_end())?;
        } else {
            let status: Status = serde_json::from_str(&line).map_err(|error| {
                let why = format!("the running ultrapeer is another version: {error}");
                Failure::new(Exit::Other, why)
            })?;
            history.push_back(status.reflector.bits_per_second);
            if history.len() > 60 {
                history.pop_front();
            }
            let clear = if watch && std::io::stdout().is_terminal() {
                "\x1b[H\x1b[2J"
            } else {
                ""
            };
            let page = page(&status, if watch { Some(&history) } else { None });
            out::line(format!("{clear}{}", page.trim_end()))?;
        }
        if !watch {
            return Ok(());
        }
    }
}

fn nobody_runs() -> Failure {
    let why = "no ultrapeer runs for this home: start one with `twocan relay`";
    Failure::new(Exit::Home, why)
}

fn page(told: &Status, history: Option<&VecDeque<u64>>) -> String {
    let mut page = String::new();
    let mut row = |name: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{name:<11} {text}");
    };
    let r = &told.reflector;
    let serves = match r.serves {
        Serve::Everyone => Some("everyone"),
        Serve::Friends => Some("friends"),
        Serve::Nobody => None,
    };
    if let Some(serves) = serves {
        row(
            "Reflector",
            format!("serves {serves} on {} UDP ports", r.ports),
        );
        let rooms = format!(
            "{} of {}, in {} of them two talk",
            r.rooms, r.max_rooms, r.talking
        );
        row(
            "  rooms",
            format!("{} {rooms}", meter(r.rooms, r.max_rooms)),
        );
        row("  carries", carries(r));
        if let Some(history) = history {
            row(
                "  last min",
                format!("[{}]", spark(history, r.max_bits_per_second)),
            );
        }
        let all = format!(
            "{} in {} packets since the start",
            amount(r.bytes, "B"),
            r.packets
        );
        row("  carried", all);
        row(
            "  dropped",
            format!("{} by the cap, {} sent too fast", r.capped, r.too_fast),
        );
        row(
            "  asked",
            format!("{} rooms given, {} refused", r.given, r.refused),
        );
    } else {
        row("Reflector", "none: --reflect nobody".to_owned());
    }
    let circuits = format!(
        "{} open, {} phones reachable by one",
        told.circuits, told.reservations
    );
    row("Circuits", circuits);
    let directory = format!(
        "{} phones or ultrapeers here, {} other ultrapeers, {} records, {} requests refused",
        told.clients, told.ultrapeers, told.records, told.refused
    );
    row("Directory", directory);
    page
}

fn carries(r: &Reflected) -> String {
    let now = amount(r.bits_per_second, "bit/s");
    let packets = format!("{} packets/s", r.packets_per_second);
    match r.max_bits_per_second {
        Some(most) => {
            let meter = meter(r.bits_per_second, most);
            format!("{meter} {now} of {}, {packets}", amount(most, "bit/s"))
        }
        None => format!("{now}, {packets}, no cap"),
    }
}

/// Twenty cells, one of them for anything at all.
fn meter(part: u64, whole: u64) -> String {
    let full = (part * 20).checked_div(whole).unwrap_or(0);
    let full = full.clamp(u64::from(part > 0), 20) as usize;
    format!("[{}{}]", "#".repeat(full), "-".repeat(20 - full))
}

/// One sign for each second, the higher the denser.
fn spark(history: &VecDeque<u64>, most: Option<u64>) -> String {
    let top = history
        .iter()
        .copied()
        .chain(most)
        .max()
        .unwrap_or(0)
        .max(1);
    let sign = |&bits: &u64| {
        let step = (bits * (SIGNS.len() as u64 - 1)).div_ceil(top) as usize;
        char::from(SIGNS[step.min(SIGNS.len() - 1)])
    };
    history.iter().map(sign).collect()
}

fn amount(count: u64, unit: &str) -> String {
    let scaled = |by: f64, letter: &str| format!("{:.1} {letter}{unit}", count as f64 / by);
    match count {
        0..1_000 => format!("{count} {unit}"),
        1_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

const SIGNS: &[u8] = b" .:-=+*#%@";

/// Bytes that a line may have.
const LONGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_how_much_for_how_many_and_where_it_caps() {
        let told = Status {
            reflector: Reflected {
                serves: Serve::Everyone,
                ports: 2,
                rooms: 5000,
                max_rooms: 20_000,
                talking: 3,
                bits_per_second: 10_000_000,
                max_bits_per_second: Some(20_000_000),
                bytes: 1_500_000_000,
                capped: 7,
                ..Reflected::default()
            },
            ..Status::default()
        };
        let history = VecDeque::from([0, 20_000_000, 10_000_000]);
        let page = page(&told, Some(&history));
        for words in [
            "[#####---------------] 5000 of 20000, in 3 of them two talk",
            "[##########----------] 10.0 Mbit/s of 20.0 Mbit/s",
            "[ @+]",
            "1.5 GB",
            "7 by the cap",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        assert!(page.lines().all(|line| line.len() <= 100), "{page}");
    }

    #[test]
    fn nothing_is_an_empty_meter_and_little_is_not() {
        assert_eq!(meter(0, 10), format!("[{}]", "-".repeat(20)));
        assert_eq!(meter(1, 1_000_000), format!("[#{}]", "-".repeat(19)));
        assert_eq!(meter(5, 0), format!("[#{}]", "-".repeat(19)));
        assert_eq!(meter(9, 3), format!("[{}]", "#".repeat(20)));
    }
}
