//! Lines as people paste and mistype them.

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
