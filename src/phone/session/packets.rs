//! Putting packets together and sending them.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::{Io, Session, Stage};
use crate::phone::channel::{Opened, Plain};
use crate::phone::choice::Follow;
use crate::phone::plain::{Builder, Item, Lane};
use crate::phone::stream::OVERHEAD;
use crate::phone::timer::Timer;
use crate::phone::types::{Frame, Output, Path, Rung};
use crate::phone::wire::{PLAIN, PLAIN_WIDE, plain_size};

impl Session {
    /// Sends all that is due, unless the constant stream carries it.
    pub(super) fn flush(&mut self, io: &mut Io<'_>) {
        if self.stage == Stage::Dead {
            return;
        }
        let is_constant = self.pacer.is_some() && !self.paused;
        let mut left = MAX_BURST;
        while !is_constant && left > 0 && self.has_due(io.now) {
            self.repeat_finish(io);
            let plain = self.compose(self.size(io.now), None, io.now);
            self.transmit(self.choice.path(), &plain, io);
            left -= 1;
        }
        let rto = self.rto();
        let repeat = [&self.signal, &self.keys]
            .into_iter()
            .filter_map(|lane| lane.out.deadline(rto))
            .min();
        let wanted = self.is_alive() && !is_constant;
        self.timers
            .set_or_stop(Timer::Repeat, repeat.filter(|_| wanted));
    }

    /// One packet of the constant stream, as large as the last frame wanted it.
    pub(super) fn send_tick(&mut self, voice: Option<&Frame>, rung: Rung, io: &mut Io<'_>) {
        let plain = self.compose(plain_size(rung), voice, io.now);
        self.transmit(self.choice.path(), &plain, io);
    }

    /// Asks the path of a packet whether the peer is really there, answers if that packet asked the
    /// same, and tells the leader that it is proven here. One packet for one packet at most: the
    /// path may be a lie.
    pub(super) fn ask_and_answer(&mut self, from: Path, opened: Opened, io: &mut Io<'_>) {
        let about = std::mem::take(&mut self.about_path);
        let number = (opened.epoch, opened.counter);
        // Checks overtake the stream on shorter ways, which makes nothing of it old.
        let is_newest = !about.is_check && number >= self.streamed;
        if is_newest {
            self.streamed = number;
        }
        if !self.may_use(from) {
            return;
        }
        let mut items = ArrayVec::<Item<'static>, 3>::new();
        let mut asks = false;
        if let Some(nonce) = about.challenge {
            items.push(Item::PathResponse(nonce));
            self.checks.is_asked(from, self.rtt, io.now);
            asks = self.stage == Stage::Open && self.choice.wants_proof(from, io.now);
        } else if is_newest {
            asks = self.follow(from, io) == Follow::Ask;
        }
        if asks {
            let nonce = self.challenger.ask(from, io.now, io.rng);
            items.push(Item::PathChallenge(nonce));
        }
        if about.is_check && self.choice.is_ready(from, io.now) {
            items.push(Item::PathReady);
        }
        if !items.is_empty() {
            self.transmit_alone(from, items.iter(), io);
        }
        if about.is_check {
            self.ask_ways(io);
        }
    }

    /// The stream of the peer comes from there.
    fn follow(&mut self, from: Path, io: &Io<'_>) -> Follow {
        let follow = self.choice.streamed(from, io.now);
        if follow == Follow::Moved {
            self.moved();
        }
        follow
    }

    pub(super) fn take_response(&mut self, from: Path, nonce: [u8; 8], io: &Io<'_>) {
        self.about_path.is_check = true;
        let Some(rtt) = self.challenger.answered(from, nonce, io.now) else {
            return;
        };
        let kind = self.kind_of(from);
        if self.choice.answered(from, kind, rtt, io.now) {
            self.moved();
        }
    }

    /// A small packet with nothing but these items.
    pub(super) fn transmit_alone<'a>(
        &mut self,
        path: Path,
        items: impl Iterator<Item = &'a Item<'a>>,
        io: &mut Io<'_>,
    ) {
        let mut builder = Builder::new(PLAIN, None);
        for item in items {
            builder.add(item);
        }
        let plain = builder.finish();
        self.transmit(path, &plain, io);
    }

    pub(super) fn repeat_bye(&mut self, io: &mut Io<'_>) {
        let Stage::Closing(reason) = self.stage else {
            return;
        };
        let bye = [Item::Bye(reason as u8)];
        self.transmit_alone(self.choice.path(), bye.iter(), io);
        self.byes += 1;
        let pause = if self.byes < 3 { BYE_FIRST } else { BYE_LATER };
        self.timers.set(Timer::Bye, io.now + pause);
    }

    /// Time-out of a segment: two round trips, and what the constant stream holds packets back.
    pub(super) fn rto(&self) -> Duration {
        let held = if self.pacer.is_some() { 80 } else { 30 };
        let rtt = self.rtt.unwrap_or(FIRST_RTT);
        (2 * rtt + Duration::from_millis(held)).min(Duration::from_secs(1))
    }

    /// Wide while the first keys have to be carried; an acknowledgement alone needs no room, and
    /// must not be larger than what it answers.
    fn size(&self, now: Duration) -> usize {
        if self.stage == Stage::Keys && self.keys.out.is_due(now, self.rto()) {
            PLAIN_WIDE
        } else {
            PLAIN
        }
    }

    fn has_due(&self, now: Duration) -> bool {
        if self.acknowledge_bye {
            return true;
        }
        let rto = self.rto();
        let due =
            |lane: &super::Stream| lane.into.owes_acknowledgement() || lane.out.is_due(now, rto);
        let may_signal = self.stage == Stage::Open;
        let has_talk = self.ping_due || self.pong_due.is_some() || due(&self.signal);
        self.is_alive() && (due(&self.keys) || may_signal && has_talk)
    }

    fn compose(&mut self, size: usize, voice: Option<&Frame>, now: Duration) -> Plain {
        let mut builder = Builder::new(size, voice);
        if std::mem::take(&mut self.acknowledge_bye) {
            builder.add(&Item::ByeAcknowledged);
        }
        if self.stage == Stage::Open {
            self.add_echo(&mut builder, now);
            self.add_stream(Lane::Signal, &mut builder, now);
        }
        if self.is_alive() {
            self.add_stream(Lane::Keys, &mut builder, now);
        }
        builder.finish()
    }

    fn add_echo(&mut self, builder: &mut Builder, now: Duration) {
        if self.ping_due {
            let stamp = now.as_micros() as u32;
            self.ping_due = !builder.add(&Item::Ping { stamp });
        }
        if let Some((stamp, at)) = self.pong_due {
            let held = now.saturating_sub(at).as_micros() as u32;
            let sent = builder.add(&Item::Pong { stamp, held });
            self.pong_due = self.pong_due.filter(|_| !sent);
        }
        if let Some(report) = self.report_due {
            let sent = builder.add(&Item::Report(report));
            self.report_due = self.report_due.filter(|_| !sent);
        }
    }

    /// What one stream owes: an acknowledgement, then as many segments as have room.
    fn add_stream(&mut self, lane: Lane, builder: &mut Builder, now: Duration) {
        let rto = self.rto();
        let stream = self.lane(lane);
        if stream.into.owes_acknowledgement() && builder.room() >= OVERHEAD + 2 {
            let most = if builder.room() > 64 { 4 } else { 1 };
            let (next, recent) = stream.into.acknowledgement(most);
            let offsets: ArrayVec<u8, 16> = recent.take(4).flat_map(u32::to_le_bytes).collect();
            builder.add(&Item::Acknowledgement {
                lane,
                next,
                offsets: &offsets,
            });
        }
        while builder.room() > OVERHEAD {
            let mut bytes = ArrayVec::<u8, 255>::new();
            let room = builder.room() - 4;
            let Some(offset) = stream.out.segment(room, now, rto, &mut bytes) else {
                break;
            };
            builder.add(&Item::Segment {
                lane,
                offset,
                bytes: &bytes,
            });
        }
    }

    /// FINISH may have been lost: it goes out with everything until the responder is heard.
    fn repeat_finish(&mut self, io: &mut Io<'_>) {
        if let Some(finish) = &self.finish {
            io.out
                .push_back(Output::Transmit(self.choice.path(), finish.clone()));
        }
    }

    fn transmit(&mut self, path: Path, plain: &[u8], io: &mut Io<'_>) {
        if let Some(datagram) = self.channel.seal(plain) {
            io.out.push_back(Output::Transmit(path, datagram));
        }
    }
}

/// Packets sent at once at most.
const MAX_BURST: usize = 16;
/// Round trip assumed before one was measured.
const FIRST_RTT: Duration = Duration::from_millis(100);
const BYE_FIRST: Duration = Duration::from_millis(20);
const BYE_LATER: Duration = Duration::from_millis(200);
