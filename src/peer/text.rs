//! Text from somebody else, made harmless before anything can print it.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory,
};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// One line of text that can be shown, logged and stored as it is.
///
/// In normal form C; without control, format (bidi, zero-width), private-use and unassigned
/// characters, without invisible fillers and variation selectors; every kind of space is a plain
/// one; at most four combining marks and ten characters in one visible character. The zero-width
/// joiner survives between two emoji only. There is no way to make one with anything else in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SafeText(String);

impl SafeText {
    /// A name: at most 32 visible characters and 32 terminal cells, single inner spaces, never
    /// empty.
    pub fn name(raw: &str) -> SafeText {
        let words = tame(raw, NAME_LIMIT * RAW_FACTOR);
        let words: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
        let clipped = clip(&words.join(" "), NAME_LIMIT, NAME_LIMIT);
        if clipped.is_empty() {
            return SafeText(NO_NAME.to_owned());
        }
        SafeText(clipped)
    }

    /// A line of a conversation: at most 1000 visible characters, possibly empty.
    pub fn line(raw: &str) -> SafeText {
        let text = tame(raw, LINE_LIMIT * RAW_FACTOR);
        SafeText(clip(&text, LINE_LIMIT, usize::MAX))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for SafeText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for SafeText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for SafeText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for SafeText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for SafeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SafeText, D::Error> {
        Ok(SafeText::line(&String::deserialize(deserializer)?))
    }
}

/// Filters, limits and normalises until nothing changes any more, which is at once for honest text.
fn tame(raw: &str, most: usize) -> String {
    let mut text: String = raw.chars().take(most).collect();
    for _ in 0..MAX_ROUNDS {
        let normal: String = text.nfc().collect();
        let tamed: String = limit(&filter(&normal)).nfc().collect();
        if tamed == text {
            break;
        }
        text = tamed;
    }
    text
}

fn filter(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let joins = c == JOINER
            && kept.chars().next_back().is_some_and(is_emoji)
            && chars.peek().copied().is_some_and(is_emoji);
        if joins {
            kept.push(c);
        } else if let Some(c) = shown_as(c) {
            kept.push(c);
        }
    }
    kept
}

/// What a character becomes: itself, a space, or nothing.
fn shown_as(c: char) -> Option<char> {
    if c.is_whitespace() {
        return Some(' ');
    }
    if INVISIBLE.iter().any(|&(from, to)| (from..=to).contains(&c)) {
        return None;
    }
    match c.general_category_group() {
        GeneralCategoryGroup::Separator => Some(' '),
        GeneralCategoryGroup::Other => None,
        _ => Some(c),
    }
}

/// Bounds what one visible character may be made of, and drops marks that have nothing to stand on.
fn limit(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for grapheme in text.graphemes(true).filter(|grapheme| grapheme.width() > 0) {
        let mut marks = 0;
        for (at, c) in grapheme.chars().take(MAX_PARTS).enumerate() {
            let is_mark = c.general_category_group() == GeneralCategoryGroup::Mark;
            marks += usize::from(is_mark);
            let lone = is_mark && (at == 0 || grapheme.starts_with(' '));
            if !lone && marks <= MAX_MARKS {
                kept.push(c);
            }
        }
        if kept.ends_with(JOINER) {
            kept.pop();
        }
    }
    kept
}

fn clip(text: &str, most: usize, cells: usize) -> String {
    let mut kept = String::new();
    let mut width = 0;
    for grapheme in text.graphemes(true).take(most) {
        width += grapheme.width();
        if width > cells {
            break;
        }
        kept.push_str(grapheme);
    }
    kept.truncate(kept.trim_end().len());
    kept
}

fn is_emoji(c: char) -> bool {
    // Digits count as emoji for keycaps, and skin tones are modifiers.
    !c.is_ascii() && (c.is_emoji_char() || c.general_category() == GeneralCategory::ModifierSymbol)
}

const NO_NAME: &str = "(no name)";
const NAME_LIMIT: usize = 32;
const LINE_LIMIT: usize = 1000;
/// Raw characters read for each visible one, so that a huge text costs no more than a long one.
const RAW_FACTOR: usize = 16;
const MAX_MARKS: usize = 4;
/// Code points in one visible character; the longest family emoji has seven, a kiss of two people
/// with skin tones nine.
const MAX_PARTS: usize = 10;
const MAX_ROUNDS: usize = 8;
const JOINER: char = '\u{200d}';
/// Characters that show nothing, or change their neighbours' width from terminal to terminal, but
/// are not in the categories that are dropped anyway.
const INVISIBLE: &[(char, char)] = &[
    ('\u{034f}', '\u{034f}'),   // combining grapheme joiner
    ('\u{115f}', '\u{1160}'),   // Hangul fillers
    ('\u{17b4}', '\u{17b5}'),   // Khmer inherent vowels
    ('\u{180b}', '\u{180f}'),   // Mongolian variation selectors
    ('\u{2800}', '\u{2800}'),   // Braille blank
    ('\u{3164}', '\u{3164}'),   // Hangul filler
    ('\u{fe00}', '\u{fe0f}'),   // variation selectors
    ('\u{ffa0}', '\u{ffa0}'),   // half-width Hangul filler
    ('\u{fffc}', '\u{fffc}'),   // object replacement
    ('\u{e0000}', '\u{e0fff}'), // tags, variation selectors supplement, unassigned ignorables
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn honest_names_stay_as_they_are() {
        for name in [
            "anna",
            "Chloé",
            "Dmitri Иванов",
            "小林 さくら",
            "नमस्ते",
            "ชื่อ",
            "محمد",
            "O'Neil-2",
        ] {
            assert_eq!(SafeText::name(name), name);
        }
        for emoji in [
            "👩\u{200d}👩\u{200d}👧\u{200d}👦",
            "👋🏽",
            "🇩🇪",
            "👩🏻\u{200d}❤\u{200d}💋\u{200d}👨🏻",
        ] {
            assert_eq!(SafeText::name(emoji), emoji);
        }
    }

    #[test]
    fn nothing_can_steer_the_terminal() {
        let cases = [
            ("\u{1b}[31mred\u{1b}[0m", "[31mred[0m"),
            ("\u{1b}]0;title\u{7}x", "]0;titlex"),
            ("\u{9b}2Jx", "2Jx"),
            ("a\r\nb\tc", "a b c"),
            ("pay\u{202e}gnp.exe", "paygnp.exe"),
            ("\u{2066}a\u{2069}\u{200e}\u{61c}", "a"),
            ("an\u{200b}na\u{feff}\u{2060}\u{ad}", "anna"),
            ("a\u{200d}b \u{200d} c", "ab c"),
            ("5\u{200d}5", "55"),
            ("\u{e000}\u{f0000}\u{10ffff}x\u{378}", "x"),
            ("\u{3164}\u{115f}\u{2800}\u{ffa0}", "(no name)"),
            ("", "(no name)"),
            (" \u{a0}\u{3000}\u{2028} ", "(no name)"),
            ("\u{301}\u{301}", "(no name)"),
            ("  anna \u{2003} b  ", "anna b"),
            ("e\u{301}", "é"),
            ("❤\u{fe0f}", "❤"),
            ("A\u{e0041}\u{e0001}", "A"),
        ];
        for (raw, tame) in cases {
            assert_eq!(SafeText::name(raw), tame, "{raw:?}");
        }
    }

    #[test]
    fn towers_of_marks_are_cut() {
        let tower = format!("z{}a", "\u{316}".repeat(1000));
        assert_eq!(
            SafeText::name(&tower),
            format!("z{}", "\u{316}".repeat(4)).as_str()
        );
        let line = SafeText::line(&tower);
        assert_eq!(line.chars().filter(|c| *c == '\u{316}').count(), 4);
        let chain = "👩\u{200d}".repeat(100);
        assert!(SafeText::name(&chain).chars().count() <= MAX_PARTS * NAME_LIMIT);
        let tones = format!("👋{}", "🏽".repeat(200));
        assert!(SafeText::name(&tones).chars().count() <= MAX_PARTS);
    }

    #[test]
    fn names_fit_their_column() {
        assert_eq!(SafeText::name(&"x".repeat(100)).len(), 32);
        let wide = SafeText::name(&"語".repeat(100));
        assert_eq!((wide.chars().count(), wide.width()), (16, 32));
        let line = SafeText::line(&"é".repeat(5000));
        assert_eq!(line.chars().count(), 1000);
        assert_eq!(SafeText::line("  a  b  "), "  a  b");
    }

    #[test]
    fn what_is_read_back_is_tame_too() {
        let text: SafeText = serde_json::from_str(r#""a\u001b[2J\u202eb""#).expect("a string");
        assert_eq!(text, "a[2Jb");
    }

    fn hostile() -> impl Strategy<Value = String> {
        let picked = prop::sample::select(vec![
            'a',
            ' ',
            '\n',
            '\u{1b}',
            '\u{9b}',
            '\u{202e}',
            '\u{200d}',
            '\u{200b}',
            '👩',
            '🏽',
            '🇩',
            '\u{301}',
            '\u{316}',
            '\u{344}',
            '\u{fe0f}',
            'ᄀ',
            'ᅡ',
            'ᆨ',
            '\u{1160}',
            '\u{e0061}',
            '\u{600}',
            '語',
            'é',
            '\u{fb2c}',
            '\u{34f}',
            '\u{e000}',
            '\u{378}',
            'क',
            '्',
            'ा',
            '5',
            '\u{20e3}',
            '\u{2126}',
        ]);
        prop::collection::vec(prop_oneof![picked, any::<char>()], 0..60)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_in(raw in hostile()) {
            for text in [SafeText::name(&raw), SafeText::line(&raw)] {
                for (at, c) in text.char_indices() {
                    let joins = c == JOINER
                        && text[..at].ends_with(is_emoji)
                        && text[at + c.len_utf8()..].starts_with(is_emoji);
                    prop_assert!(joins || shown_as(c) == Some(c), "{c:?} in {text:?}");
                }
                for grapheme in text.graphemes(true) {
                    let marks = grapheme.chars().filter(|c| {
                        c.general_category_group() == GeneralCategoryGroup::Mark
                    });
                    prop_assert!(marks.count() <= MAX_MARKS, "{text:?}");
                    prop_assert!(grapheme.chars().count() <= MAX_PARTS, "{text:?}");
                }
                prop_assert!(unicode_normalization::is_nfc(&text), "{text:?}");
                prop_assert_eq!(SafeText::line(&text), text);
            }
            let name = SafeText::name(&raw);
            prop_assert!(!name.is_empty() && name.width() <= NAME_LIMIT);
            prop_assert!(name.graphemes(true).count() <= NAME_LIMIT);
            prop_assert_eq!(SafeText::name(&name), name);
        }
    }
}
