//! What the phone and the sound say, done.

use std::time::Instant;

use super::run::Run;
use crate::api::{CallId, Done, Event, Playout, Refusal, Reply, RequestId};
use crate::audio::{AudioEvent, AudioStats};
use crate::peer::SafeText;
use crate::phone::types::{Frame, Input, Media, Now, Output, Path};

impl Run {
    pub(super) fn apply(&mut self, output: Output) {
        let parts = &mut self.parts;
        match output {
            Output::Transmit(Path::Circuit(circuit), datagram) => {
                parts.finder.node.send(circuit, &datagram);
            }
            Output::Transmit(path, datagram) => parts.net.send(path, &datagram),
            Output::Voice(call, frame) => self.hear_voice(call, frame),
            Output::Report(call, report) => parts.audio.report(call, report),
            Output::Media(media) => self.serve(media),
            Output::Event(event) => self.happen(event),
            Output::Reply(request, result) => self.reply(request, result),
            Output::Save(id, change) => parts.keep.change(id, change),
            Output::Seek(peer) => self.seek(peer),
            Output::Rooms(peer, missing) => self.ask_for_rooms(peer, missing),
            Output::CloseSide(side) => parts.net.close_side(side),
            Output::Circle => self.tell_keeper_of_circle(),
            Output::Work(peer, puzzle) => self.work(peer, puzzle),
        }
    }

    /// Something comes from the sound side.
    pub(super) fn hear(&mut self, event: AudioEvent) {
        match event {
            AudioEvent::Frame(call, frame, at) => self.speak(call, frame, at),
            AudioEvent::Report(call, report) => self.tell_phone(Input::Report(call, report)),
            AudioEvent::Levels {
                call,
                mic,
                speaker,
                talking,
            } => {
                if self.listeners.is_anybody_watching_levels() {
                    let levels = self.stamped(Event::Levels {
                        call,
                        mic,
                        speaker,
                        talking,
                    });
                    self.listeners.tell_in_passing(&levels);
                }
            }
            AudioEvent::Microphone { call, state } => self.tell_microphone(call, state),
            AudioEvent::Stats { call, stats } => {
                self.parts.book.note_sound(call, &stats);
                self.tell_stats(call, &stats);
            }
            AudioEvent::RecordingLost { call, why } => self.lose_recording(call, why),
            AudioEvent::Lost { why } => self.lose_sound(&why),
            AudioEvent::Restored { place } => self.find_sound(&place),
            AudioEvent::Refused { why } => self.announce(Event::Error {
                why: format!("sound: {}", SafeText::line(&why)),
            }),
        }
    }

    /// A frame counts from when it was made, whenever it is taken.
    fn speak(&mut self, call: CallId, frame: Frame, at: Instant) {
        let clock = &self.parts.clock;
        let (unix, mono) = (clock.now().unix, clock.mono(at));
        self.tell_phone_at(Input::Voice(call, frame), Now { mono, unix });
    }

    fn hear_voice(&mut self, call: CallId, frame: Frame) {
        if !self.echo(call, &frame) {
            self.parts.audio.push(call, frame);
        }
    }

    fn serve(&mut self, media: Media) {
        match media {
            Media::Open(call, mic) => {
                if !self.begin_echo(call) {
                    self.parts.audio.open(mic);
                }
            }
            Media::Close(call) => {
                self.end_echo(call);
                self.parts.audio.close(call);
            }
            Media::Mute(muted) => self.parts.audio.mute(muted),
            Media::Record(call, on) => self.record(call, on),
        }
    }

    fn happen(&mut self, event: Event) {
        let event = self.with_file(event);
        self.chimes.note(&event);
        let event = self.stamped(event);
        let mono = self.parts.clock.now().mono;
        if let Some(line) = self.parts.book.note(&event.event, event.at, mono) {
            self.parts.keep.history(line);
        }
        self.listeners.tell(&event);
    }

    fn reply(&mut self, request: RequestId, result: Result<Done, Refusal>) {
        if let Some((listener, id)) = self.asked.remove(&request) {
            self.listeners.answer(listener, Reply { reply: id, result });
        }
    }

    fn tell_stats(&mut self, call: CallId, stats: &AudioStats) {
        let Some(numbers) = self.parts.phone.call_numbers(call) else {
            return;
        };
        let stats = self.stamped(Event::Stats {
            call,
            rtt_ms: numbers.rtt_ms,
            jitter_ms: stats.jitter_ms,
            loss: stats.loss,
            buffer_ms: stats.buffer_ms,
            concealed: stats.concealed,
            sent: numbers.sent,
            received: numbers.received,
            far_loss: stats.far_loss,
            far_burst: stats.far_burst,
            far_queue_ms: stats.far_queue_ms,
            payload_kbps: stats.payload_kbps,
            copies: stats.copies.to_vec(),
            fec: stats.fec,
            starved: stats.starved,
            playout: Playout {
                target_ms: stats.target_ms,
                quantile_ms: stats.quantile_ms,
                lost: stats.lost,
                burst: stats.burst,
                repaired: stats.copied + stats.recovered,
                late: stats.late,
                skipped: stats.skipped,
                stretched_ms: stats.stretched_ms,
            },
            audio_link_ms: stats.link_ms,
            cleaning: self.cleaning(stats),
        });
        self.listeners.tell_in_passing(&stats);
    }
}
