//! Calling attention by the terminal: bell and desktop notification.

/// The terminal and what lies between, by their environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    desktop: Desktop,
    tmux: bool,
}

/// Which sequence makes a desktop notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Desktop {
    /// Known to print rubbish or to do nothing.
    None,
    /// iTerm2.
    Osc9,
    /// Kitty.
    Osc99,
    /// urxvt, foot, WezTerm, Ghostty, VTE and others.
    Osc777,
}

impl Surroundings {
    /// Guesses from environment variables.
    pub fn guess(variable: impl Fn(&str) -> Option<String>) -> Surroundings {
        let program = variable("TERM_PROGRAM").unwrap_or_default();
        let term = variable("TERM").unwrap_or_default();
        let windows = variable("WT_SESSION").is_some();
        let desktop = match program.as_str() {
            "Apple_Terminal" | "vscode" | "alacritty" => Desktop::None,
            _ if windows || term.starts_with("alacritty") || term == "linux" => Desktop::None,
            "iTerm.app" => Desktop::Osc9,
            _ if term.contains("kitty") || variable("KITTY_WINDOW_ID").is_some() => Desktop::Osc99,
            _ => Desktop::Osc777,
        };
        Surroundings {
            desktop,
            tmux: variable("TMUX").is_some_and(|value| !value.is_empty()),
        }
    }

    /// The sequence that shows `text` on the desktop; empty where there is none.
    pub fn desktop(self, text: &str) -> String {
        let text: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_LETTERS)
            .collect();
        let sequence = match self.desktop {
            Desktop::None => return String::new(),
            Desktop::Osc9 => format!("\x1b]9;{text}\x1b\\"),
            Desktop::Osc99 => format!("\x1b]99;;{text}\x1b\\"),
            Desktop::Osc777 => format!("\x1b]777;notify;twocan;{text}\x1b\\"),
        };
        self.through(&sequence)
    }

    /// Wraps a sequence so that tmux hands it to the terminal (if `allow-passthrough` is on).
    pub fn through(self, sequence: &str) -> String {
        match self.tmux {
            true => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            false => sequence.to_owned(),
        }
    }

    pub fn in_tmux(self) -> bool {
        self.tmux
    }
}

/// The terminal's bell.
pub const BELL: &str = "\x07";

const MAX_LETTERS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Surroundings {
        Surroundings::guess(|name| {
            pairs
                .iter()
                .find(|pair| pair.0 == name)
                .map(|pair| pair.1.to_owned())
        })
    }

    #[test]
    fn each_terminal_gets_what_it_understands() {
        assert_eq!(
            given(&[("TERM", "foot")]).desktop("anna calls"),
            "\x1b]777;notify;twocan;anna calls\x1b\\"
        );
        assert_eq!(
            given(&[("TERM", "xterm-kitty")]).desktop("a"),
            "\x1b]99;;a\x1b\\"
        );
        assert_eq!(given(&[("TERM_PROGRAM", "vscode")]).desktop("a"), "");
        let tmux = given(&[
            ("TMUX", "/tmp/tmux-0/default,1,0"),
            ("TERM_PROGRAM", "iTerm.app"),
        ]);
        assert_eq!(tmux.desktop("a"), "\x1bPtmux;\x1b\x1b]9;a\x1b\x1b\\\x1b\\");
    }

    #[test]
    fn nothing_in_the_text_can_end_the_sequence() {
        let sequence = given(&[]).desktop("a\x1b\\\x07b\u{9c}");
        assert_eq!(sequence, "\x1b]777;notify;twocan;a\\b\x1b\\");
    }
}
