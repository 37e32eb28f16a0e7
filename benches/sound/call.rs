//! Two phones in a call over a line, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use twocan::api::CallId;
use twocan::audio::{AudioStats, BLOCK, Backend, Chain, Settings};
use twocan::phone::types::{Datagram, Frame, Input, Now, OpenMic, Output, Path, Report};

use crate::common::{EPOCH, World};
use crate::line::Way;
use crate::rows::Row;
use crate::{clips, measure};

/// A call that is up, just before anybody says anything.
pub struct Call {
    world: World,
    ends: [End; 2],
    ways: [Way; 2],
    flying: BTreeMap<(Duration, u64), (usize, Datagram)>,
    count: u64,
    /// Bytes of Opus and copies that packets had room for, and packets, since the lead was over.
    payload: (u64, u64),
    began: Duration,
    /// When what counts begins.
    lead: Duration,
    ends_at: Duration,
}

/// One phone's sound.
struct End {
    call: CallId,
    chain: Chain,
    said: Vec<f32>,
    heard: Vec<f32>,
    /// 10 ms of this sound card.
    block: Duration,
    blocks: u64,
    /// What was counted when the lead was over.
    before: AudioStats,
}

/// What came of it.
pub struct Heard {
    /// By the second phone, which hears the first, and the other way round.
    pub by: [Vec<f32>; 2],
    pub kbps: f32,
    pub delay_ms: f32,
    pub last_delay_ms: f32,
    /// Share of all frames.
    pub concealed: f32,
}

impl Call {
    /// Each phone says all clips, the second one from the middle on. Before that they say two more,
    /// which do not count, as the phones do not know the line yet.
    pub fn new(row: &Row, clips: &[Vec<f32>], minutes: u64) -> Call {
        let mut world = World::friends(7);
        world.talk(0, 1);
        let began = world.now;
        let repeats = if row.is_long { minutes } else { 1 };
        let ends = [0, 1].map(|side| {
            let call = world.sides[side].mic.expect("a call is up");
            let slower = if side == 1 { row.slower_ppm } else { 0.0 };
            End::new(call, clips::said(clips, side, repeats), slower)
        });
        let lead = Duration::from_secs_f64(clips::lead(clips) as f64 / 48_000.0);
        let length = ends[0].said.len() as f64 / 48_000.0;
        Call {
            ways: [1, 2].map(|seed| Way::new(row.line, seed)),
            ends,
            flying: BTreeMap::new(),
            count: 0,
            payload: (0, 0),
            began,
            lead: began + lead,
            ends_at: began + Duration::from_secs_f64(length),
            world,
        }
    }

    pub fn run(mut self) -> Heard {
        while self.world.now < self.ends_at {
            let was_before = self.world.now < self.lead;
            self.step();
            if was_before && self.world.now >= self.lead {
                self.begin_to_count();
            }
        }
        self.finish()
    }

    /// The next thing that happens.
    fn step(&mut self) {
        let blocks = self.ends.iter().map(|end| end.due(self.began));
        let timers = self
            .world
            .sides
            .iter()
            .filter_map(|side| side.phone.deadline());
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let at = blocks.chain(timers).chain(arrival).min();
        self.world.now = at.unwrap_or(self.ends_at).max(self.world.now);
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.world.now
        {
            let (to, datagram) = entry.remove();
            let from = Path::Udp(self.world.sides[1 - to].address);
            self.tell(to, Input::Receive(from, &datagram));
        }
        for side in 0..2 {
            if self.ends[side].due(self.began) <= self.world.now {
                self.turn(side);
            }
            let deadline = self.world.sides[side].phone.deadline();
            if deadline.is_some_and(|at| at <= self.world.now) {
                self.tell(side, Input::Timeout);
            }
        }
    }

    fn turn(&mut self, side: usize) {
        let now = self.world.now;
        let end = &mut self.ends[side];
        let (frame, report) = end.turn(now);
        let call = end.call;
        if let Some(frame) = frame {
            if now >= self.lead {
                self.payload.0 += frame.rung.payload() as u64;
                self.payload.1 += 1;
            }
            self.tell(side, Input::Voice(call, frame));
        }
        if let Some(report) = report {
            self.tell(side, Input::Report(call, report));
        }
    }

    fn tell(&mut self, side: usize, input: Input<'_>) {
        let mono = self.world.now;
        let unix = EPOCH + mono.as_secs();
        self.world.sides[side]
            .phone
            .handle(input, Now { mono, unix });
        while let Some(output) = self.world.sides[side].phone.poll() {
            match output {
                Output::Transmit(Path::Udp(_), datagram) => {
                    if let Some(at) = self.ways[side].send(datagram.len(), mono) {
                        self.count += 1;
                        self.flying.insert((at, self.count), (1 - side, datagram));
                    }
                }
                Output::Voice(_, frame) => self.ends[side].chain.receive(&frame, mono),
                Output::Report(_, report) => self.ends[side].chain.hear_report(report, mono),
                _ => {}
            }
        }
    }

    fn begin_to_count(&mut self) {
        for end in &mut self.ends {
            end.before = end.chain.stats(self.world.now);
        }
    }

    fn finish(self) -> Heard {
        let now = self.world.now;
        let (mut concealed, mut all) = (0, 0);
        for end in &self.ends {
            let stats = end.chain.stats(now);
            concealed += stats.concealed - end.before.concealed;
            all += stats.recorded - end.before.recorded;
        }
        let [first, second] = self.ends;
        let from = (self.lead - self.began).as_secs_f64();
        let ratio = second.block.as_secs_f64() / first.block.as_secs_f64();
        let delays = measure::delays(&first.said, &second.heard, from, ratio);
        let mut sorted = delays.clone();
        sorted.sort_by(f32::total_cmp);
        Heard {
            by: [second.heard, first.heard],
            kbps: self.payload.0 as f32 * 0.4 / self.payload.1.max(1) as f32,
            delay_ms: sorted.get(sorted.len() / 2).copied().unwrap_or(f32::NAN),
            last_delay_ms: delays.last().copied().unwrap_or(f32::NAN),
            concealed: concealed as f32 / all.max(1) as f32,
        }
    }
}

impl End {
    fn new(call: CallId, said: Vec<f32>, slower_ppm: f64) -> End {
        let settings = Settings::new(Backend::Null);
        let mic = OpenMic::for_testing_only(call);
        End {
            call,
            chain: Chain::new(mic, &settings).expect("libopus starts"),
            // What is heard in the first block cannot be recorded before its end.
            heard: vec![0.0; BLOCK],
            said,
            block: Duration::from_secs_f64(0.01 * (1.0 + slower_ppm / 1e6)),
            blocks: 0,
            before: AudioStats::default(),
        }
    }

    /// When the present block of the sound card ends.
    fn due(&self, began: Duration) -> Duration {
        began + self.block.mul_f64((self.blocks + 1) as f64)
    }

    fn turn(&mut self, now: Duration) -> (Option<Frame>, Option<Report>) {
        let from = self.blocks as usize * BLOCK;
        let mut microphone = [0.0; BLOCK];
        if let Some(said) = self.said.get(from..from + BLOCK) {
            microphone.copy_from_slice(said);
        }
        self.blocks += 1;
        let mut loudspeaker = [0.0; BLOCK];
        let frame = self.chain.turn(&microphone, &mut loudspeaker, now);
        self.heard.extend(loudspeaker);
        (frame, self.chain.report(now))
    }
}
