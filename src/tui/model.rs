//! Everything the screen shows, as plain data: no handles, no clock, no channels.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use crate::api::{
    AudioView, CallId, CallState, ContactView, Direction, EchoCancelling, HistoryView, NetworkView,
    RequestId, RequestView, SoundDevice, Standing, Status,
};
use crate::peer::{PeerId, SafeText};
use crate::tui::action::Situation;
use crate::tui::call::Call;
use crate::tui::devices::{self, Came};
use crate::tui::glyphs::Glyphs;
use crate::tui::keys::Keymap;
use crate::tui::popup::{Field, Popup};
use crate::tui::theme::Theme;

/// The whole state of the screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The present, as the last tick told it.
    pub now: Timestamp,
    pub look: Look,
    /// The engine lives in a daemon and goes on without this screen.
    pub attached: bool,
    /// The first start: guide through sound and invite.
    pub first_run: bool,
    /// None until the engine has told its state.
    pub me: Option<Me>,
    pub muted: bool,
    /// Playback gain as set from here; the engine does not tell it.
    pub volume: Option<f32>,
    /// Microphone gain as set from here.
    pub gain: Option<f32>,
    /// Echo cancelling as set from here.
    pub echo_cancelling: Option<EchoCancelling>,
    pub audio: Option<AudioView>,
    /// None until the engine has looked for them.
    pub devices: Option<Vec<SoundDevice>>,
    /// How the person came here, if it was by ssh.
    pub came: Option<Came>,
    pub network: NetworkView,
    /// What contacts are told of the owner of this phone.
    pub standing: Standing,
    /// Strangers who ask to become contacts, newest first.
    pub requests: Vec<RequestView>,
    /// By name, blocked ones last.
    pub contacts: Vec<ContactView>,
    /// In the order in which they came.
    pub calls: Vec<Call>,
    /// Newest first.
    pub history: Vec<HistoryView>,
    /// Oldest first, bounded.
    pub texts: VecDeque<TextLine>,
    /// Levels of the sound test, while it runs.
    pub sound_test: Option<crate::tui::call::Meter>,
    pub pane: Pane,
    pub selected: Option<PeerId>,
    pub history_row: usize,
    pub filter: Option<Filter>,
    pub popup: Option<Popup>,
    pub notice: Option<Notice>,
    /// A key that waits for its second press.
    pub armed: Option<(Armed, Timestamp)>,
    /// Since when the keys of an incoming call are on the screen.
    pub incoming_since: Option<Timestamp>,
    /// The last one who was called.
    pub last_dialled: Option<PeerId>,
    /// Requests without an answer yet.
    pub asked: BTreeMap<RequestId, Asked>,
    pub next_request: RequestId,
}

/// How everything is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    pub theme: Theme,
    pub glyphs: Glyphs,
    pub keymap: Arc<Keymap>,
    pub zone: TimeZone,
    pub borders: bool,
}

/// This phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Me {
    pub name: SafeText,
    pub id: PeerId,
    pub version: String,
    pub listening: bool,
}

/// A line of text to or from a contact.
#[derive(Clone, Debug, PartialEq)]
pub struct TextLine {
    pub at: Timestamp,
    pub peer: PeerId,
    pub name: SafeText,
    pub text: SafeText,
    pub sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Contacts,
    /// The call, or the details of the selected contact while there is none.
    Call,
    History,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub field: Field,
    /// The field takes the keys.
    pub open: bool,
}

/// One line at the bottom that goes away by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub text: String,
    pub grave: bool,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Armed {
    HangUp(CallId),
    Quit,
}

/// What a request was for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Status,
    Invite {
        welcome: bool,
        public: bool,
    },
    /// Making a contact of a stranger.
    Accept,
    Devices,
    /// Kept so that nothing typed is lost when it is refused.
    Add {
        line: String,
        name: String,
    },
    Text {
        peer: PeerId,
        name: SafeText,
        text: String,
    },
    Other,
}

impl Model {
    pub fn new(look: Look, now: Timestamp) -> Model {
        Model {
            now,
            look,
            attached: false,
            first_run: false,
            me: None,
            muted: false,
            volume: None,
            gain: None,
            echo_cancelling: None,
            audio: None,
            devices: None,
            came: None,
            network: NetworkView::default(),
            standing: Standing::default(),
            requests: Vec::new(),
            contacts: Vec::new(),
            calls: Vec::new(),
            history: Vec::new(),
            texts: VecDeque::new(),
            sound_test: None,
            pane: Pane::Contacts,
            selected: None,
            history_row: 0,
            filter: None,
            popup: None,
            notice: None,
            armed: None,
            incoming_since: None,
            last_dialled: None,
            asked: BTreeMap::new(),
            next_request: 1,
        }
    }

    /// Takes over what the engine says of everything.
    pub fn take_status(&mut self, status: Status) {
        self.me = Some(Me {
            name: status.name,
            id: status.id,
            version: status.version,
            listening: !status.listen.is_empty(),
        });
        self.muted = status.muted;
        devices::hear(self, status.audio);
        self.network = status.network;
        self.standing = status.standing;
        self.requests = status.requests;
        let quiet = self.is_quiet();
        let mut before = std::mem::take(&mut self.calls);
        let views = status
            .calls
            .into_iter()
            .filter(|view| view.state != CallState::Ended);
        self.calls = views
            .map(
                |view| match before.iter().position(|call| call.id == view.call) {
                    Some(at) => before.swap_remove(at).refresh(view),
                    None => Call {
                        quiet,
                        ..Call::from_view(view)
                    },
                },
            )
            .collect();
        self.contacts = status.contacts;
        self.history = status.history;
        self.history_row = self.history_row.min(self.history.len().saturating_sub(1));
        self.sort_contacts();
    }

    /// Inserts or replaces a contact, or takes it away.
    pub fn take_contact(&mut self, contact: ContactView, removed: bool) {
        self.contacts.retain(|other| other.id != contact.id);
        if !removed {
            self.contacts.push(contact);
        }
        self.sort_contacts();
    }

    fn sort_contacts(&mut self) {
        self.contacts.sort_by_cached_key(|contact| {
            (contact.blocked, contact.name.to_lowercase(), contact.id)
        });
        let gone = self
            .selected
            .is_none_or(|id| !self.contacts.iter().any(|contact| contact.id == id));
        if gone {
            self.selected = self.contacts.first().map(|contact| contact.id);
        }
    }

    /// The contacts that the filter lets through.
    pub fn shown_contacts(&self) -> Vec<&ContactView> {
        let wanted = self
            .filter
            .as_ref()
            .map(|filter| filter.field.text().to_lowercase());
        let wanted = wanted.unwrap_or_default();
        self.contacts
            .iter()
            .filter(|contact| contact.name.to_lowercase().contains(&wanted))
            .collect()
    }

    /// The contact under the cursor.
    pub fn selected(&self) -> Option<&ContactView> {
        self.shown_contacts()
            .into_iter()
            .find(|contact| Some(contact.id) == self.selected)
    }

    pub fn contact(&self, id: PeerId) -> Option<&ContactView> {
        self.contacts.iter().find(|contact| contact.id == id)
    }

    pub fn call(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == id)
    }

    /// The call that the keys of a call are for: the one that is talked in, else the one being
    /// dialled, else one on hold.
    pub fn current(&self) -> Option<&Call> {
        let rank = |call: &&Call| match (call.state, call.direction) {
            (CallState::Active, _) => 0,
            (CallState::LookingUp | CallState::Connecting, _)
            | (CallState::Ringing, Direction::Out) => 1,
            _ => 2,
        };
        self.calls
            .iter()
            .filter(|call| !call.rings_here())
            .min_by_key(rank)
    }

    /// An answered call beside [`Model::current`].
    pub fn other(&self) -> Option<&Call> {
        let current = self.current()?.id;
        self.calls
            .iter()
            .find(|call| call.id != current && call.is_answered())
    }

    /// The call that this phone rings for, one that is ignored last.
    pub fn incoming(&self) -> Option<&Call> {
        self.calls
            .iter()
            .filter(|call| call.rings_here())
            .min_by_key(|call| (call.ignored, call.quiet))
    }

    /// No call and no text may make a sound here.
    pub fn is_quiet(&self) -> bool {
        self.standing == Standing::DoNotDisturb
    }

    /// A field or a question has the keyboard, so a call that comes in may only be a banner.
    pub fn is_typing(&self) -> bool {
        let filtering = self.filter.as_ref().is_some_and(|filter| filter.open);
        filtering || matches!(self.popup, Some(Popup::Prompt(_) | Popup::Ask(_)))
    }

    /// The incoming call whose keys are valid right now.
    pub fn answerable(&self) -> Option<&Call> {
        let looked_at = self.pane == Pane::Call && self.current().is_none();
        self.incoming()
            .filter(|call| !self.is_typing() && !call.quiet && (!call.ignored || looked_at))
    }

    /// What the keyboard talks to.
    pub fn situation(&self) -> Situation {
        if self.filter.as_ref().is_some_and(|filter| filter.open) {
            return Situation::Field;
        }
        match &self.popup {
            Some(Popup::Prompt(_)) => return Situation::Field,
            Some(Popup::Ask(_)) => return Situation::Ask,
            _ => {}
        }
        if self.answerable().is_some() {
            return Situation::Incoming {
                in_call: self.current().is_some(),
            };
        }
        match &self.popup {
            Some(Popup::Help { .. }) => Situation::Help,
            Some(Popup::Invite(_)) => Situation::Invite,
            Some(Popup::Standing) => Situation::Standing,
            Some(Popup::Requests { .. }) => Situation::Requests,
            Some(Popup::Devices { .. }) => Situation::Devices,
            Some(Popup::Wizard(_)) => Situation::Wizard,
            _ => self.main_situation(),
        }
    }

    /// The same without whatever lies over the main screen.
    pub fn main_situation(&self) -> Situation {
        let in_call = self.current().is_some();
        match self.pane {
            Pane::Contacts => Situation::Contacts { in_call },
            Pane::History => Situation::History { in_call },
            Pane::Call if in_call => Situation::Call,
            Pane::Call => Situation::Details,
        }
    }

    /// The lines exchanged with somebody, oldest first.
    pub fn texts_with(&self, peer: PeerId) -> impl DoubleEndedIterator<Item = &TextLine> {
        self.texts.iter().filter(move |line| line.peer == peer)
    }

    pub fn note_text(&mut self, line: TextLine) {
        if self.texts.len() == MAX_TEXTS {
            self.texts.pop_front();
        }
        self.texts.push_back(line);
    }

    pub fn say(&mut self, text: impl Into<String>, grave: bool) {
        self.notice = Some(Notice {
            text: text.into(),
            grave,
            at: self.now,
        });
    }

    /// When the picture changes next without anything happening: a running second, a notice that
    /// goes, an age that grows. None if it never does.
    pub fn next_change(&self) -> Option<Timestamp> {
        use jiff::SignedDuration as For;
        let after = |at: Timestamp, millis: i64| at.checked_add(For::from_millis(millis)).ok();
        let second = self.calls.iter().filter_map(|call| {
            let begun = call.answered.unwrap_or(call.since).subsec_millisecond();
            let now = self.now.subsec_millisecond();
            after(self.now, i64::from((begun - now - 1).rem_euclid(1000) + 1))
        });
        let notice = self
            .notice
            .as_ref()
            .and_then(|notice| after(notice.at, notice.lasts()));
        let armed = self.armed.and_then(|(_, at)| after(at, CONFIRM_MS));
        let ages = self
            .contacts
            .iter()
            .any(|contact| contact.last_seen.is_some());
        let minute = ages.then(|| after(self.now, 60_000)).flatten();
        second.chain(notice).chain(armed).chain(minute).min()
    }
}

impl Notice {
    /// How long it stays, in milliseconds.
    pub fn lasts(&self) -> i64 {
        if self.grave { 12_000 } else { 6_000 }
    }
}

/// Within this time the second press confirms, in milliseconds.
pub const CONFIRM_MS: i64 = 2_000;

/// Keys of an incoming call do nothing for so long, so that typing cannot answer. In milliseconds.
pub const DEAF_MS: i64 = 700;

const MAX_TEXTS: usize = 200;
