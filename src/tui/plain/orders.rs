//! What can be typed in line mode.

use crate::api::{Command, Standing, Switch};

/// A line that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    Nothing,
    Help,
    Status,
    Contacts,
    History,
    Quit,
    Hold,
    Verify(bool),
    Answer {
        muted: bool,
    },
    Requests,
    /// A stranger, by ID or by number in the list of requests.
    Accept(String),
    Dismiss(String),
    Send(Command),
}

/// Reads a line. The error says what to type instead.
pub fn parse(line: &str) -> Result<Order, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let peer = || match rest {
        "" => Err(format!("{word} whom? Type: {word} NAME")),
        name => Ok(name.to_owned()),
    };
    Ok(match word {
        "" => Order::Nothing,
        "help" | "?" => Order::Help,
        "status" | "s" => Order::Status,
        "contacts" => Order::Contacts,
        "history" => Order::History,
        "quit" | "q" => Order::Quit,
        "hold" | "h" => Order::Hold,
        "v" | "same" => Order::Verify(true),
        "V" | "different" => Order::Verify(false),
        "answer" | "a" => Order::Answer { muted: false },
        "A" => Order::Answer { muted: true },
        "decline" | "d" => Order::Send(Command::Decline { call: None }),
        "ignore" | "i" => Order::Send(Command::Ignore { call: None }),
        "hangup" | "x" | "xx" => Order::Send(Command::Hangup { call: None }),
        "mute" | "m" => Order::Send(Command::Mute { to: Switch::Toggle }),
        "record" => Order::Send(Command::Record {
            call: None,
            to: Switch::Toggle,
        }),
        "invite" if rest == "public" => Order::Send(crate::tui::act::public_command()),
        "invite" if !rest.is_empty() => return Err("type: invite, or: invite public".to_owned()),
        "invite" => Order::Send(Command::Invite {
            lifetime: 7 * 24 * 3600,
            uses: 1,
            public: false,
        }),
        "announce" => announce(rest)?,
        "requests" => Order::Requests,
        "accept" => Order::Accept(peer()?),
        "dismiss" => Order::Dismiss(peer()?),
        "call" | "c" => Order::Send(Command::Dial {
            peer: peer()?,
            muted: false,
        }),
        "remove" => Order::Send(Command::Remove { peer: peer()? }),
        "block" => Order::Send(Command::Block {
            peer: peer()?,
            to: Switch::On,
        }),
        "unblock" => Order::Send(Command::Block {
            peer: peer()?,
            to: Switch::Off,
        }),
        "relay-only" => Order::Send(Command::RelayOnly {
            peer: peer()?,
            to: Switch::On,
        }),
        "any-path" => Order::Send(Command::RelayOnly {
            peer: peer()?,
            to: Switch::Off,
        }),
        "add" => add(rest)?,
        "text" => {
            let (peer, text) = two(rest).ok_or("type: text NAME: WORDS")?;
            Order::Send(Command::Text { peer, text })
        }
        "rename" => {
            let (peer, name) = two(rest).ok_or("type: rename NAME: NEW NAME")?;
            Order::Send(Command::Rename { peer, name })
        }
        _ if word.starts_with("twocan:") => add(line)?,
        _ => {
            return Err(format!(
                "\"{word}\" is no order here. Type help for all of them."
            ));
        }
    })
}

fn announce(rest: &str) -> Result<Order, String> {
    let standing = match rest {
        "available" => Standing::Available,
        "away" => Standing::Away,
        "dnd" | "do not disturb" => Standing::DoNotDisturb,
        "invisible" => Standing::Invisible,
        _ => return Err("type: announce available, away, dnd or invisible".to_owned()),
    };
    Ok(Order::Send(Command::Announce { standing }))
}

fn add(rest: &str) -> Result<Order, String> {
    let (line, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if line.is_empty() {
        return Err("type: add INVITE [NAME]".to_owned());
    }
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    Ok(Order::Send(Command::AddContact {
        line: line.to_owned(),
        name,
    }))
}

/// `NAME: REST`, since names may hold spaces.
fn two(rest: &str) -> Option<(String, String)> {
    let (first, second) = rest.split_once(':')?;
    let (first, second) = (first.trim(), second.trim());
    (!first.is_empty() && !second.is_empty()).then(|| (first.to_owned(), second.to_owned()))
}

/// All orders, for `help`.
pub const HELP: &[&str] = &[
    "call NAME          call",
    "a, A               answer, answer muted",
    "d, i               decline, ignore (the caller is not told)",
    "x                  hang up",
    "m                  mute or unmute",
    "h                  hold, or take up again",
    "record             record the call, or no longer; the other side is told",
    "v, V               the words are the same, they differ (hangs up)",
    "text NAME: WORDS   send a line",
    "contacts, history  who there is, what was",
    "status             how it stands",
    "announce WHAT      what contacts see: available, away, dnd (no sound), invisible",
    "invite             make an invite; invite public: one for strangers",
    "requests           strangers who ask to become contacts",
    "accept N, dismiss N  the one with that number there",
    "add INVITE [NAME]  add a contact by an invite",
    "rename NAME: NEW   give a contact another name",
    "remove NAME, block NAME, unblock NAME",
    "relay-only NAME (neither side learns the other's address), any-path NAME",
    "quit               leave",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let dial = Command::Dial {
            peer: "anna b".into(),
            muted: false,
        };
        assert_eq!(parse(" call  anna b "), Ok(Order::Send(dial)));
        assert_eq!(parse("a"), Ok(Order::Answer { muted: false }));
        assert_eq!(parse("A"), Ok(Order::Answer { muted: true }));
        let text = Command::Text {
            peer: "anna b".into(),
            text: "at 5: ok".into(),
        };
        assert_eq!(parse("text anna b: at 5: ok"), Ok(Order::Send(text)));
        let add = Command::AddContact {
            line: "twocan:1:x".into(),
            name: Some("bo k".into()),
        };
        assert_eq!(parse("add twocan:1:x bo k"), Ok(Order::Send(add)));
        assert_eq!(parse(""), Ok(Order::Nothing));
        let away = Command::Announce {
            standing: Standing::Away,
        };
        assert_eq!(parse("announce away"), Ok(Order::Send(away)));
        assert_eq!(parse("accept 2"), Ok(Order::Accept("2".into())));
        let public = parse("invite public").expect("an order");
        assert!(
            matches!(public, Order::Send(Command::Invite { public: true, .. })),
            "{public:?}"
        );
    }

    #[test]
    fn mistakes_say_what_to_type() {
        assert_eq!(parse("call"), Err("call whom? Type: call NAME".into()));
        assert_eq!(parse("text anna"), Err("type: text NAME: WORDS".into()));
        assert!(parse("announce").is_err_and(|trouble| trouble.contains("invisible")));
        assert!(parse("invite bo").is_err());
        assert!(parse("dance").is_err_and(|trouble| trouble.contains("help")));
    }
}
