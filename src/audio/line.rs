//! The sound of one served call, both ways.

use std::time::Duration;

use crate::audio::clean::{Cleaning, Microphone, is_headset};
use crate::audio::codec::CodecError;
use crate::audio::hearing::Hearing;
use crate::audio::place::Place;
use crate::audio::record::Tap;
use crate::audio::rings::VoiceSide;
use crate::audio::speaking::Speaking;
use crate::audio::{AudioStats, Backend, Controls, Settings, Tone, reports};
use crate::phone::types::{CallId, FRAME, Frame, OpenMic, Report};
use crate::voice::{Arrivals, Policy, RATES};

/// Lives as long as the microphone may be open.
#[derive(Debug)]
pub(super) struct Line {
    permit: OpenMic,
    speaking: Speaking,
    hearing: Hearing,
    cleaning: Cleaning,
    /// Names of the microphone and the loudspeaker that serve, or served last.
    devices: Option<(String, String)>,
    arrivals: Arrivals,
}

/// Highest levels since they were last taken, as share of full scale.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peaks {
    pub(super) mic: f32,
    pub(super) speaker: f32,
}

impl Line {
    /// `policy` is new, or that of the call before it was held.
    pub(super) fn new(
        permit: OpenMic,
        settings: &Settings,
        policy: Policy,
    ) -> Result<Line, CodecError> {
        Ok(Line {
            permit,
            speaking: Speaking::new(settings.encoder_complexity, policy)?,
            hearing: Hearing::new(settings)?,
            cleaning: Cleaning::new(has_room(&settings.backend)),
            devices: None,
            arrivals: Arrivals::new(FRAME),
        })
    }

    pub(super) fn call(&self) -> CallId {
        self.permit.call()
    }

    /// The next frame of the microphone, if a whole one has been recorded.
    pub(super) fn record(&mut self, rings: &mut VoiceSide, controls: &Controls) -> Option<Frame> {
        self.speaking.record(rings, controls, &mut self.cleaning)
    }

    /// The sound of the last frame.
    pub(super) fn said(&self) -> &[f32] {
        self.speaking.said()
    }

    /// A frame from the far side that arrived at `at`.
    pub(super) fn receive(&mut self, frame: &Frame, at: Duration) {
        self.arrivals.arrived(frame.seq, at);
        self.hearing.receive(frame, at);
    }

    /// What the far side should be told now of how its voice arrives.
    pub(super) fn report(&mut self, now: Duration) -> Option<Report> {
        self.arrivals.report(now).as_ref().map(reports::to_bytes)
    }

    /// The far side says how the own voice arrives there.
    pub(super) fn hear_report(&mut self, report: Report, now: Duration) {
        let report = reports::from_bytes(report);
        self.speaking.sending.hear(report, now);
    }

    /// What was learned of the line, for when the call goes on after a hold.
    pub(super) fn into_policy(self) -> Policy {
        self.speaking.sending.into_policy()
    }

    /// Lays sound ready until there are `wanted` samples for the loudspeaker.
    pub(super) fn play(
        &mut self,
        rings: &mut VoiceSide,
        controls: &Controls,
        tap: Option<&mut Tap>,
        wanted: usize,
        now: Duration,
    ) {
        let cleaning = &mut self.cleaning;
        self.hearing
            .play(rings, controls, tap, cleaning, wanted, now);
    }

    /// The phone's own tones, which are mixed into the far voice.
    pub(super) fn take_tones(&mut self, lasting: Option<Tone>, short: Vec<Tone>) {
        self.hearing.take_tones(lasting, short);
    }

    /// Tones wait until there is a loudspeaker to be heard on.
    pub(super) fn let_tones_be_heard(&mut self, is_audible: bool) {
        self.hearing.let_tones_be_heard(is_audible);
    }

    /// Other devices serve from now on.
    pub(super) fn moved(&mut self, place: &Place) {
        // A stream that was opened anew on the same devices leaves the room as it was.
        let devices = (place.microphone.clone(), place.speaker.clone());
        if self.devices.as_ref() == Some(&devices) {
            self.cleaning.found();
        } else {
            self.cleaning.moved(is_headset(&place.speaker));
            self.devices = Some(devices);
        }
        if let Some(link) = place.link {
            self.cleaning.hint(link);
        }
    }

    /// No device serves at the moment.
    pub(super) fn lost(&mut self) {
        self.cleaning.lost();
    }

    pub(super) fn is_talking(&self) -> bool {
        self.cleaning.is_talking()
    }

    /// What the owner should know of the microphone.
    pub(super) fn microphone(&self) -> Microphone {
        self.cleaning.microphone()
    }

    pub(super) fn take_peaks(&mut self) -> Peaks {
        Peaks {
            mic: self.speaking.take_peak(),
            speaker: self.hearing.take_peak(),
        }
    }

    pub(super) fn stats(&self, now: Duration) -> AudioStats {
        let voice = self.hearing.stats(now);
        let sending = &self.speaking.sending;
        let (told, plan) = (sending.last_report(), sending.plan());
        AudioStats {
            jitter_ms: voice.jitter.as_secs_f32() * 1000.0,
            buffer_ms: voice.depth.as_secs_f32() * 1000.0,
            loss: voice.loss,
            concealed: voice.concealed,
            recorded: sending.sent(),
            received: voice.received,
            late: voice.late,
            duplicate: voice.duplicate,
            skipped: voice.skipped,
            target_ms: voice.target.as_secs_f32() * 1000.0,
            quantile_ms: voice.quantile.as_secs_f32() * 1000.0,
            lost: voice.lost,
            burst: voice.burst,
            copied: voice.copied,
            recovered: voice.recovered,
            stretched_ms: voice.stretched.as_secs_f32() * 1000.0,
            rough: voice.rough,
            dropped: 0,
            far_loss: told.loss,
            far_burst: told.burst,
            far_queue_ms: told.queue.as_secs_f32() * 1000.0,
            payload_kbps: RATES[plan.rate],
            copies: plan.copies.clone(),
            fec: plan.fec,
            starved: plan.starved,
            link_ms: None,
            cleaning: self.cleaning.doing(),
            shortages: 0,
        }
    }
}

/// Files and silence have no room in which a loudspeaker could be heard.
fn has_room(backend: &Backend) -> bool {
    matches!(backend, Backend::Cpal { .. })
}
