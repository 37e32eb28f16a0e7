//! Which tone is heard: from the events of the calls, and nothing else.

use std::collections::BTreeMap;

use super::run::Run;
use crate::api::{CallId, CallState, Direction, Event, Standing, Why};
use crate::audio::Tone;

impl Run {
    /// Lets be heard what is to be heard by now.
    pub(super) fn chime(&mut self) {
        let standing = self.parts.finder.known.standing;
        self.chimes.be_quiet(standing == Standing::DoNotDisturb);
        let audio = &self.parts.audio;
        audio.last(self.chimes.lasting());
        for tone in self.chimes.take_short() {
            audio.chime(tone);
        }
    }
}

/// What the person at this phone should hear of its calls.
#[derive(Debug, Default)]
pub(super) struct Chimes {
    calls: BTreeMap<CallId, Known>,
    is_quiet: bool,
    short: Vec<Tone>,
}

/// What is known of one call.
#[derive(Clone, Copy, Debug)]
struct Known {
    direction: Direction,
    state: CallState,
    is_muted: bool,
    was_answered: bool,
    is_ignored: bool,
    /// Which side records it.
    recorded: [bool; 2],
}

impl Chimes {
    /// Learns from an event.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Call {
                call,
                direction,
                state,
                why,
                muted,
                ..
            } => match state {
                CallState::Ended => self.end(*call, *why),
                state => self.go_on(*call, *direction, *state, *muted),
            },
            Event::Recording {
                call, here, there, ..
            } => self.record(*call, [*here, *there]),
            _ => {}
        }
    }

    /// Nobody wants to hear that this call rings (the named one, or any).
    pub(super) fn ignore(&mut self, call: Option<CallId>) {
        let calls = self.calls.iter_mut();
        let meant = calls.filter(|(id, _)| call.is_none_or(|call| call == **id));
        meant.for_each(|(_, known)| known.is_ignored |= known.rings_here());
    }

    /// Calls may (or may not) make a sound when they come in.
    pub(super) fn be_quiet(&mut self, is_quiet: bool) {
        self.is_quiet = is_quiet;
    }

    /// The tone that goes on until something happens. A call on hold is silent.
    pub(super) fn lasting(&self) -> Option<Tone> {
        let calls = || self.calls.values();
        let rings = !self.is_quiet && calls().any(|call| call.rings_here() && !call.is_ignored);
        let is_in_use = calls().any(|call| !call.rings_here());
        match (rings, is_in_use) {
            (true, false) => return Some(Tone::Ring),
            (true, true) => return Some(Tone::Waiting),
            (false, _) => {}
        }
        calls().any(Known::rings_there).then_some(Tone::RingBack)
    }

    /// The short tones that are due, once.
    pub(super) fn take_short(&mut self) -> Vec<Tone> {
        std::mem::take(&mut self.short)
    }

    fn go_on(&mut self, id: CallId, direction: Direction, state: CallState, is_muted: bool) {
        let known = self.calls.entry(id).or_insert(Known {
            direction,
            state,
            is_muted,
            was_answered: false,
            is_ignored: false,
            recorded: [false; 2],
        });
        let is_answered = matches!(state, CallState::Active | CallState::Held);
        if is_answered && !known.was_answered {
            known.was_answered = true;
            self.short.push(Tone::Join);
        } else if is_answered && known.is_muted != is_muted {
            let tick = if is_muted {
                Tone::MuteOn
            } else {
                Tone::MuteOff
            };
            // Muting tells of every call; it ticks once.
            if self.short.last() != Some(&tick) {
                self.short.push(tick);
            }
        }
        (known.state, known.is_muted) = (state, is_muted);
    }

    fn record(&mut self, id: CallId, recorded: [bool; 2]) {
        let Some(known) = self.calls.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut known.recorded, recorded);
        let begins = |side: usize| recorded[side] && !before[side];
        if begins(0) || begins(1) {
            self.short.push(Tone::Recording);
        }
    }

    fn end(&mut self, id: CallId, why: Option<Why>) {
        let Some(known) = self.calls.remove(&id) else {
            return;
        };
        let is_here = matches!(
            why,
            Some(Why::Cancelled | Why::DeclinedHere | Why::ShutDown)
        );
        if is_here {
            return;
        }
        match (known.was_answered, known.direction) {
            (true, _) => self.short.push(Tone::Leave),
            (false, Direction::Out) => self.short.push(Tone::Busy),
            (false, Direction::In) => {}
        }
    }
}

impl Known {
    fn rings_here(&self) -> bool {
        self.direction == Direction::In && self.state == CallState::Ringing
    }

    fn rings_there(&self) -> bool {
        self.direction == Direction::Out && self.state == CallState::Ringing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Identity, SafeText, Seed};

    use CallState::{Active, Connecting, Held, LookingUp, Ringing};
    use Direction::{In, Out};

    /// What happens, to which call.
    #[derive(Clone, Copy)]
    enum Step {
        To(u32, Direction, CallState),
        Muted(u32, Direction, CallState),
        Recorded(u32, bool, bool),
        End(u32, Direction, Why),
        Ignore,
        Quiet,
        Loud,
    }
    use Step::{End, Ignore, Loud, Muted, Quiet, Recorded, To};

    fn event(call: u32, direction: Direction, state: CallState, why: Option<Why>) -> Event {
        Event::Call {
            call: CallId(call),
            peer: SafeText::name("Anna"),
            id: Identity::from_seed(&Seed::from_bytes([1; 32])).id(),
            direction,
            state,
            path: None,
            why,
            muted: false,
            held_here: false,
            held_there: false,
        }
    }

    fn take(chimes: &mut Chimes, step: Step) {
        match step {
            To(call, direction, state) => chimes.note(&event(call, direction, state, None)),
            Muted(call, direction, state) => {
                let mut event = event(call, direction, state, None);
                if let Event::Call { muted, .. } = &mut event {
                    *muted = true;
                }
                chimes.note(&event);
            }
            Recorded(call, here, there) => chimes.note(&Event::Recording {
                call: CallId(call),
                peer: SafeText::name("Anna"),
                id: Identity::from_seed(&Seed::from_bytes([1; 32])).id(),
                here,
                there,
                file: None,
            }),
            End(call, direction, why) => {
                chimes.note(&event(call, direction, CallState::Ended, Some(why)));
            }
            Ignore => chimes.ignore(None),
            Quiet => chimes.be_quiet(true),
            Loud => chimes.be_quiet(false),
        }
    }

    /// Each step with the lasting tone and the short ones that must follow.
    type Story<'a> = &'a [(Step, Option<Tone>, &'a [Tone])];

    fn check(name: &str, story: Story<'_>) {
        let mut chimes = Chimes::default();
        for (number, (step, lasting, short)) in story.iter().enumerate() {
            take(&mut chimes, *step);
            let heard = (chimes.lasting(), chimes.take_short());
            assert_eq!(heard, (*lasting, short.to_vec()), "{name}, step {number}");
        }
    }

    #[test]
    fn every_story_has_its_tones() {
        let (ring, back, waits) = (Some(Tone::Ring), Some(Tone::RingBack), Some(Tone::Waiting));
        let (join, leave, busy) = (&[Tone::Join][..], &[Tone::Leave][..], &[Tone::Busy][..]);
        let (tick_on, tick_off) = (&[Tone::MuteOn][..], &[Tone::MuteOff][..]);
        let beep = &[Tone::Recording][..];
        let none: &[Tone] = &[];
        let stories: &[(&str, Story<'_>)] = &[
            (
                "out, answered, held, over",
                &[
                    (To(1, Out, LookingUp), None, none),
                    (To(1, Out, Connecting), None, none),
                    (To(1, Out, Ringing), back, none),
                    (To(1, Out, Active), None, join),
                    (To(1, Out, Held), None, none),
                    (To(1, Out, Active), None, none),
                    (End(1, Out, Why::PeerHungUp), None, leave),
                ],
            ),
            (
                "in, answered, hung up",
                &[
                    (To(1, In, Ringing), ring, none),
                    (To(1, In, Active), None, join),
                    (End(1, In, Why::HungUp), None, leave),
                ],
            ),
            (
                "declined there",
                &[
                    (To(1, Out, Ringing), back, none),
                    (End(1, Out, Why::Declined), None, busy),
                ],
            ),
            (
                "busy before it rang",
                &[
                    (To(1, Out, Connecting), None, none),
                    (End(1, Out, Why::Busy), None, busy),
                ],
            ),
            (
                "not reachable",
                &[
                    (To(1, Out, LookingUp), None, none),
                    (End(1, Out, Why::Unreachable), None, busy),
                ],
            ),
            (
                "given up here",
                &[
                    (To(1, Out, Ringing), back, none),
                    (End(1, Out, Why::Cancelled), None, none),
                ],
            ),
            (
                "declined here",
                &[
                    (To(1, In, Ringing), ring, none),
                    (End(1, In, Why::DeclinedHere), None, none),
                ],
            ),
            (
                "missed",
                &[
                    (To(1, In, Ringing), ring, none),
                    (End(1, In, Why::PeerCancelled), None, none),
                ],
            ),
            (
                "ignored",
                &[
                    (To(1, In, Ringing), ring, none),
                    (Ignore, None, none),
                    (To(1, In, Ringing), None, none),
                    (End(1, In, Why::Missed), None, none),
                    (To(2, In, Ringing), ring, none),
                ],
            ),
            (
                "not to be disturbed",
                &[
                    (Quiet, None, none),
                    (To(1, In, Ringing), None, none),
                    (Loud, ring, none),
                    (Quiet, None, none),
                    (To(1, In, Active), None, join),
                    (To(2, In, Ringing), None, none),
                ],
            ),
            (
                "a second one calls",
                &[
                    (To(1, In, Active), None, join),
                    (To(2, In, Ringing), waits, none),
                    (Ignore, None, none),
                    (End(2, In, Why::Missed), None, none),
                    (To(3, In, Ringing), waits, none),
                    (To(1, In, Held), waits, none),
                    (To(3, In, Active), None, join),
                    (End(3, In, Why::PeerHungUp), None, leave),
                    (End(1, In, Why::PeerHungUp), None, leave),
                ],
            ),
            (
                "somebody calls while it rings there",
                &[
                    (To(1, Out, Ringing), back, none),
                    (To(2, In, Ringing), waits, none),
                    (End(2, In, Why::DeclinedHere), back, none),
                ],
            ),
            (
                "the first is over while the second calls",
                &[
                    (To(1, In, Active), None, join),
                    (To(2, In, Ringing), waits, none),
                    (End(1, In, Why::HungUp), ring, leave),
                ],
            ),
            (
                "muted",
                &[
                    (To(1, Out, Active), None, join),
                    (Muted(1, Out, Active), None, tick_on),
                    (Muted(1, Out, Held), None, none),
                    (To(1, Out, Held), None, tick_off),
                ],
            ),
            (
                "dialled and answered muted",
                &[
                    (Muted(1, Out, Connecting), None, none),
                    (Muted(1, Out, Ringing), back, none),
                    (Muted(1, Out, Active), None, join),
                    (To(1, Out, Active), None, tick_off),
                ],
            ),
            (
                "recorded here, then there too, then no longer here",
                &[
                    (To(1, Out, Active), None, join),
                    (Recorded(1, true, false), None, beep),
                    (Recorded(1, true, true), None, beep),
                    (Recorded(1, false, true), None, none),
                    (Recorded(1, true, true), None, beep),
                ],
            ),
            (
                "lost",
                &[
                    (To(1, Out, Active), None, join),
                    (End(1, Out, Why::Lost), None, leave),
                ],
            ),
            (
                "this phone ends",
                &[
                    (To(1, Out, Active), None, join),
                    (End(1, Out, Why::ShutDown), None, none),
                ],
            ),
        ];
        for (name, story) in stories {
            check(name, story);
        }
    }

    #[test]
    fn muting_two_calls_ticks_once() {
        let mut chimes = Chimes::default();
        take(&mut chimes, To(1, Out, Held));
        take(&mut chimes, To(2, Out, Active));
        chimes.take_short();
        take(&mut chimes, Muted(1, Out, Held));
        take(&mut chimes, Muted(2, Out, Active));
        assert_eq!(chimes.take_short(), [Tone::MuteOn]);
    }
}
