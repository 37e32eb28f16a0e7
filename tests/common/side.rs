//! One phone of the simulation: its disk, its microphone, and everything it has said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use twocan::api::{CallId, Done, Event, Refusal};
use twocan::peer::{
    Contact, DeviceKeys, Identity, Invite, PeerId, Reach, SafeText, Seed, Stranger,
};
use twocan::phone::types::{Change, Datagram, Frame, Input, Now, Report, Rung};
use twocan::phone::{Answering, Phone, Settings};

use super::{EPOCH, World};

/// One phone and everything it has said.
pub struct Side {
    pub phone: Phone,
    pub name: String,
    pub(super) number: u8,
    pub(super) restarts: u8,
    pub address: SocketAddr,
    pub id: PeerId,
    pub events: Vec<Event>,
    pub replies: BTreeMap<u64, Result<Done, Refusal>>,
    pub contacts: BTreeMap<PeerId, Contact>,
    pub invites: BTreeMap<[u8; 16], Invite>,
    pub requests: BTreeMap<PeerId, Stranger>,
    pub reach: Reach,
    /// How often the circle has changed.
    pub circles: u32,
    /// How often it wanted something kept.
    pub saves: u32,
    /// The call that the microphone is open for; frames are made while it is.
    pub mic: Option<CallId>,
    pub mic_opens: u32,
    pub heard: Vec<(Duration, CallId, Frame)>,
    pub sent: Vec<(Duration, Datagram)>,
    /// With false the far end's datagrams vanish: the phone was switched off without a word.
    pub on: bool,
    /// With true nothing comes or goes, but the phone runs on.
    pub unplugged: bool,
    /// With true no frames are made, though the microphone is open.
    pub mic_is_broken: bool,
    pub(super) next_frame: Duration,
    pub(super) frames: u16,
    /// Of the frames that the microphone makes.
    pub rung: Rung,
    /// What the far side has said of our voice, and when it came.
    pub reports: Vec<(Duration, Report)>,
    pub(super) next_request: u64,
}

impl Side {
    pub(super) fn new(name: &str, number: u8, seed: u8, now: Duration) -> Side {
        let address = SocketAddr::from(([192, 0, 2, number], 4000));
        let settings = settings(name, number, seed, address, now);
        let id = settings.identity;
        let moment = Now {
            mono: now,
            unix: EPOCH + now.as_secs(),
        };
        Side {
            phone: Phone::new(settings, moment),
            name: name.to_owned(),
            number,
            restarts: 0,
            address,
            id,
            events: Vec::new(),
            replies: BTreeMap::new(),
            contacts: BTreeMap::new(),
            invites: BTreeMap::new(),
            requests: BTreeMap::new(),
            reach: Reach::default(),
            circles: 0,
            saves: 0,
            mic: None,
            mic_opens: 0,
            heard: Vec::new(),
            sent: Vec::new(),
            on: true,
            unplugged: false,
            mic_is_broken: false,
            next_frame: Duration::ZERO,
            frames: 0,
            rung: Rung::USUAL,
            reports: Vec::new(),
            next_request: 1,
        }
    }

    pub(super) fn store(&mut self, change: Change) {
        match change {
            Change::Contact(contact) => {
                self.contacts.insert(contact.id, *contact);
            }
            Change::RemoveContact(id) => {
                self.contacts.remove(&id);
            }
            Change::Invite(invite) => {
                self.invites.insert(invite.token, invite);
            }
            Change::RemoveInvite(token) => {
                self.invites.remove(&token);
            }
            Change::Reach(reach) => self.reach = reach,
            Change::Request(stranger) => {
                self.requests.insert(stranger.id, *stranger);
            }
            Change::RemoveRequest(id) => {
                self.requests.remove(&id);
            }
        }
    }
}

/// The settings of a phone whose identity is given by `number`, so that it can be started again.
pub fn settings(name: &str, number: u8, seed: u8, address: SocketAddr, now: Duration) -> Settings {
    let identity = identity(number);
    let device = device(number);
    let unix = (EPOCH + now.as_secs()) as u32;
    let cert = identity.certify(&device, unix - 60, unix + 30 * 86_400, 0);
    Settings {
        seed: [seed ^ number.wrapping_mul(37); 32],
        device,
        cert,
        identity: identity.id(),
        name: SafeText::name(name),
        contacts: Vec::new(),
        invites: Vec::new(),
        requests: Vec::new(),
        reach: Reach::default(),
        addresses: vec![address],
        answering: Answering::Manual,
    }
}

pub fn identity(number: u8) -> Identity {
    Identity::from_seed(&Seed::from_bytes([number; 32]))
}

pub fn device(number: u8) -> DeviceKeys {
    DeviceKeys::from_secrets([number ^ 0x55; 32], [number ^ 0xaa; 32])
}

impl World {
    /// Ends a phone without a word and starts it again with what was on its disk.
    pub fn restart(&mut self, side: usize) {
        self.restart_with(side, |_| {});
    }

    /// Starts a phone again with changed settings.
    pub fn restart_with(&mut self, side: usize, change: impl FnOnce(&mut Settings)) {
        let now = self.moment();
        let this = &mut self.sides[side];
        this.restarts += 1;
        let seed = self.seed.wrapping_add(this.restarts.wrapping_mul(101));
        let contacts = this.contacts.values().cloned().collect();
        let invites = this.invites.values().cloned().collect();
        let mut settings = settings(&this.name, this.number, seed, this.address, self.now);
        settings.contacts = contacts;
        settings.invites = invites;
        settings.requests = this.requests.values().cloned().collect();
        settings.requests.sort_by_key(|stranger| stranger.at);
        settings.reach = this.reach.clone();
        change(&mut settings);
        for contact in &settings.contacts {
            this.contacts.insert(contact.id, contact.clone());
        }
        this.phone = Phone::new(settings, now);
        this.mic = None;
        this.on = true;
        self.drain(side);
    }

    /// A phone stops as if its computer were asleep.
    pub fn suspend(&mut self, side: usize) {
        self.sides[side].on = false;
    }

    pub fn resume(&mut self, side: usize) {
        self.sides[side].on = true;
        self.sides[side].next_frame = self.now;
    }

    pub(super) fn make_frame(&mut self, side: usize) {
        let now = self.now;
        let this = &mut self.sides[side];
        let Some(call) = this.mic.filter(|_| this.next_frame <= now) else {
            return;
        };
        this.next_frame += Duration::from_millis(20);
        if this.mic_is_broken {
            return;
        }
        this.frames = this.frames.wrapping_add(1);
        let mut frame = Frame::new(this.frames, [side as u8; 30].into_iter().collect());
        frame.rung = this.rung;
        self.handle(side, Input::Voice(call, frame));
    }
}
