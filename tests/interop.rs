//! A second implementation, written in Python from `man/twocan-protocol.7`, against this one.
//!
//! Needs a Python with the packages of `tests/interop/requirements.txt`, named by the environment
//! variable `TWOCAN_INTEROP_PYTHON`; without it each test says that it was skipped.

#[path = "interop/python.rs"]
mod python;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use python::{Python, python};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use twocan::api::{CallId, CallState, Command, Done, Event, Why};
use twocan::peer::{DeviceKeys, Identity, Reach, SafeText, Seed};
use twocan::phone::types::{Copied, Frame, Input, Media, Now, Opus, Output, Path, Report, Rung};
use twocan::phone::{Phone, Settings};
use x_wing::kem::{KeyExport, TryDecapsulate};
use x_wing::{Ciphertext, DecapsulationKeyRejectNonContrib, Decapsulator, Encapsulate};

#[test]
fn the_worked_example_of_the_page_is_right_for_others_too() {
    let Some(mut python) = python("check.py", &["example"]) else {
        return;
    };
    python.end();
}

#[test]
fn python_calls_us() {
    python_calls(0.0);
}

#[test]
fn python_calls_us_through_heavy_loss() {
    python_calls(0.15);
}

fn python_calls(loss: f64) {
    let mut us = Us::new();
    let line = us.invite();
    let loss = loss.to_string();
    let Some(mut pia) = python("phone.py", &["call", &line, "--loss", &loss]) else {
        return;
    };
    us.until(&mut pia, "silent");
    us.until(&mut pia, "contact");
    us.until(&mut pia, "ringing");
    us.until_state(CallState::Ringing);
    let answer = Command::Answer {
        call: None,
        muted: false,
    };
    assert!(matches!(us.order(answer), Done::Call(_)));
    let theirs = us.until(&mut pia, "words");
    assert_eq!(us.words(), words(&theirs));
    us.until(&mut pia, "moved");
    let heard = us.until(&mut pia, "heard");
    if loss == "0" {
        let (frames, span) = (number(&heard, "frames"), number(&heard, "span"));
        assert!(frames > 100 && frames + 5 >= span, "{heard}");
    }
    let parted = us.until(&mut pia, "parted");
    assert_eq!(number(&parted, "reason"), 1);
    pia.end();

    assert_eq!(us.why(), Some(Why::PeerHungUp));
    assert!(us.mic.is_none());
    us.heard_only_silence(if loss == "0" { 100 } else { 50 });
    let told = |wanted: &dyn Fn(&Event) -> bool| us.events.iter().any(wanted);
    assert!(told(
        &|event| matches!(event, Event::Text { text, .. } if *text == "grüße")
    ));
    assert!(told(&|event| matches!(
        event,
        Event::Call {
            state: CallState::Held,
            held_there: true,
            ..
        }
    )));
}

#[test]
fn we_call_python() {
    we_call(0.0);
}

#[test]
fn we_call_python_through_heavy_loss() {
    we_call(0.15);
}

fn we_call(loss: f64) {
    let Some(mut pia) = python("phone.py", &["answer", "--loss", &loss.to_string()]) else {
        return;
    };
    let mut us = Us::new();
    let line = us.until(&mut pia, "invite")["line"].clone();
    let line = line.as_str().expect("a line").to_owned();
    us.order(Command::AddContact { line, name: None });
    us.until(&mut pia, "challenged");
    us.until(&mut pia, "contact");
    us.call(&mut pia);
    us.talk_until_epoch(&mut pia, 2);
    us.hang_up(&mut pia);
    if loss == 0.0 {
        us.says_no_more();
    }
    us.until(&mut pia, "again");
    us.call(&mut pia);
    us.run(Duration::from_secs(1));
    us.hang_up(&mut pia);
    us.heard_only_silence(40);
    pia.end();
    us.run(Duration::from_secs(3));
    assert_eq!(us.phone.deadline(), None, "nothing is left of it");
}

/// X-Wing by the crate against `kyber-py`, `cryptography` and the combiner of the page: keys,
/// ciphertexts and secrets, both ways, and what comes of a bent ciphertext.
#[test]
fn both_make_the_same_of_x_wing() {
    let Some(mut python) = python("check.py", &["xwing"]) else {
        return;
    };
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    for round in 0..24 {
        let (mut seed, mut randomness) = ([0; 32], [0; 64]);
        rng.fill_bytes(&mut seed);
        rng.fill_bytes(&mut randomness);
        let secret = DecapsulationKeyRejectNonContrib::from(seed);
        let ek = secret.encapsulation_key();
        let (mut given, shared) = ek.encapsulate_with_rng(&mut rng);
        match round % 4 {
            1 => given[rng.next_u32() as usize % 1088] ^= 1 << (rng.next_u32() % 8),
            2 => given[1088 + rng.next_u32() as usize % 31] ^= 1 << (rng.next_u32() % 8),
            3 => given[1088..].fill(0),
            _ => {}
        }
        python.say(&[hex(&seed), hex(&randomness), hex(&given)].join(" "));
        let line = python.line(SOON).expect("an answer");
        let [their_ek, their_ct, their_ss, opened] =
            <[&str; 4]>::try_from(line.split(' ').collect::<Vec<_>>()).expect("four parts");
        assert_eq!(their_ek, hex(&ek.to_bytes()), "keys of round {round}");
        let ct = Ciphertext::try_from(unhex(their_ct).as_slice()).expect("a ciphertext");
        let ours = secret.try_decapsulate(&ct).expect("genuine");
        assert_eq!(their_ss, hex(&ours), "secrets of round {round}");
        match secret.try_decapsulate(&given) {
            Ok(ours) => assert_eq!(opened, hex(&ours), "round {round}"),
            Err(_) => assert_eq!(opened, "-", "round {round}"),
        }
        assert_eq!(opened == hex(&shared), round % 4 == 0, "round {round}");
        assert_eq!(opened == "-", round % 4 == 3, "round {round}");
    }
    python.end();
}

/// A phone behind a real socket, on a clock that can be pushed forward.
struct Us {
    phone: Phone,
    socket: UdpSocket,
    began: Instant,
    skipped: Duration,
    events: Vec<Event>,
    replies: Vec<(u64, Done)>,
    requests: u64,
    mic: Option<CallId>,
    next_frame: Duration,
    frames: u16,
    heard: Vec<Frame>,
    reported: Option<Report>,
    /// Datagrams sent.
    said: u64,
}

impl Us {
    fn new() -> Us {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(1)))
            .expect("a time-out");
        let mut rng = ChaCha20Rng::from_seed(seed());
        let (mut seed, mut other) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut seed);
        rng.fill_bytes(&mut other);
        let identity = Identity::from_seed(&Seed::from_bytes(seed));
        let device = DeviceKeys::generate(&mut rng);
        let unix = unix() as u32;
        let cert = identity.certify(&device, unix - 60, unix + 86_400, 0);
        let settings = Settings {
            seed: other,
            device,
            cert,
            identity: identity.id(),
            name: SafeText::name("rosa"),
            contacts: Vec::new(),
            invites: Vec::new(),
            requests: Vec::new(),
            reach: Reach::default(),
            addresses: vec![socket.local_addr().expect("bound")],
            answering: twocan::phone::Answering::Manual,
        };
        let began = clock();
        let now = Now {
            mono: Duration::ZERO,
            unix: u64::from(unix),
        };
        Us {
            phone: Phone::new(settings, now),
            socket,
            began,
            skipped: Duration::ZERO,
            events: Vec::new(),
            replies: Vec::new(),
            requests: 0,
            mic: None,
            next_frame: Duration::ZERO,
            frames: 0,
            heard: Vec::new(),
            reported: None,
            said: 0,
        }
    }

    fn invite(&mut self) -> String {
        let invite = Command::Invite {
            lifetime: 600,
            uses: 1,
            public: false,
        };
        match self.order(invite) {
            Done::Invite { line, .. } => line,
            other => panic!("no invite: {other:?}"),
        }
    }

    fn order(&mut self, command: Command) -> Done {
        self.requests += 1;
        let request = self.requests;
        self.handle(Input::Request(request, command));
        let reply = self.replies.iter().find(|(id, _)| *id == request);
        reply.map(|(_, done)| done.clone()).expect("a reply")
    }

    /// Rings the one contact, until both talk and the words agree.
    fn call(&mut self, pia: &mut Python) {
        self.run(Duration::from_millis(200));
        self.events.clear();
        let peer = "pia".to_owned();
        self.order(Command::Dial { peer, muted: false });
        self.until(pia, "ringing");
        let theirs = self.until(pia, "words");
        assert_eq!(self.words(), words(&theirs));
        self.until_state(CallState::Active);
    }

    fn hang_up(&mut self, pia: &mut Python) {
        self.order(Command::Hangup { call: None });
        let heard = self.until(pia, "heard");
        assert!(number(&heard, "frames") > 20, "{heard}");
        assert_eq!(number(&self.until(pia, "bye"), "reason"), 1);
        assert_eq!(self.why(), Some(Why::HungUp));
    }

    /// A farewell that was acknowledged is not repeated.
    fn says_no_more(&mut self) {
        self.run(Duration::from_millis(300));
        let said = self.said;
        self.run(Duration::from_millis(700));
        assert_eq!(self.said, said);
    }

    /// Pushes our clock forward in steps that the call survives, so that we renew the keys.
    fn talk_until_epoch(&mut self, pia: &mut Python, epoch: u64) {
        self.run(Duration::from_secs(1));
        for _ in 0..40 {
            self.skipped += Duration::from_secs(4);
            self.run(Duration::from_millis(200));
            while let Some(line) = pia.line(Duration::ZERO) {
                let told: Value = serde_json::from_str(&line).expect("JSON");
                if told["event"] == "epoch" && number(&told, "number") == epoch {
                    return self.run(Duration::from_secs(1));
                }
            }
        }
        panic!("the keys were never renewed, but this: {:?}", self.events);
    }

    /// Lives until the other one says so.
    fn until(&mut self, pia: &mut Python, event: &str) -> Value {
        let end = clock() + SOON;
        while clock() < end {
            self.step();
            match pia.lines.try_recv() {
                Ok(line) => {
                    let told: Value = serde_json::from_str(&line).expect("JSON");
                    if told["event"] == event {
                        return told;
                    }
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    panic!("ended before it said {event}, but this: {:?}", self.events)
                }
            }
        }
        panic!("{event} never came");
    }

    fn until_state(&mut self, wanted: CallState) {
        let end = clock() + SOON;
        let is = |event: &Event| matches!(event, Event::Call { state, .. } if *state == wanted);
        while !self.events.iter().any(is) {
            assert!(clock() < end, "never {wanted:?}: {:?}", self.events);
            self.step();
        }
    }

    fn words(&mut self) -> Vec<String> {
        let end = clock() + SOON;
        while clock() < end {
            self.step();
            let words = self.events.iter().rev().find_map(|event| match event {
                Event::Sas { words, .. } => Some(words.to_vec()),
                _ => None,
            });
            if let Some(words) = words {
                return words;
            }
        }
        panic!("no words here");
    }

    fn why(&self) -> Option<Why> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Call { why, .. } => *why,
            _ => None,
        })
    }

    fn heard_only_silence(&self, least: usize) {
        assert!(self.heard.len() >= least, "{}", self.heard.len());
        assert!(self.heard.iter().all(|frame| *frame.opus == SILENCE));
        let copies = self.heard.iter().flat_map(|frame| &frame.copies);
        assert!(copies.clone().count() >= least - 1);
        assert!(
            copies
                .clone()
                .all(|copy| *copy.opus == SILENCE && copy.back == 1)
        );
        assert!(self.reported.is_some());
    }

    fn run(&mut self, time: Duration) {
        let end = clock() + time;
        while clock() < end {
            self.step();
        }
    }

    fn step(&mut self) {
        let mut buffer = [0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => self.handle(Input::Receive(Path::Udp(from), &buffer[..length])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the socket failed: {error}"),
        }
        self.speak();
        let deadline = self.phone.deadline();
        if deadline.is_some_and(|at| at <= self.mono()) {
            self.handle(Input::Timeout);
        }
    }

    fn speak(&mut self) {
        let now = self.mono();
        let Some(call) = self.mic.filter(|_| self.next_frame <= now) else {
            return;
        };
        self.next_frame = (self.next_frame + FRAME).max(now);
        self.frames = self.frames.wrapping_add(1);
        self.handle(Input::Voice(call, self.frame()));
        self.handle(Input::Report(call, REPORT));
    }

    /// The next frame, with copies of two before. It is larger from when the other side has said
    /// how it hears us.
    fn frame(&self) -> Frame {
        let opus = |seq: u16| -> Opus {
            let mut opus: Opus = [seq as u8; 27].into_iter().collect();
            opus[0] = SILENCE[0];
            opus
        };
        let mut frame = Frame::new(self.frames, opus(self.frames));
        frame.copies.extend([1, 3].map(|back| Copied {
            back,
            opus: opus(self.frames.wrapping_sub(u16::from(back))),
        }));
        if let Some(report) = self.reported {
            frame.rung = Rung::numbered(usize::from(report.burst));
        }
        frame
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = Now {
            mono: self.mono(),
            unix: unix(),
        };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.phone.handle(input, now);
            while let Some(output) = self.phone.poll() {
                inputs.extend(self.perform(output));
            }
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input<'static>> {
        match output {
            Output::Transmit(Path::Udp(to), datagram) => {
                // A port that nobody listens at any more may make this fail later on.
                let _ = self.socket.send_to(&datagram, to);
                self.said += 1;
            }
            Output::Voice(_, frame) => self.heard.push(frame),
            Output::Report(_, report) => self.reported = Some(report),
            Output::Media(Media::Open(call, _)) => {
                self.mic = Some(call);
                self.next_frame = self.mono();
            }
            Output::Media(Media::Close(_)) => self.mic = None,
            Output::Media(Media::Mute(_)) => {}
            Output::Event(event) => self.events.push(event),
            Output::Reply(id, result) => self.replies.push((id, result.expect("granted"))),
            Output::Save(id, _) => return Some(Input::Saved(id, true)),
            Output::Circle | Output::Rooms(..) | Output::CloseSide(_) => {}
            Output::Seek(peer) => return Some(Input::NoWay(peer)),
            other => panic!("a new output that this test does not know: {other:?}"),
        }
        None
    }

    fn mono(&self) -> Duration {
        clock() - self.began + self.skipped
    }
}

fn words(told: &Value) -> Vec<String> {
    serde_json::from_value(told["words"].clone()).expect("words")
}

fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().expect("a number")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("randomness");
    seed
}

#[expect(clippy::disallowed_methods, reason = "this test runs in real time")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this test runs in real time")]
fn unix() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

const SOON: Duration = Duration::from_secs(40);
const FRAME: Duration = Duration::from_millis(20);
/// Opus: 20 ms, mono, nothing in it.
/// What we say of Python's voice; it checks that.
const REPORT: Report = Report {
    loss: 7,
    recent: 9,
    burst: 5,
    queue: 3,
};
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
