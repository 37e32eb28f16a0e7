//! Finding people: what the phone, the directory and the node have to say to each other.
//!
//! The phone says whom it seeks and whom it knows, the keeper of the directory decides what is
//! published and looked up, the node does it. Here is only carried, and nobody waits for anybody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use super::lending::Lending;
use super::run::Run;
use crate::api::{Event, NatKind, NetworkState, NetworkView, Presence, Standing};
use crate::directory::{self, Announced, Keeper, Moment, Name, State};
use crate::disk::Surroundings;
use crate::net::{Node, NodeCommand, NodeEvent, NodeState, Phase};
use crate::peer::{Circle, PeerId, Reach};
use crate::phone::types::{CircuitId, Input, Missing, Path, Room};

/// The directory and the node, and what is under way between them and the phone.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) node: Node,
    pub(super) events: mpsc::Receiver<NodeEvent>,
    /// Not with `network = "none"`.
    keeper: Option<Keeper>,
    pub(super) view: NetworkView,
    pub(super) known: Surroundings,
    /// Whom the open tickets of [`NodeCommand::Meet`] are for.
    meetings: BTreeMap<u64, PeerId>,
    /// Whom the open tickets of [`NodeCommand::Rooms`] are for, the latest last.
    rooms: VecDeque<(u64, PeerId)>,
    last_ticket: u64,
    /// Contacts who were seen in the LAN, and where last.
    near: BTreeMap<PeerId, SocketAddr>,
    /// Last words that the network has not confirmed yet.
    signing_off: BTreeSet<Name>,
    is_ending: bool,
    lending: Option<Lending>,
}

impl Finder {
    pub(super) fn new(
        node: Node,
        events: mpsc::Receiver<NodeEvent>,
        keeper: Option<Keeper>,
        known: Surroundings,
        lending: Option<Lending>,
    ) -> Finder {
        Finder {
            node,
            events,
            keeper,
            view: NetworkView::default(),
            known,
            meetings: BTreeMap::new(),
            rooms: VecDeque::new(),
            last_ticket: 0,
            near: BTreeMap::new(),
            signing_off: BTreeSet::new(),
            is_ending: false,
            lending,
        }
    }

    /// The network does not know yet that this phone is going.
    pub(super) fn is_signing_off(&self) -> bool {
        !self.signing_off.is_empty()
    }

    /// When the directory has to be told that time has passed.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.keeper.as_ref()?.deadline()
    }

    /// The next thing that the node has to tell; pending for ever when it has ended. Cancel safe.
    pub(super) async fn news(&mut self) -> NodeEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn meet(&mut self, id: PeerId, peer: Vec<u8>, relays: Vec<Vec<u8>>) {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let meet = NodeCommand::Meet {
            ticket,
            peer,
            relays,
        };
        if self.node.ask(meet) {
            self.meetings.insert(ticket, id);
        }
    }
}

impl Run {
    /// What the directory has to know before anything else.
    pub(super) fn begin_to_find(&mut self) {
        if self.parts.finder.keeper.is_none() {
            return;
        }
        let standing = self.parts.finder.known.standing;
        self.tell_keeper(directory::Input::Standing(state(standing)));
        self.tell_keeper_of_device();
        // The phone answers its first input with its circle.
        self.tell_phone(Input::Online(false));
    }

    pub(super) fn tell_keeper_of_circle(&mut self) {
        if self.parts.finder.keeper.is_none() {
            return;
        }
        let circle = self.parts.phone.circle();
        let near = &mut self.parts.finder.near;
        near.retain(|id, _| circle.members.iter().any(|member| member.id == *id));
        self.ask_node(lan(&circle, self.parts.net.listen().port()));
        let lending = self.parts.finder.lending.as_mut();
        let offer = lending.and_then(|lending| lending.follow(&circle.mine));
        self.tell_keeper(directory::Input::Circle(circle));
        // Not sooner: under the old name somebody reads it who is in the circle no more.
        if offer.is_some() {
            self.tell_keeper(directory::Input::Offer(offer));
        }
    }

    pub(super) fn tell_keeper_of_device(&mut self) {
        let (cert, x_public) = self.parts.renewal.device();
        self.tell_keeper(directory::Input::Device(cert, x_public));
    }

    /// The phone wants ways to that peer.
    pub(super) fn seek(&mut self, peer: PeerId) {
        if let Some(&address) = self.parts.finder.near.get(&peer) {
            self.tell_phone(Input::Way(peer, Path::Udp(address)));
        }
        if self.parts.finder.keeper.is_some() {
            self.tell_keeper(directory::Input::Seek(peer));
        } else {
            self.tell_phone(Input::NoWay(peer));
        }
    }

    /// The owner wants his contacts to be told something else.
    pub(super) fn announce_standing(&mut self, standing: Standing) {
        let finder = &mut self.parts.finder;
        finder.known.standing = standing;
        let known = finder.known.clone();
        self.parts.keep.remember(known);
        self.tell_keeper(directory::Input::Standing(state(standing)));
        self.announce(Event::Standing { standing });
    }

    /// Signs off, so that contacts see at once that this phone has gone.
    pub(super) fn sign_off(&mut self) {
        self.parts.finder.is_ending = true;
        self.tell_keeper(directory::Input::Standing(State::Off));
    }

    /// Says nothing where no directory is used.
    pub(super) fn tell_keeper(&mut self, input: directory::Input) {
        let now = self.parts.clock.now();
        let moment = Moment {
            mono: now.mono,
            unix: now.unix,
        };
        if let Some(keeper) = &mut self.parts.finder.keeper {
            keeper.handle(input, moment);
        }
        while let Some(output) = self.parts.finder.keeper.as_mut().and_then(Keeper::poll) {
            self.obey_keeper(output);
        }
    }

    fn obey_keeper(&mut self, output: directory::Output) {
        use directory::Output;
        let finder = &mut self.parts.finder;
        match output {
            Output::Put { name, value } => {
                if finder.is_ending {
                    finder.signing_off.insert(name);
                }
                let name = name.0;
                self.ask_node(NodeCommand::Put { name, value });
            }
            Output::Watch(names) => {
                let names = names.into_iter().map(|name| name.0).collect();
                self.ask_node(NodeCommand::Watch(names));
            }
            Output::Get(name) => self.ask_node(NodeCommand::Get { name: name.0 }),
            Output::Seen { id, presence, at } => {
                self.tell_phone(Input::Announced(id, seen(presence), at));
            }
            Output::Located {
                id,
                device,
                peer,
                relays,
            } => {
                finder.meet(id, peer, relays);
                self.tell_phone(Input::Located(id, device));
            }
            Output::NotLocated { id } => self.tell_phone(Input::NoWay(id)),
            Output::Reach { id, reach } => self.tell_phone(Input::Reach(id, reach)),
            Output::Offers(offers) => self.ask_node(NodeCommand::Offers(offers)),
        }
    }

    /// Should the node be swamped, the keeper asks again by its own timers.
    pub(super) fn ask_node(&mut self, command: NodeCommand) {
        if !self.parts.finder.node.ask(command) {
            tracing::debug!("the network thread does not keep up");
        }
    }

    /// Something comes from the network's thread.
    pub(super) fn take_news(&mut self, event: NodeEvent) {
        use directory::Input as Told;
        match event {
            NodeEvent::State(state) => self.take_state(state),
            NodeEvent::Routes { peer, relays } => {
                self.tell_keeper(Told::Routes { peer, relays });
            }
            NodeEvent::Record { name, value } => {
                let name = Name(name);
                self.tell_keeper(Told::Record { name, value });
            }
            NodeEvent::Gone { name, sequence } => {
                let name = Name(name);
                self.tell_keeper(Told::Gone { name, sequence });
            }
            NodeEvent::Absent { name } => self.tell_keeper(Told::Absent { name: Name(name) }),
            NodeEvent::Stored { name, copies } => {
                let name = Name(name);
                self.parts.finder.signing_off.remove(&name);
                self.tell_keeper(Told::Stored { name, copies });
            }
            NodeEvent::Refused { name, why } => {
                tracing::debug!(?why, "a record was not published");
                self.parts.finder.signing_off.remove(&Name(name));
                self.tell_keeper(Told::Refused { name: Name(name) });
            }
            NodeEvent::Clock { offset_s } => self.tell_keeper(Told::Clock { offset_s }),
            NodeEvent::Met { ticket, circuit } => self.take_meeting(ticket, circuit),
            // The caller speaks first; until then there is nothing to do.
            NodeEvent::Incoming(_) => {}
            NodeEvent::Datagram(circuit, bytes) => {
                self.tell_phone(Input::Receive(Path::Circuit(circuit), &bytes));
            }
            NodeEvent::Closed(circuit) => {
                self.tell_phone(Input::PathGone(Path::Circuit(circuit)));
            }
            NodeEvent::Lan { id, address } => {
                self.parts.finder.near.insert(id, address);
                self.tell_phone(Input::Way(id, Path::Udp(address)));
            }
            NodeEvent::Room { ticket, room } => self.take_room(ticket, room),
            NodeEvent::Mirrors(mirrors) => self.tell_phone(Input::Mirrors(mirrors)),
            NodeEvent::GoodPeers(nodes) => {
                let known = &mut self.parts.finder.known;
                known.nodes = nodes;
                let known = known.clone();
                self.parts.keep.remember(known);
            }
        }
    }

    /// The phone wants rooms for a session with that peer.
    pub(super) fn ask_for_rooms(&mut self, peer: PeerId, missing: Missing) {
        let finder = &mut self.parts.finder;
        finder.last_ticket += 1;
        let ticket = finder.last_ticket;
        finder.rooms.push_back((ticket, peer));
        if finder.rooms.len() > MAX_TICKETS {
            finder.rooms.pop_front();
        }
        self.ask_node(NodeCommand::Rooms { ticket, missing });
    }

    fn take_room(&mut self, ticket: u64, room: Box<Room>) {
        let rooms = &self.parts.finder.rooms;
        let found = rooms.iter().find(|(of, _)| *of == ticket);
        if let Some(&(_, peer)) = found {
            self.tell_phone(Input::Room(peer, room));
        }
    }

    fn take_state(&mut self, state: NodeState) {
        let view = view(state, self.parts.finder.view.nat);
        if view == self.parts.finder.view {
            return;
        }
        let online = |state| matches!(state, NetworkState::Online | NetworkState::Reachable);
        let was_online = online(self.parts.finder.view.state);
        let is_online = online(view.state);
        self.parts.finder.view = view.clone();
        let is_findable = view.state == NetworkState::Reachable;
        self.announce(Event::Network { network: view });
        self.tell_phone(Input::Findable(is_findable));
        if was_online != is_online {
            self.tell_phone(Input::Online(is_online));
            self.tell_keeper(directory::Input::Online(is_online));
        }
    }

    /// Tells what kind of NAT there is, when the phone has found it out.
    pub(super) fn tell_nat(&mut self) {
        let nat = self.parts.phone.nat();
        let view = &mut self.parts.finder.view;
        if view.nat != nat {
            view.nat = nat;
            let network = view.clone();
            self.announce(Event::Network { network });
        }
    }

    fn take_meeting(&mut self, ticket: u64, circuit: Option<CircuitId>) {
        let Some(peer) = self.parts.finder.meetings.remove(&ticket) else {
            return;
        };
        self.tell_phone(match circuit {
            Some(circuit) => Input::Way(peer, Path::Circuit(circuit)),
            None => Input::NoWay(peer),
        });
    }
}

/// Whom to look for in the LAN, and by what they find us: nothing that tells anybody else who it is.
fn lan(circle: &Circle, port: u16) -> NodeCommand {
    let is_known = |reach: &Reach| reach.version > 0;
    let known = circle
        .members
        .iter()
        .filter(|member| is_known(&member.reach));
    NodeCommand::Lan {
        own: is_known(&circle.mine).then(|| (circle.mine.secret.clone(), port)),
        contacts: known
            .map(|member| (member.id, member.reach.secret.clone()))
            .collect(),
    }
}

fn view(state: NodeState, nat: NatKind) -> NetworkView {
    NetworkView {
        state: match state.phase {
            Phase::Off => NetworkState::Off,
            Phase::Joining => NetworkState::Joining,
            Phase::Offline => NetworkState::Offline,
            Phase::Online => NetworkState::Online,
            Phase::Reachable => NetworkState::Reachable,
        },
        ultrapeers: state.ultrapeers,
        relays: state.relays,
        words: state.words,
        nat,
    }
}

fn state(standing: Standing) -> State {
    match standing {
        Standing::Available => State::Available,
        Standing::Away => State::Away,
        Standing::DoNotDisturb => State::DoNotDisturb,
        Standing::Invisible => State::Off,
    }
}

fn seen(announced: Announced) -> Presence {
    match announced {
        Announced::Unknown => Presence::Unknown,
        Announced::Offline => Presence::Offline,
        Announced::Available => Presence::Reachable,
        Announced::Away => Presence::Away,
        Announced::DoNotDisturb => Presence::DoNotDisturb,
    }
}

/// Sessions that rooms are being made for.
const MAX_TICKETS: usize = 32;
