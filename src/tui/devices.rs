//! Sound devices on the screen: which there are, which one is used, and what to do without any.

use crate::api::{AudioView, Command, SoundDevice};
use crate::tui::action::Action;
use crate::tui::model::{Asked, Model};
use crate::tui::popup::Popup;
use crate::tui::update::{Effect, ask, send};

/// How the person came to this computer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Address of the computer that the person sits at.
    pub from: String,
    /// `user@address`, as that computer reaches this one.
    pub to: String,
    /// Port of sshd, if it is not the usual one.
    pub port: Option<u16>,
}

impl Came {
    /// From `SSH_CONNECTION` (client, its port, server, its port) and the name of the user.
    pub fn by_ssh(connection: &str, user: Option<&str>) -> Option<Came> {
        let mut words = connection.split_whitespace();
        let (from, _, host, port) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let port: u16 = port.parse().ok()?;
        let is_address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
        // These words are shown and copied into a shell.
        let is_plain = |user: &&str| {
            user.chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !is_address(from) || !is_address(host) {
            return None;
        }
        let user = user.filter(|user| !user.is_empty()).filter(is_plain);
        Some(Came {
            from: from.to_owned(),
            to: user.map_or(host.to_owned(), |user| format!("{user}@{host}")),
            port: (port != 22).then_some(port),
        })
    }

    /// What to type on the other computer so that its sound comes along.
    pub fn command(&self) -> String {
        let port = self
            .port
            .map_or(String::new(), |port| format!(" -p {port}"));
        // $$ is the number of the shell there: a name that nothing older can have taken.
        format!(
            "ssh -t -S none{port} -o ExitOnForwardFailure=yes -o Compression=no \
             -R /tmp/twocan-audio-$$.sock:$XDG_RUNTIME_DIR/pulse/native {} twocan",
            self.to
        )
    }
}

/// A row that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    pub is_microphone: bool,
    /// None: the system's choice.
    pub device: Option<&'a SoundDevice>,
    pub in_use: bool,
}

/// All rows, microphones first; none until the devices are known.
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let Some(devices) = &model.devices else {
        return Vec::new();
    };
    let of = |is_microphone: bool| {
        let name = model.audio.as_ref().map(|audio| match is_microphone {
            true => audio.microphone.as_str(),
            false => audio.speaker.as_str(),
        });
        let fits = move |device: &&SoundDevice| match is_microphone {
            true => device.microphone,
            false => device.speaker,
        };
        let real = devices.iter().filter(fits).map(move |device| Row {
            is_microphone,
            device: Some(device),
            in_use: name == Some(device.name.as_str()),
        });
        let system = Row {
            is_microphone,
            device: None,
            in_use: name.is_none_or(str::is_empty),
        };
        std::iter::once(system).chain(real)
    };
    if devices.is_empty() {
        return Vec::new();
    }
    of(true).chain(of(false)).collect()
}

/// Carries out what belongs to the devices; false if the action does not.
pub fn act(model: &mut Model, effects: &mut Vec<Effect>, action: Action) -> bool {
    match action {
        Action::Devices => open(model, effects),
        Action::LookAgain => ask(model, effects, Command::Devices, Asked::Devices),
        Action::UseDevice => choose(model, effects),
        Action::CopyCommand => copy(model, effects),
        _ => return false,
    }
    true
}

/// Takes what the engine has found.
pub fn take(model: &mut Model, devices: Vec<SoundDevice>) {
    model.devices = Some(devices);
    go(model, 0);
}

/// Takes what the engine says of the sound. Without any device the page with what to do comes up,
/// unless something else has the screen.
pub fn hear(model: &mut Model, audio: AudioView) {
    let before = model.audio.take().unwrap_or_default();
    match (&audio.trouble, &audio.note) {
        (Some(trouble), _) if before.trouble.as_ref() != Some(trouble) => {
            model.say(format!("sound: {trouble}"), true);
        }
        (None, Some(note)) if before.note.as_ref() != Some(note) => model.say(note.clone(), true),
        (None, None) if before.trouble.is_some() => {
            model.say(format!("sound is back: {}", audio.place), false);
        }
        _ => {}
    }
    let is_news = audio.missing && !before.missing;
    if is_news && model.popup.is_none() && !model.is_typing() {
        model.popup = Some(Popup::Devices { row: 0 });
    }
    if audio.missing {
        model.devices = Some(Vec::new());
    }
    model.audio = Some(audio);
}

/// The same as a line of text.
pub fn said(audio: &AudioView) -> Option<String> {
    Some(match (&audio.trouble, &audio.note) {
        (Some(trouble), _) => format!("no sound: {trouble}"),
        (None, Some(note)) => format!("sound: {}; {note}", audio.place),
        (None, None) => format!("sound: {}", audio.place),
    })
}

/// Moves the cursor by so many rows.
pub fn go(model: &mut Model, by: isize) {
    let last = rows(model).len().saturating_sub(1);
    if let Some(Popup::Devices { row }) = &mut model.popup {
        *row = row.saturating_add_signed(by).min(last);
    }
}

fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    let missing = model.audio.as_ref().is_some_and(|audio| audio.missing);
    model.devices = missing.then(Vec::new);
    model.popup = Some(Popup::Devices { row: 0 });
    ask(model, effects, Command::Devices, Asked::Devices);
}

fn choose(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Popup::Devices { row }) = model.popup else {
        return;
    };
    let rows = rows(model);
    let Some(Row {
        is_microphone,
        device,
        ..
    }) = rows.get(row)
    else {
        return;
    };
    let name = device.map_or(String::new(), |device| device.name.to_string());
    let command = match is_microphone {
        true => Command::Sound {
            microphone: Some(name),
            speaker: None,
        },
        false => Command::Sound {
            microphone: None,
            speaker: Some(name),
        },
    };
    send(model, effects, command);
}

fn copy(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(came) = &model.came {
        effects.push(Effect::Copy(came.command()));
        model.say(
            "copied, if this terminal lets programs reach the clipboard",
            false,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_leads_back_to_where_the_person_came_from() {
        let came = Came::by_ssh("192.0.2.7 50000 198.51.100.2 2222", Some("mika"));
        let came = came.expect("a connection");
        assert_eq!(came.from, "192.0.2.7");
        let command = came.command();
        assert!(command.contains(" -p 2222 "), "{command}");
        assert!(command.ends_with("mika@198.51.100.2 twocan"), "{command}");
        let plain = Came::by_ssh("2001:db8::1 1 2001:db8::2 22", None).expect("a connection");
        assert!(plain.command().ends_with("native 2001:db8::2 twocan"));
    }

    #[test]
    fn nothing_that_a_shell_would_run_gets_into_it() {
        for connection in [
            "",
            "a b c d",
            "192.0.2.7 1 $(reboot) 22",
            "192.0.2.7 1 ::1 x",
        ] {
            assert_eq!(Came::by_ssh(connection, None), None, "{connection}");
        }
        let came = Came::by_ssh("192.0.2.7 1 198.51.100.2 22", Some("a;reboot"));
        assert_eq!(came.expect("a connection").to, "198.51.100.2");
    }
}
