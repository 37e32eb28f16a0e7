//! Finds where a checksummed line was copied wrong. It only points: nothing is ever corrected.

use std::marker::PhantomData;
use std::ops::Range;

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
/// All single substitutions, swaps of neighbours, insertions and deletions are tried; with one
/// illegal character, only what could stand in its place. Nothing is said where two different lines
/// would do, or where there are several illegal characters.
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
    let found = hole.map_or_else(|| search.one_slip(), |at| search.fill(at));
    only_one(found, fits)
}

/// Looks for two wrong characters in a line of the right length. To be asked when there is no
/// single slip that explains it.
pub(super) fn locate_two<Ck: Checksum>(
    hrp: Hrp,
    symbols: &Symbols,
    first: usize,
    fits: impl Fn(&[Fe32]) -> bool,
) -> Option<Slip> {
    if symbols.iter().any(|(_, fe)| fe.is_none()) {
        return None;
    }
    only_one(Search::<Ck>::new(hrp, symbols, first).two_wrong(), fits)
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

/// The code is linear: a residue is the sum of what the prefix and every symbol add to it. So each
/// change of a line is judged by a few sums instead of a residue of its own.
struct Search<'a, Ck> {
    hrp: Hrp,
    symbols: &'a Symbols,
    first: usize,
    /// Values, with zero in a hole.
    values: Vec<u8>,
    /// `weight[j][v]`: what the value `v`, with `j` symbols after it, adds to the residue.
    weight: Vec<[u128; 32]>,
    /// `tails[at]`: what the symbols from `at` on add.
    tails: Vec<u128>,
    code: PhantomData<Ck>,
}

impl<'a, Ck: Checksum> Search<'a, Ck> {
    fn new(hrp: Hrp, symbols: &'a Symbols, first: usize) -> Self {
        let values: Vec<u8> = symbols
            .iter()
            .map(|(_, fe)| fe.map_or(0, Fe32::to_u8))
            .collect();
        let weight = weights::<Ck>(values.len() + 1);
        let mut tails = vec![0; values.len() + 1];
        for (at, &value) in values.iter().enumerate().rev() {
            tails[at] = tails[at + 1] ^ weight[values.len() - 1 - at][usize::from(value)];
        }
        Search {
            hrp,
            symbols,
            first,
            values,
            weight,
            tails,
            code: PhantomData,
        }
    }

    /// What all symbols of a valid line of this length must add up to.
    fn goal(&self, length: usize) -> u128 {
        let zeros = std::iter::repeat_n(symbol(0), length);
        residue::<Ck>(self.hrp, zeros) ^ packed::<Ck>(Ck::TARGET_RESIDUE)
    }

    /// The change of the sum that would make the line valid.
    fn wanted(&self) -> u128 {
        self.goal(self.values.len()) ^ self.tails[0]
    }

    /// What a single illegal character at `at` should be, or that it should not be there.
    fn fill(&self, at: usize) -> Vec<Found> {
        let after = self.values.len() - 1 - at;
        let wanted = self.wanted();
        let mut found = Vec::new();
        for value in 0..32 {
            if self.weight[after][usize::from(value)] == wanted {
                let slip = illegal(self.symbols, self.first, at, Some(symbol(value).to_char()));
                found.push((slip, self.line_with(&[(at, value)])));
            }
        }
        self.one_extra(at..at + 1, &mut found);
        found
    }

    fn one_slip(&self) -> Vec<Found> {
        let mut found = Vec::new();
        self.one_wrong(&mut found);
        self.one_swap(&mut found);
        self.one_extra(0..self.values.len(), &mut found);
        self.one_missing(&mut found);
        found
    }

    fn one_wrong(&self, found: &mut Vec<Found>) {
        let wanted = self.wanted();
        for (at, &old) in self.values.iter().enumerate() {
            let weight = &self.weight[self.values.len() - 1 - at];
            for value in (0..32).filter(|&value| weight[usize::from(old ^ value)] == wanted) {
                let slip = Slip::Wrong {
                    at: self.first + at,
                    is: symbol(value).to_char(),
                };
                found.push((slip, self.line_with(&[(at, value)])));
            }
        }
    }

    fn one_swap(&self, found: &mut Vec<Found>) {
        let wanted = self.wanted();
        for at in 1..self.values.len() {
            let (left, right) = (self.values[at - 1], self.values[at]);
            let change = usize::from(left ^ right);
            let after = self.values.len() - 1 - at;
            if self.weight[after + 1][change] ^ self.weight[after][change] == wanted {
                let at = at - 1;
                let slip = Slip::Swapped {
                    at: self.first + at,
                };
                found.push((slip, self.line_with(&[(at, right), (at + 1, left)])));
            }
        }
    }

    fn one_extra(&self, places: Range<usize>, found: &mut Vec<Found>) {
        let length = self.values.len();
        let Some(goal) = length.checked_sub(1).map(|length| self.goal(length)) else {
            return;
        };
        // What the symbols before `at` add when one symbol behind them is taken away.
        let mut head = 0;
        for at in 0..length {
            if head ^ self.tails[at + 1] == goal && places.contains(&at) {
                let slip = Slip::Extra {
                    at: self.first + at,
                    found: self.symbols[at].0,
                };
                let mut line = self.line_with(&[]);
                line.remove(at);
                found.push((slip, line));
            }
            if at + 2 <= length {
                head ^= self.weight[length - 2 - at][usize::from(self.values[at])];
            }
        }
    }

    fn one_missing(&self, found: &mut Vec<Found>) {
        let length = self.values.len();
        let goal = self.goal(length + 1);
        // What the symbols before `at` add when there is one symbol more behind them.
        let mut head = 0;
        for at in 0..=length {
            let wanted = goal ^ head ^ self.tails[at];
            for value in
                (0..32).filter(|&value| self.weight[length - at][usize::from(value)] == wanted)
            {
                let slip = Slip::Missing {
                    at: self.first + at,
                    is: symbol(value).to_char(),
                };
                let mut line = self.line_with(&[]);
                line.insert(at, symbol(value));
                found.push((slip, line));
            }
            if at < length {
                head ^= self.weight[length - at][usize::from(self.values[at])];
            }
        }
    }

    fn two_wrong(&self) -> Vec<Found> {
        let length = self.values.len();
        let wanted = self.wanted();
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
        let basis = bits
            .each_ref()
            .map(|engine| packed::<Ck>(*engine.residue()) ^ origin);
        let mut row = [0; 32];
        for value in 1..32_usize {
            let top = value.ilog2() as usize;
            row[value] = row[value ^ 1 << top] ^ basis[top];
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
