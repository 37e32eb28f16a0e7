//! Finds where a checksummed line was copied wrong. It only points: nothing is ever corrected.

use bech32::primitives::checksum::{Engine, PackedFe32};
use bech32::{Checksum, Fe32, Hrp};

/// One slip of the pen. Positions count from 1 at the first character of the line (its prefix
/// included), spaces and line breaks not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Slip {
    #[error("character {at} looks wrong: is it '{is}'?")]
    Wrong { at: usize, is: char },
    #[error("characters {at} and {} look wrong: are they '{is}' and '{other_is}'?", .other)]
    TwoWrong {
        at: usize,
        is: char,
        other: usize,
        other_is: char,
    },
    #[error("characters {at} and {} look swapped", .at + 1)]
    Swapped { at: usize },
    #[error("a character is missing before character {at}: is it '{is}'?")]
    Missing { at: usize, is: char },
    #[error("character {at}, {}, looks like one too many", shown(*.found))]
    Extra { at: usize, found: char },
    #[error("character {at}, {}, is never used here{}", shown(*.found), perhaps(*.is))]
    Illegal {
        at: usize,
        found: char,
        is: Option<char>,
    },
    #[error("character {at}, {}, is of another case than the rest: copy the line again", shown(*.found))]
    MixedCase { at: usize, found: char },
}

impl Slip {
    /// The position of the (first) suspect character.
    pub fn at(&self) -> usize {
        match *self {
            Slip::Wrong { at, .. }
            | Slip::TwoWrong { at, .. }
            | Slip::Swapped { at }
            | Slip::Missing { at, .. }
            | Slip::Extra { at, .. }
            | Slip::Illegal { at, .. }
            | Slip::MixedCase { at, .. } => at,
        }
    }
}

/// The data characters of a line as read: a value, or a hole where an illegal character stood.
pub(super) type Symbols = [(char, Option<Fe32>)];

/// True if `symbols`, checksum included, are a whole line under `hrp`.
pub(super) fn checks<Ck: Checksum>(hrp: Hrp, symbols: &[Fe32]) -> bool {
    residue::<Ck>(hrp, symbols.iter().copied()) == packed::<Ck>(Ck::TARGET_RESIDUE)
}

/// Looks for the one slip that turned a valid line into `symbols`. `fits` says whether a repaired
/// line may have that length. Positions count from `first`, the position of the first symbol.
///
/// All single substitutions, swaps of neighbours, insertions and deletions are tried, and then all
/// pairs of substitutions; with one illegal character, only what could stand in its place. Nothing
/// is said where two different lines would do, or where there are several illegal characters.
pub(super) fn locate<Ck: Checksum>(
    hrp: Hrp,
    symbols: &Symbols,
    first: usize,
    fits: impl Fn(&[Fe32]) -> bool,
) -> Option<Slip> {
    let mut holes = (0..symbols.len()).filter(|&at| symbols[at].1.is_none());
    let hole = holes.next();
    if holes.next().is_some() {
        return None;
    }
    let search = Search::<Ck>::new(hrp, symbols, first);
    match hole {
        Some(at) => only_one(search.fill(at), &fits),
        None => only_one(search.one_slip(), &fits).or_else(|| only_one(search.two_wrong(), &fits)),
    }
}

/// The first character that can have no place in any line, if there is one.
pub(super) fn first_illegal(symbols: &Symbols, first: usize) -> Option<Slip> {
    let at = symbols.iter().position(|(_, fe)| fe.is_none())?;
    Some(illegal(symbols, first, at, None))
}

/// A slip and the line without it.
type Found = (Slip, Vec<Fe32>);

fn only_one(found: Vec<Found>, fits: impl Fn(&[Fe32]) -> bool) -> Option<Slip> {
    let mut fitting = found.into_iter().filter(|(_, line)| fits(line));
    let (slip, line) = fitting.next()?;
    fitting.all(|(_, other)| other == line).then_some(slip)
}

fn illegal(symbols: &Symbols, first: usize, at: usize, is: Option<char>) -> Slip {
    Slip::Illegal {
        at: first + at,
        found: symbols[at].0,
        is,
    }
}

struct Search<'a, Ck> {
    hrp: Hrp,
    symbols: &'a Symbols,
    first: usize,
    /// Values, with zero in a hole.
    values: Vec<u8>,
    /// `weight[j][v]`: what the value `v`, with `j` symbols after it, adds to the residue. The code
    /// is linear, so a change of one symbol changes the residue by the weight of the difference.
    weight: Vec<[u128; 32]>,
    code: std::marker::PhantomData<Ck>,
}

impl<'a, Ck: Checksum> Search<'a, Ck> {
    fn new(hrp: Hrp, symbols: &'a Symbols, first: usize) -> Self {
        let values = symbols
            .iter()
            .map(|(_, fe)| fe.map_or(0, Fe32::to_u8))
            .collect();
        Search {
            hrp,
            symbols,
            first,
            values,
            weight: weights::<Ck>(symbols.len() + 1),
            code: std::marker::PhantomData,
        }
    }

    /// The difference between the residue of `values` and that of a valid line.
    fn syndrome(&self, values: impl Iterator<Item = u8>) -> u128 {
        residue::<Ck>(self.hrp, values.map(symbol)) ^ packed::<Ck>(Ck::TARGET_RESIDUE)
    }

    /// What a single illegal character at `at` should be, or that it should not be there.
    fn fill(&self, at: usize) -> Vec<Found> {
        let after = self.values.len() - 1 - at;
        let wanted = self.syndrome(self.values.iter().copied());
        let mut found = Vec::new();
        for value in 0..32 {
            if self.weight[after][usize::from(value)] == wanted {
                let slip = illegal(self.symbols, self.first, at, Some(symbol(value).to_char()));
                found.push((slip, self.line_with(&[(at, value)])));
            }
        }
        self.without(at, &mut found);
        found
    }

    fn one_slip(&self) -> Vec<Found> {
        let length = self.values.len();
        let wanted = self.syndrome(self.values.iter().copied());
        let mut found = Vec::new();
        for at in 0..length {
            let after = length - 1 - at;
            let old = self.values[at];
            for value in (0..32).filter(|&value| value != old) {
                if self.weight[after][usize::from(old ^ value)] == wanted {
                    let is = symbol(value).to_char();
                    let slip = Slip::Wrong {
                        at: self.first + at,
                        is,
                    };
                    found.push((slip, self.line_with(&[(at, value)])));
                }
            }
        }
        for at in 1..length {
            let (left, right) = (self.values[at - 1], self.values[at]);
            let change = usize::from(left ^ right);
            let after = length - 1 - at;
            if change != 0 && self.weight[after + 1][change] ^ self.weight[after][change] == wanted
            {
                let slip = Slip::Swapped {
                    at: self.first + at - 1,
                };
                found.push((slip, self.line_with(&[(at - 1, right), (at, left)])));
            }
        }
        for at in 0..length {
            self.without(at, &mut found);
        }
        for at in 0..=length {
            self.with_one_more(at, &mut found);
        }
        found
    }

    fn without(&self, at: usize, found: &mut Vec<Found>) {
        let rest = || {
            let (head, tail) = (&self.values[..at], &self.values[at + 1..]);
            head.iter().chain(tail).copied()
        };
        if self.syndrome(rest()) == 0 {
            let slip = Slip::Extra {
                at: self.first + at,
                found: self.symbols[at].0,
            };
            found.push((slip, rest().map(symbol).collect()));
        }
    }

    fn with_one_more(&self, at: usize, found: &mut Vec<Found>) {
        let (head, tail) = self.values.split_at(at);
        let with = |value: u8| {
            head.iter()
                .copied()
                .chain([value])
                .chain(tail.iter().copied())
        };
        let wanted = self.syndrome(with(0));
        for value in 0..32 {
            if self.weight[tail.len()][usize::from(value)] == wanted {
                let slip = Slip::Missing {
                    at: self.first + at,
                    is: symbol(value).to_char(),
                };
                found.push((slip, with(value).map(symbol).collect()));
            }
        }
    }

    fn two_wrong(&self) -> Vec<Found> {
        let length = self.values.len();
        let wanted = self.syndrome(self.values.iter().copied());
        let mut single = Vec::with_capacity(length * 31);
        for at in 0..length {
            for change in 1..32_u8 {
                let weight = self.weight[length - 1 - at][usize::from(change)];
                single.push((weight, at, change));
            }
        }
        single.sort_unstable();
        let mut found = Vec::new();
        for &(weight, at, change) in &single {
            let from = single.partition_point(|&(other, ..)| other < weight ^ wanted);
            let partners = single[from..]
                .iter()
                .take_while(|(other, ..)| *other == weight ^ wanted);
            for &(_, other, other_change) in partners.filter(|(_, other, _)| *other > at) {
                let (value, second) = (self.values[at] ^ change, self.values[other] ^ other_change);
                let slip = Slip::TwoWrong {
                    at: self.first + at,
                    is: symbol(value).to_char(),
                    other: self.first + other,
                    other_is: symbol(second).to_char(),
                };
                found.push((slip, self.line_with(&[(at, value), (other, second)])));
            }
        }
        found
    }

    fn line_with(&self, changes: &[(usize, u8)]) -> Vec<Fe32> {
        let mut values = self.values.clone();
        for &(at, value) in changes {
            values[at] = value;
        }
        values.into_iter().map(symbol).collect()
    }
}

fn weights<Ck: Checksum>(length: usize) -> Vec<[u128; 32]> {
    let mut zero = Engine::<Ck>::new();
    zero.input_fe(symbol(0));
    let mut bits: [Engine<Ck>; 5] = std::array::from_fn(|_| Engine::new());
    for (bit, engine) in bits.iter_mut().enumerate() {
        engine.input_fe(symbol(1 << bit));
    }
    let mut weights = Vec::with_capacity(length);
    for _ in 0..length {
        let origin = packed::<Ck>(*zero.residue());
        let mut row = [0; 32];
        for (value, weight) in row.iter_mut().enumerate() {
            for (bit, engine) in bits.iter().enumerate() {
                if value >> bit & 1 == 1 {
                    *weight ^= packed::<Ck>(*engine.residue()) ^ origin;
                }
            }
        }
        weights.push(row);
        zero.input_fe(symbol(0));
        bits.iter_mut()
            .for_each(|engine| engine.input_fe(symbol(0)));
    }
    weights
}

fn residue<Ck: Checksum>(hrp: Hrp, symbols: impl Iterator<Item = Fe32>) -> u128 {
    let mut engine = Engine::<Ck>::new();
    engine.input_hrp(hrp);
    symbols.for_each(|fe| engine.input_fe(fe));
    packed::<Ck>(*engine.residue())
}

fn packed<Ck: Checksum>(residue: Ck::MidstateRepr) -> u128 {
    (0..Ck::CHECKSUM_LENGTH).fold(0, |sum, at| sum << 5 | u128::from(residue.unpack(at)))
}

/// The symbol of the low five bits.
fn symbol(value: u8) -> Fe32 {
    Fe32::try_from(value & 31).expect("five bits are a symbol")
}

/// A character as it may stand in an error message, whatever it is.
fn shown(found: char) -> String {
    match found {
        '!'..='~' => format!("'{found}'"),
        _ => format!("U+{:04X}", u32::from(found)),
    }
}

fn perhaps(is: Option<char>) -> String {
    is.map_or(String::new(), |is| format!(": is it '{is}'?"))
}
