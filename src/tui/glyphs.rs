//! The signs the screen draws, each in Unicode and in ASCII. No emoji: their width differs between
//! terminals and shifts borders.

use ratatui::symbols::border;

/// Which set to draw with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GlyphChoice {
    /// By the locale: ASCII without UTF-8, and where these signs may be two cells wide.
    #[default]
    Auto,
    Unicode,
    Ascii,
}

/// One set of signs, each one cell wide (`dot` three).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    pub connected: &'static str,
    pub reachable: &'static str,
    pub away: &'static str,
    pub do_not_disturb: &'static str,
    pub offline: &'static str,
    pub unknown: &'static str,
    pub pending: &'static str,
    pub blocked: &'static str,
    pub meter_full: &'static str,
    pub meter_empty: &'static str,
    /// A meter of a muted microphone.
    pub meter_off: &'static str,
    /// Before a word: the call is recorded.
    pub recording: &'static str,
    /// From nothing to full.
    pub spark: [&'static str; 8],
    /// Between two facts.
    pub dot: &'static str,
    /// Stands for what was cut off.
    pub more: &'static str,
    /// Half a cell high blocks exist, so a QR code can be drawn in half the rows.
    pub half_blocks: bool,
}

impl Glyphs {
    /// The set for a choice; `locale` is asked for environment variables.
    pub fn choose(choice: GlyphChoice, locale: impl Fn(&str) -> Option<String>) -> Glyphs {
        match choice {
            GlyphChoice::Unicode => UNICODE,
            GlyphChoice::Ascii => ASCII,
            GlyphChoice::Auto if narrow_utf8(locale) => UNICODE,
            GlyphChoice::Auto => ASCII,
        }
    }

    pub fn border(&self) -> border::Set<'static> {
        if self.half_blocks {
            border::PLAIN
        } else {
            ASCII_BORDER
        }
    }
}

/// The first of these that is set decides, as in the C library.
fn narrow_utf8(locale: impl Fn(&str) -> Option<String>) -> bool {
    let value = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| locale(name).filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_ascii_lowercase();
    let utf8 = value.contains("utf-8") || value.contains("utf8");
    // In these locales many fonts draw circles, blocks and lines two cells wide.
    let wide = ["zh", "ja", "ko"]
        .iter()
        .any(|language| value.starts_with(language));
    utf8 && !wide
}

pub const UNICODE: Glyphs = Glyphs {
    connected: "●",
    reachable: "◐",
    away: "◔",
    do_not_disturb: "⊖",
    offline: "○",
    unknown: "?",
    pending: "…",
    blocked: "×",
    meter_full: "█",
    meter_empty: "░",
    meter_off: "-",
    recording: "●",
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    dot: " · ",
    more: "…",
    half_blocks: true,
};

pub const ASCII: Glyphs = Glyphs {
    connected: "*",
    reachable: "+",
    away: "-",
    do_not_disturb: "=",
    offline: "o",
    unknown: "?",
    pending: "~",
    blocked: "x",
    meter_full: "#",
    meter_empty: ".",
    meter_off: "-",
    recording: "*",
    spark: ["_", ".", ":", "-", "=", "+", "*", "#"],
    dot: " - ",
    more: "~",
    half_blocks: false,
};

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn auto(name: &str, value: &str) -> Glyphs {
        Glyphs::choose(GlyphChoice::Auto, |asked| {
            (asked == name).then(|| value.to_owned())
        })
    }

    #[test]
    fn the_locale_decides() {
        assert_eq!(auto("LANG", "de_DE.UTF-8"), UNICODE);
        assert_eq!(auto("LC_ALL", "en_US.utf8"), UNICODE);
        assert_eq!(auto("LANG", "ja_JP.UTF-8"), ASCII);
        assert_eq!(auto("LANG", "C"), ASCII);
        assert_eq!(auto("NOTHING", ""), ASCII);
    }

    #[test]
    fn every_sign_is_one_cell_wide_and_ascii_is_ascii() {
        for set in [UNICODE, ASCII] {
            let mut signs = vec![
                set.connected,
                set.reachable,
                set.away,
                set.do_not_disturb,
                set.offline,
                set.unknown,
                set.pending,
                set.blocked,
                set.meter_full,
                set.meter_empty,
                set.meter_off,
                set.more,
            ];
            signs.extend(set.spark);
            assert!(signs.iter().all(|sign| sign.width() == 1), "{signs:?}");
            assert_eq!(set.dot.width(), 3);
            assert!(set.half_blocks || signs.iter().all(|sign| sign.is_ascii()));
        }
    }
}
