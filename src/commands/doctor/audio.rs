//! `twocan doctor audio`: where sound comes from and goes to here, and whether it comes at all.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use twocan::audio::{
    self, Attempt, AudioEvent, AudioStats, Backend, DeviceView, Settings, Survey, echo, survey,
};
use twocan::cli::Exit;

use crate::commands::fail::Failure;
use crate::commands::setup::Setup;
use crate::commands::{devices, host, out};

/// Everything that was tried and heard. Fields may be added, never renamed.
#[derive(Clone, Debug, Serialize)]
struct Findings {
    by_ssh: bool,
    host: String,
    tried: Vec<Attempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerFound>,
    devices: Vec<DeviceView>,
    microphone: Heard,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct ServerFound {
    address: String,
    kind: String,
    version: String,
    host: String,
    /// It runs on this computer.
    here: bool,
    round_trip_ms: f32,
    jitter_ms: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What came of opening the devices as a call does.
#[derive(Clone, Debug, Default, Serialize)]
struct Heard {
    /// Where, in words; nothing if they could not be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    frames: u64,
    /// Highest level, as share of full scale.
    peak: f32,
    shortages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// Looks, listens, and reports.
///
/// # Errors
/// When a call would have no sound.
pub async fn run(setup: &Setup) -> Result<(), Failure> {
    let config = setup.config()?;
    devices::part_from_noise();
    out::say("Looking for sound, and listening for a moment; this takes up to 20 seconds.");
    let server = host::sound_server(&config);
    let asked = server.clone();
    let looked = tokio::task::spawn_blocking(move || survey(asked.as_deref()));
    let survey = looked
        .await
        .map_err(|error| Failure::new(Exit::Other, error))?;
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let settings = Settings {
        server,
        ..Settings::new(Backend::Cpal {
            input: named(&config.sound.microphone),
            output: named(&config.sound.speaker),
        })
    };
    let heard = listen(settings).await?;
    let findings = findings(survey, heard);
    if setup.global.json {
        out::json(&findings)?;
    } else {
        for line in report(&findings) {
            out::line(line)?;
        }
    }
    match &findings.trouble {
        None => Ok(()),
        Some(why) => Err(Failure::new(Exit::Audio, why)),
    }
}

/// Opens the devices as a call does, and closes them before anything is heard.
async fn listen(settings: Settings) -> Result<Heard, Failure> {
    let (tell, mut told) = mpsc::channel(64);
    let running = tokio::spawn(echo(settings, tell));
    let mut heard = Heard::default();
    let opened = timeout(OPENING, async {
        while let Some(event) = told.recv().await {
            match event.sound {
                AudioEvent::Restored { place } => {
                    heard.place = Some(place.to_string());
                    return;
                }
                AudioEvent::Lost { why } => {
                    heard.trouble = Some(why.to_string());
                    return;
                }
                _ => {}
            }
        }
    });
    if opened.await.is_err() {
        heard.trouble = Some("the sound device does not open".to_owned());
    }
    if heard.trouble.is_none() {
        let until = sleep(LISTENING);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                Some(event) = told.recv() => note(&mut heard, event.sound),
            }
        }
    }
    drop(told);
    match running.await {
        Ok(Ok(())) => Ok(heard),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(Failure::new(Exit::Other, error)),
    }
}

fn note(heard: &mut Heard, event: AudioEvent) {
    match event {
        AudioEvent::Levels { mic, .. } => heard.peak = heard.peak.max(mic),
        AudioEvent::Stats {
            stats:
                AudioStats {
                    recorded,
                    shortages,
                    ..
                },
            ..
        } => {
            heard.frames = recorded;
            heard.shortages = shortages;
        }
        AudioEvent::Lost { why } => heard.trouble = Some(why.to_string()),
        _ => {}
    }
}

fn findings(survey: Survey, heard: Heard) -> Findings {
    let millis = |time: Duration| time.as_secs_f32() * 1000.0;
    let server = survey.server.map(|used: audio::Used| ServerFound {
        address: used.address,
        kind: used.kind,
        version: used.version,
        host: used.host,
        here: used.is_here,
        round_trip_ms: millis(used.round_trip),
        jitter_ms: millis(used.jitter),
        note: used.note,
    });
    Findings {
        by_ssh: survey.by_ssh,
        host: survey.this_host,
        tried: survey.tried,
        server,
        devices: survey.devices,
        trouble: heard.trouble.clone().or(survey.trouble),
        microphone: heard,
    }
}

/// The report, line by line.
fn report(found: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    for tried in &found.tried {
        let why = tried.why_not.as_deref().unwrap_or("answers, and is used");
        lines.push(format!(
            "looked for  {} ({}): {why}",
            tried.address, tried.named_by
        ));
    }
    lines.push(match &found.server {
        Some(server) => format!(
            "server      {} {} at {}",
            server.kind, server.version, server.host
        ),
        None => "server      none: the sound cards of this computer are used".to_owned(),
    });
    lines.push(format!("sound       {}", whereabouts(found)));
    if let Some(server) = found.server.as_ref().filter(|server| !server.here) {
        lines.push(format!(
            "round trip  {:.1} ms, jitter {:.1} ms: it comes on top of a call's delay",
            server.round_trip_ms, server.jitter_ms
        ));
    }
    lines.push(format!("devices     {}", found.devices.len()));
    let described = found.devices.iter().map(devices::describe);
    lines.extend(described.map(|device| format!("  {}", device.replace('\n', "\n  "))));
    lines.extend(microphone(&found.microphone));
    lines
}

fn whereabouts(found: &Findings) -> String {
    let is_here = found.server.as_ref().is_none_or(|server| server.here);
    match (&found.server, found.by_ssh, is_here) {
        (Some(server), _, false) => format!("comes out of {}", server.host),
        (_, true, true) => format!(
            "comes out of {}, not your computer: there, start with `twocan ssh`",
            found.host
        ),
        (_, false, true) => "comes out of this computer".to_owned(),
        (None, _, false) => "comes out nowhere".to_owned(),
    }
}

fn microphone(heard: &Heard) -> Vec<String> {
    if let Some(why) = &heard.trouble {
        return vec![format!("opening     failed: {why}")];
    }
    let place = heard.place.as_deref().unwrap_or("no place");
    let decibels = 20.0 * heard.peak.max(1e-6).log10();
    let level = match heard.peak {
        0.0 => "nothing at all: it is muted, or another one is in use".to_owned(),
        peak if peak < QUIET => format!("{decibels:.0} dB at most: silence, or very quiet"),
        peak if peak > LOUD => format!("{decibels:.0} dB at most: too loud"),
        _ => format!("{decibels:.0} dB at most: fine if you were speaking"),
    };
    vec![
        format!("opening     works: {place}"),
        format!("microphone  {level}"),
        format!(
            "shortages   {} in {} s",
            heard.shortages,
            LISTENING.as_secs_f32()
        ),
    ]
}

/// A wireless headset wakes up in this time, and every server has been given up.
const OPENING: Duration = Duration::from_secs(12);

/// Shorter than the echo takes, which would otherwise be heard.
const LISTENING: Duration = Duration::from_millis(1800);

/// 50 dB below full scale.
const QUIET: f32 = 0.003;

const LOUD: f32 = 0.98;

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Findings {
        Findings {
            by_ssh: false,
            host: "here".to_owned(),
            tried: vec![Attempt {
                address: "/run/x".to_owned(),
                named_by: "custom",
                why_not: Some("is not there".to_owned()),
            }],
            server: None,
            devices: Vec::new(),
            microphone: Heard::default(),
            trouble: None,
        }
    }

    #[test]
    fn who_came_by_ssh_is_told_of_the_wrong_computer() {
        let by_ssh = Findings {
            by_ssh: true,
            ..nowhere()
        };
        let text = report(&by_ssh).join("\n");
        assert!(
            text.contains("comes out of here, not your computer"),
            "{text}"
        );
        assert!(!report(&nowhere()).join("\n").contains("not your computer"));
        assert!(text.contains("/run/x (custom): is not there"), "{text}");
    }

    #[test]
    fn levels_are_said_in_words() {
        let says = |peak| {
            let heard = Heard {
                peak,
                ..Heard::default()
            };
            microphone(&heard).join("\n")
        };
        assert!(says(0.0).contains("muted"));
        assert!(says(0.001).contains("quiet"));
        assert!(says(0.3).contains("-10 dB"));
        assert!(says(1.0).contains("too loud"));
    }
}
