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
mod tests;
