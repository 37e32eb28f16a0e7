//! The outer form of an invite: finds the line in what was pasted, checks it, and says what is
//! wrong with it. Knows nothing of what the symbols mean but how many there must be.

use bech32::{Fe32, Fe32IterExt, Hrp};

use super::code::LongCode;
use super::invite::{InviteError, line_length};
use super::locate::{self, Slip};

/// Characters of the checksum.
pub(super) const CHECKSUM: usize = 15;

/// The line for these data symbols.
pub(super) fn write(data: impl Iterator<Item = Fe32>) -> String {
    let mut line = PREFIX.to_owned();
    let coded = data.with_checksum::<LongCode>(&HRP);
    line.extend(coded.chars().skip(HRP.len() + 1));
    line
}

/// The symbols of the one line in `text`, checksum included and correct.
pub(super) fn read(text: &str) -> Result<Vec<Fe32>, InviteError> {
    let glyphs = clean(text);
    let start = glyphs.windows(PREFIX.len()).position(is_prefix);
    match start {
        Some(start) => read_body(&glyphs[start + PREFIX.len()..]),
        None => Err(without_prefix(&glyphs)),
    }
}

/// A character that counts, and whether something ignored stood before it.
#[derive(Clone, Copy)]
struct Glyph {
    char: char,
    gap: bool,
}

fn clean(text: &str) -> Vec<Glyph> {
    let mut glyphs = Vec::new();
    let mut gap = false;
    let mut chars = text.chars().take(READ_AT_MOST).peekable();
    while let Some(char) = chars.next() {
        // A shell's and a mail's way to continue a line.
        let continued = matches!(char, '\\' | '=')
            && chars.peek().is_none_or(|next| matches!(next, '\r' | '\n'));
        if continued || is_ignored(char) {
            gap = true;
        } else {
            glyphs.push(Glyph { char, gap });
            gap = false;
        }
    }
    glyphs
}

fn is_ignored(char: char) -> bool {
    char.is_whitespace()
        || char.is_control()
        || matches!(char, '<' | '>' | '"' | '\'' | '`' | '|' | '*' | '\u{ad}' | '\u{feff}')
        || ('\u{2018}'..='\u{201f}').contains(&char)
        || matches!(char, '\u{ab}' | '\u{bb}' | '\u{2039}' | '\u{203a}')
        || ('\u{200b}'..='\u{200f}').contains(&char)
        || ('\u{202a}'..='\u{202e}').contains(&char)
        || ('\u{2060}'..='\u{2069}').contains(&char)
        // Box drawing: the border of a terminal window.
        || ('\u{2500}'..='\u{257f}').contains(&char)
}

fn is_prefix(glyphs: &[Glyph]) -> bool {
    let wanted = PREFIX.chars();
    glyphs.len() == PREFIX.len()
        && glyphs
            .iter()
            .zip(wanted)
            .all(|(glyph, wanted)| glyph.char.eq_ignore_ascii_case(&wanted))
}

fn read_body(body: &[Glyph]) -> Result<Vec<Fe32>, InviteError> {
    let body = &body[..body.len().min(MOST_SYMBOLS + 2)];
    let symbols: Vec<(char, Option<Fe32>)> = body
        .iter()
        .map(|glyph| (glyph.char, Fe32::from_char(glyph.char).ok()))
        .collect();
    let legal: Vec<Fe32> = symbols.iter().map_while(|(_, fe)| *fe).collect();
    let length = line_length(&legal);
    if let Some(length) = length.filter(|&length| length <= legal.len())
        && locate::checks::<LongCode>(HRP, &legal[..length])
    {
        return accept(body, legal, length);
    }
    Err(diagnose(body, &symbols, &legal, length))
}

/// The line is right; what remains is how it was written and what touches it.
fn accept(body: &[Glyph], mut legal: Vec<Fe32>, length: usize) -> Result<Vec<Fe32>, InviteError> {
    if let Some(slip) = mixed_case(&body[..length]) {
        return Err(slip.into());
    }
    if !ends(body, length) {
        return Err(InviteError::TooLong { at: FIRST + length });
    }
    legal.truncate(length);
    Ok(legal)
}

/// True if nothing touches the first `length` characters.
fn ends(body: &[Glyph], length: usize) -> bool {
    body.get(length)
        .is_none_or(|next| next.gap || !next.char.is_alphanumeric())
}

fn mixed_case(body: &[Glyph]) -> Option<Slip> {
    let upper = body
        .iter()
        .filter(|glyph| glyph.char.is_ascii_uppercase())
        .count();
    let lower = body
        .iter()
        .filter(|glyph| glyph.char.is_ascii_lowercase())
        .count();
    if upper == 0 || lower == 0 {
        return None;
    }
    let odd_one = |char: char| match upper < lower {
        true => char.is_ascii_uppercase(),
        false => char.is_ascii_lowercase(),
    };
    let at = body.iter().position(|glyph| odd_one(glyph.char))?;
    Some(Slip::MixedCase {
        at: FIRST + at,
        found: body[at].char,
    })
}

/// What is wrong with a line that does not check.
fn diagnose(
    body: &[Glyph],
    symbols: &locate::Symbols,
    legal: &[Fe32],
    length: Option<usize>,
) -> InviteError {
    let whole = |line: &[Fe32]| line_length(line) == Some(line.len());
    for extent in extents(body, length) {
        match locate::locate::<LongCode>(HRP, &symbols[..extent], FIRST, whole) {
            Some(Slip::Missing { at, .. }) if at == FIRST + extent => {
                return InviteError::EndsEarly(1);
            }
            Some(slip) => return slip.into(),
            None => {}
        }
    }
    let right = length.unwrap_or(body.len());
    if let Some(line) = symbols.get(..right)
        && let Some(slip) = locate::locate_two::<LongCode>(HRP, line, FIRST, whole)
    {
        return slip.into();
    }
    // Another version may have another length, but its checksum must be right.
    let until_gap = first_gap(body).min(legal.len());
    if length.is_none() && locate::checks::<LongCode>(HRP, &legal[..until_gap]) {
        return InviteError::Newer;
    }
    let within = &symbols[..length.unwrap_or(MOST_SYMBOLS).min(symbols.len())];
    if let Some(slip) = locate::first_illegal(within, FIRST) {
        return slip.into();
    }
    match length {
        Some(length) if symbols.len() < length => InviteError::EndsEarly(length - symbols.len()),
        None if symbols.len() < FRONT => InviteError::EndsAtStart,
        _ => InviteError::Damaged,
    }
}

/// How far the line may reach, the likeliest first: as its front says, with one character more or
/// less, or (if it is the front that is wrong) to the end or to the first gap.
fn extents(body: &[Glyph], length: Option<usize>) -> Vec<usize> {
    let mut extents = Vec::new();
    if let Some(length) = length {
        extents.extend([length, length + 1, length - 1]);
    }
    extents.extend([body.len(), first_gap(body)]);
    extents.retain(|&extent| extent <= body.len() && ends(body, extent));
    let mut seen = Vec::new();
    extents.retain(|extent| {
        let new = !seen.contains(extent);
        seen.push(*extent);
        new
    });
    extents
}

fn first_gap(body: &[Glyph]) -> usize {
    let inner = body.iter().skip(1).position(|glyph| glyph.gap);
    inner.map_or(body.len(), |at| at + 1)
}

/// What to say when there is no `twocan:1:`: perhaps just that was copied wrong.
fn without_prefix(glyphs: &[Glyph]) -> InviteError {
    for start in 0..glyphs.len() {
        let rest = &glyphs[start..];
        let slips = prefix_slips(rest).into_iter();
        if let Some((slip, _)) = slips.flatten().find(|(_, body)| read_body(body).is_ok()) {
            return slip.into();
        }
    }
    let text: String = glyphs
        .iter()
        .map(|glyph| glyph.char.to_ascii_lowercase())
        .collect();
    let version = text
        .split("twocan:")
        .nth(1)
        .and_then(|rest| rest.split_once(':'));
    match version {
        Some((digits, _)) if digits.parse::<u16>().is_ok_and(|version| version > 1) => {
            InviteError::Newer
        }
        _ if text.starts_with("tc1") => InviteError::IsAnId,
        _ if text.ends_with("twocan:") || text.ends_with("twocan:1") => InviteError::EndsAtStart,
        _ => InviteError::NotAnInvite,
    }
}

/// The ways in which `glyphs` may start with a miswritten prefix, and the body behind each.
fn prefix_slips(glyphs: &[Glyph]) -> [Option<(Slip, Vec<Glyph>)>; 4] {
    let wanted: Vec<char> = PREFIX.chars().collect();
    let given = |at: usize| glyphs.get(at).map(|glyph| glyph.char.to_ascii_lowercase());
    let from = (0..wanted.len()).find(|&at| given(at) != Some(wanted[at]));
    let Some(at) = from else {
        return [const { None }; 4];
    };
    // From the first difference on, the rest of the prefix must follow as it should.
    let follows = |glyph: usize, place: usize| {
        (place..wanted.len())
            .all(|place_now| given(glyph + place_now - place) == Some(wanted[place_now]))
    };
    let body = |from: usize| glyphs[from.min(glyphs.len())..].to_vec();
    let end = wanted.len();
    let is = wanted[at];
    let position = at + 1;
    let wrong = follows(at + 1, at + 1).then(|| (Slip::Wrong { at: position, is }, body(end)));
    let missing = follows(at, at + 1).then(|| (Slip::Missing { at: position, is }, body(end - 1)));
    let extra = follows(at + 1, at).then(|| {
        let found = glyphs[at].char;
        (
            Slip::Extra {
                at: position,
                found,
            },
            body(end + 1),
        )
    });
    let swapped = (given(at + 1) == Some(is)).then(|| {
        let mut repaired = glyphs.to_vec();
        repaired.swap(at, at + 1);
        let fits = is_prefix(&repaired[..end.min(repaired.len())]);
        fits.then(|| (Slip::Swapped { at: position }, repaired.split_off(end)))
    });
    [wrong, swapped.flatten(), missing, extra]
}

const HRP: Hrp = Hrp::parse_unchecked("twocan");
const PREFIX: &str = "twocan:1:";
/// Position of the first character after the prefix, counted from 1.
const FIRST: usize = PREFIX.len() + 1;
/// Symbols that tell the length of the line.
const FRONT: usize = 4;
/// Symbols of the longest line: four IPv6 hints.
const MOST_SYMBOLS: usize = ((86 + 4 * 18) * 8_usize).div_ceil(5) + CHECKSUM;
/// Characters looked at; a mail around the line may be long, but not endless.
const READ_AT_MOST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::peer::invite::tests::sample;
    use crate::peer::{Invite, PeerId};

    const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

    fn slip(text: &str) -> Result<Slip, InviteError> {
        match Invite::parse_line(text) {
            Err(InviteError::Slip(slip)) => Ok(slip),
            Err(error) => Err(error),
            Ok(_) => panic!("accepted {text}"),
        }
    }

    /// The line cut at `at`: what is before, the character, and what is after it.
    fn cut(line: &str, at: usize) -> (&str, char, &str) {
        (
            &line[..at],
            char::from(line.as_bytes()[at]),
            &line[at + 1..],
        )
    }

    #[test]
    fn every_wrong_character_is_pointed_at() {
        let line = sample().to_line();
        for at in 0..line.len() {
            let (head, old, tail) = cut(&line, at);
            for new in "qpzry9x8gf2tvdw0s3jn54khce6mua7lb1io:?-Q"
                .chars()
                .filter(|c| *c != old)
            {
                let text = format!("{head}{new}{tail}");
                let at = at + 1;
                let expected = match new {
                    _ if at < FIRST => Slip::Wrong { at, is: old },
                    'Q' if old == 'q' => Slip::MixedCase { at, found: 'Q' },
                    _ if ALPHABET.contains(new.to_ascii_lowercase()) => Slip::Wrong { at, is: old },
                    _ => Slip::Illegal {
                        at,
                        found: new,
                        is: Some(old),
                    },
                };
                assert_eq!(slip(&text), Ok(expected), "{text}");
            }
        }
    }

    #[test]
    fn every_character_left_out_is_pointed_at() {
        let line = sample().to_line();
        for at in 0..line.len() {
            let (head, old, tail) = cut(&line, at);
            for filling in ["", " ", "'", "\n> "] {
                match slip(&format!("{head}{filling}{tail}")) {
                    Ok(Slip::Missing { at: found, is }) => {
                        assert_eq!(is, old);
                        assert!(line[found - 1..=at].chars().all(|c| c == old));
                    }
                    other => {
                        assert_eq!(
                            (other, at),
                            (Err(InviteError::EndsEarly(1)), line.len() - 1)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_character_too_many_is_pointed_at() {
        let line = sample().to_line();
        for at in 1..line.len() {
            let (head, tail) = line.split_at(at);
            for new in ALPHABET.chars().chain("b1io:?-".chars()) {
                let text = format!("{head}{new}{tail}");
                // A second 't' in front is text before the line, a second last one text after it.
                if text.ends_with(&line) || text.starts_with(&line) {
                    continue;
                }
                let Ok(Slip::Extra { at: found, .. }) = slip(&text) else {
                    panic!("{text}: {:?}", slip(&text));
                };
                let run = &text[at.min(found - 1)..=at.max(found - 1)];
                assert!(run.chars().all(|c| c == new), "{found} in {text}");
            }
        }
        for new in ALPHABET.chars().chain("b1ioé".chars()) {
            let text = format!("{line}{new}");
            assert_eq!(
                Invite::parse_line(&text),
                Err(InviteError::TooLong { at: line.len() + 1 })
            );
        }
    }

    #[test]
    fn every_swap_of_neighbours_is_pointed_at() {
        let line = sample().to_line();
        for at in 1..line.len() {
            let mut chars: Vec<char> = line.chars().collect();
            chars.swap(at - 1, at);
            let text: String = chars.into_iter().collect();
            if text != line {
                assert_eq!(slip(&text), Ok(Slip::Swapped { at }), "{text}");
            }
        }
    }

    #[test]
    fn several_errors_are_never_accepted() {
        let line: Vec<Fe32> = sample().to_line()[FIRST - 1..]
            .chars()
            .map(|c| Fe32::from_char(c).expect("legal"))
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for round in 0..100_000 {
            let mut bad = line.clone();
            for _ in 0..2 + rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % bad.len();
                let new = Fe32::try_from((rng.next_u32() % 32) as u8).expect("below 32");
                match rng.next_u32() % 8 {
                    0 => bad.insert(at, new),
                    1 => drop(bad.remove(at)),
                    _ => bad[at] = new,
                }
            }
            let same = bad == line;
            assert_eq!(locate::checks::<LongCode>(HRP, &bad), same);
            // The whole way in, which is slower, for a part of them.
            if round % 100 == 0 {
                let tail: String = bad.into_iter().map(Fe32::to_char).collect();
                let read = read(&format!("{PREFIX}{tail}"));
                assert_eq!(read.is_ok(), same);
            }
        }
    }

    #[test]
    fn two_wrong_characters_are_both_pointed_at() {
        let line = sample().to_line();
        let (head, first, rest) = cut(&line, 40);
        let (middle, second, tail) = cut(rest, 80);
        assert!(first != 'l' && second != 'l');
        let expected = Slip::TwoWrong {
            at: 41,
            is: first,
            other: 122,
            other_is: second,
        };
        assert_eq!(slip(&format!("{head}l{middle}l{tail}")), Ok(expected));
    }

    #[test]
    fn a_cut_line_says_how_much_is_missing() {
        let line = sample().to_line();
        for length in 0..line.len() {
            let error = Invite::parse_line(&line[..length]).expect_err("cut");
            let expected = match length {
                _ if length < "twocan:".len() => InviteError::NotAnInvite,
                _ if length < FIRST - 1 + FRONT => InviteError::EndsAtStart,
                _ => InviteError::EndsEarly(line.len() - length),
            };
            assert_eq!(error, expected, "{length}");
        }
    }

    #[test]
    fn what_mails_and_shells_add_is_ignored() {
        let invite = sample();
        let line = invite.to_line();
        let (one, two) = line.split_at(76);
        let (two, three) = two.split_at(60);
        for text in [
            format!("  {line}\n"),
            format!("'{line}'"),
            format!("\u{201c}{line}\u{201d}"),
            format!("$ twocan contact add \"{line}\""),
            format!("Hi bo, here it is: <{line}>. See you!"),
            format!("{line}, ok?"),
            format!("({line})"),
            format!("{line}\n\nYours, anna"),
            format!("> {one}\r\n> {two}\r\n> {three}\r\n"),
            format!("{one}=\r\n{two}=\r\n{three}"),
            format!("{one}\\\n{two}\\\n{three}"),
            format!("│ {one} │\n│ {two} │\n│ {three} │"),
            line.replace('q', "q\u{200b}"),
            format!("\u{feff}Twocan:1:{}", &line[PREFIX.len()..]),
            format!("TWOCAN:1:{}", line[PREFIX.len()..].to_uppercase()),
        ] {
            assert_eq!(Invite::parse_line(&text), Ok(invite.clone()), "{text}");
        }
    }

    #[test]
    fn errors_are_found_behind_and_before_other_text() {
        let line = sample().to_line();
        let (head, old, tail) = cut(&line, 30);
        assert_ne!(old, 'q');
        let text = format!("bo wrote:\n> {head}q{tail}\n> see you");
        assert_eq!(slip(&text), Ok(Slip::Wrong { at: 31, is: old }));
        let words = slip(&text).expect("a slip").to_string();
        assert_eq!(words, format!("character 31 looks wrong: is it '{old}'?"));
        let text = format!("{head}{tail}\nsee you");
        assert!(matches!(slip(&text), Ok(Slip::Missing { .. })));
    }

    #[test]
    fn other_things_are_told_apart() {
        let id: PeerId = sample().id;
        assert_eq!(
            Invite::parse_line(&id.to_string()),
            Err(InviteError::IsAnId)
        );
        for text in [
            "",
            " \n",
            "hello",
            "http://example.org/twocan",
            "\u{1b}[2J",
            "tw\u{202e}ocan",
        ] {
            assert_eq!(
                Invite::parse_line(text),
                Err(InviteError::NotAnInvite),
                "{text}"
            );
        }
        let next = "twocan:2:qqqsomething".to_owned();
        assert_eq!(Invite::parse_line(&next), Err(InviteError::Newer));
        let huge = format!("{}{}", "twocan:1:".repeat(9000), "q".repeat(1 << 20));
        assert!(Invite::parse_line(&huge).is_err());
        assert!(Invite::parse_line(&"t".repeat(1 << 20)).is_err());
    }
}
