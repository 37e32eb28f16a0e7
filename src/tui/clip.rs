//! The clipboard of the terminal's own computer, by OSC 52: works through ssh.

use crossterm::Command;
use crossterm::clipboard::CopyToClipboard;

use crate::tui::notify::Surroundings;

/// The sequence that puts `text` on the clipboard. In tmux it is sent twice: tmux takes the one if
/// its `set-clipboard` is on, the terminal the other if `allow-passthrough` is.
pub fn copy(text: &str, surroundings: Surroundings) -> String {
    let mut sequence = String::new();
    if CopyToClipboard::to_clipboard_from(text)
        .write_ansi(&mut sequence)
        .is_err()
    {
        return String::new();
    }
    if surroundings.in_tmux() {
        let wrapped = surroundings.through(&sequence);
        sequence.push_str(&wrapped);
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_as_base64() {
        let sequence = copy("twocan", Surroundings::guess(|_| None));
        assert_eq!(sequence, "\x1b]52;c;dHdvY2Fu\x1b\\");
    }
}
