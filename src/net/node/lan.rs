//! Contacts in the same LAN, found by multicast DNS without a word to anybody else.
//!
//! What is announced is a random name, a port, and a tag that changes each hour: a keyed hash of
//! both under the secret by which contacts find this phone in the directory. Whoever lacks the
//! secret learns that some twocan is there, and nothing else.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use sha2::Sha256;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::peer::{PeerId, Secret32};

/// The announcement of this phone and the search for others.
pub(super) struct Lan {
    running: Option<Running>,
    /// Random, new at each start.
    instance: String,
    own: Option<(Secret32, u16)>,
    contacts: Vec<(PeerId, Secret32)>,
    /// The hour whose tag is announced.
    announced: Option<u64>,
    /// Those who were not recognised, in case that they become contacts.
    strangers: VecDeque<Neighbour>,
    /// Whom we told of already.
    told: VecDeque<(PeerId, SocketAddr)>,
    news: mpsc::Sender<Neighbour>,
}

struct Running {
    daemon: ServiceDaemon,
    search: AbortHandle,
}

/// Some phone in this LAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    instance: String,
    tag: String,
    addresses: Vec<SocketAddr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.search.abort();
        // It says good-bye and ends by itself; there is nobody to tell if it cannot.
        let _ = self.daemon.shutdown();
    }
}

impl Lan {
    pub(super) fn new() -> (Lan, mpsc::Receiver<Neighbour>) {
        let (news, arriving) = mpsc::channel(ARRIVING);
        let mut name = [0; 12];
        // Without chance there is no name to hide behind: then this phone is not announced.
        let instance = match getrandom::fill(&mut name) {
            Ok(()) => hex(&name),
            Err(_) => String::new(),
        };
        let lan = Lan {
            running: None,
            instance,
            own: None,
            contacts: Vec::new(),
            announced: None,
            strangers: VecDeque::new(),
            told: VecDeque::new(),
            news,
        };
        (lan, arriving)
    }

    /// From now on announce `own` (secret and UDP port) and look for `contacts`. Answers those of
    /// them who are known to be there.
    pub(super) fn set(
        &mut self,
        own: Option<(Secret32, u16)>,
        contacts: Vec<(PeerId, Secret32)>,
        unix: u64,
    ) -> Vec<(PeerId, SocketAddr)> {
        if self.own != own {
            self.announced = None;
        }
        self.own = own.filter(|(secret, port)| !secret.is_zero() && *port != 0);
        self.contacts = contacts
            .into_iter()
            .filter(|(_, secret)| !secret.is_zero())
            .take(MAX_CONTACTS)
            .collect();
        if self.own.is_none() && self.contacts.is_empty() {
            self.running = None;
            self.announced = None;
            return Vec::new();
        }
        if self.running.is_none() {
            self.running = start(&self.news, &[IfKind::LoopbackV4, IfKind::LoopbackV6]);
        }
        self.announce(unix);
        let strangers = std::mem::take(&mut self.strangers);
        strangers
            .into_iter()
            .flat_map(|stranger| self.heard(stranger, unix))
            .collect()
    }

    /// Announces the tag of this hour, unless it is announced. To be called now and then.
    pub(super) fn announce(&mut self, unix: u64) {
        let hour = unix / HOUR;
        let (Some(running), Some((secret, port))) = (&self.running, &self.own) else {
            return;
        };
        if self.announced == Some(hour) || self.instance.is_empty() {
            return;
        }
        self.announced = Some(hour);
        let tag = tag(secret, &self.instance, *port, hour);
        if let Err(error) = running.announce(&self.instance, *port, &tag) {
            tracing::warn!("cannot announce this phone in the LAN: {error}");
        }
    }

    /// The ways to a contact that a neighbour turned out to be.
    pub(super) fn heard(&mut self, neighbour: Neighbour, unix: u64) -> Vec<(PeerId, SocketAddr)> {
        if neighbour.instance == self.instance {
            return Vec::new();
        }
        let Some(id) = self.recognise(&neighbour, unix) else {
            self.strangers
                .retain(|other| other.instance != neighbour.instance);
            self.strangers.push_back(neighbour);
            if self.strangers.len() > MAX_STRANGERS {
                self.strangers.pop_front();
            }
            return Vec::new();
        };
        let mut fresh = Vec::new();
        for address in neighbour.addresses {
            if !self.told.contains(&(id, address)) {
                self.told.push_back((id, address));
                fresh.push((id, address));
            }
        }
        while self.told.len() > MAX_TOLD {
            self.told.pop_front();
        }
        fresh
    }

    fn recognise(&self, neighbour: &Neighbour, unix: u64) -> Option<PeerId> {
        let port = neighbour.addresses.first()?.port();
        let hour = unix / HOUR;
        // Two clocks may differ, and an announcement may be from just before the hour.
        let hours = [hour, hour.saturating_sub(1), hour + 1];
        let is = |secret: &Secret32| {
            hours
                .iter()
                .any(|hour| tag(secret, &neighbour.instance, port, *hour) == neighbour.tag)
        };
        let contact = self.contacts.iter().find(|(_, secret)| is(secret))?;
        Some(contact.0)
    }
}

impl Running {
    fn announce(&self, instance: &str, port: u16, tag: &str) -> mdns_sd::Result<()> {
        let host = format!("{instance}.local.");
        let tags = [(TAG, tag)];
        let mut info = ServiceInfo::new(SERVICE, instance, &host, "", port, &tags[..])?;
        info = info.enable_addr_auto();
        // The name is random: nobody else has it.
        info.set_requires_probe(false);
        self.daemon.register(info)
    }
}

fn start(news: &mpsc::Sender<Neighbour>, without: &[IfKind]) -> Option<Running> {
    let search = || -> mdns_sd::Result<(ServiceDaemon, Receiver<ServiceEvent>)> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(without.to_vec())?;
        let found = daemon.browse(SERVICE)?;
        Ok((daemon, found))
    };
    match search() {
        Ok((daemon, found)) => {
            let search = tokio::spawn(pass_on(found, news.clone())).abort_handle();
            Some(Running { daemon, search })
        }
        Err(error) => {
            tracing::warn!("cannot look for contacts in the LAN: {error}");
            None
        }
    }
}

async fn pass_on(found: Receiver<ServiceEvent>, news: mpsc::Sender<Neighbour>) {
    while let Ok(event) = found.recv_async().await {
        let neighbour = match event {
            ServiceEvent::ServiceResolved(service) => neighbour(&service),
            _ => None,
        };
        if let Some(neighbour) = neighbour
            && news.send(neighbour).await.is_err()
        {
            return;
        }
    }
}

fn neighbour(service: &ResolvedService) -> Option<Neighbour> {
    let instance = service.fullname.strip_suffix(SERVICE)?.strip_suffix('.')?;
    let tag = service.get_property_val_str(TAG)?;
    if instance.len() > MAX_NAME || tag.len() != 2 * TAG_BYTES || service.port == 0 {
        return None;
    }
    let mut addresses: Vec<SocketAddr> = service
        .addresses
        .iter()
        .map(mdns_sd::ScopedIp::to_ip_addr)
        .filter(is_of_lan)
        .map(|ip| SocketAddr::new(ip, service.port))
        .collect();
    addresses.sort_by_key(|address| (address.is_ipv6(), *address));
    addresses.truncate(MAX_ADDRESSES);
    Some(Neighbour {
        instance: instance.to_owned(),
        tag: tag.to_owned(),
        addresses,
    })
}

/// Link-local IPv6 needs the interface with it, so it is left out.
fn is_of_lan(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_unicast_link_local(),
    }
}

fn tag(secret: &Secret32, instance: &str, port: u16, hour: u64) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"twocan/1 lan\0");
    mac.update(&hour.to_le_bytes());
    mac.update(&port.to_le_bytes());
    mac.update(instance.as_bytes());
    hex(&mac.finalize().into_bytes()[..TAG_BYTES])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SERVICE: &str = "_twocan._udp.local.";
const TAG: &str = "t";
const TAG_BYTES: usize = 16;
const HOUR: u64 = 3600;
const MAX_NAME: usize = 63;
const MAX_ADDRESSES: usize = 4;
const MAX_CONTACTS: usize = 512;
const MAX_STRANGERS: usize = 64;
const MAX_TOLD: usize = 256;
const ARRIVING: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::{Identity, Seed};

    const UNIX: u64 = 1_728_000_000;

    fn id(byte: u8) -> PeerId {
        Identity::from_seed(&Seed::from_bytes([byte; 32])).id()
    }

    fn secret(byte: u8) -> Secret32 {
        Secret32::new([byte; 32])
    }

    fn announced(of: u8, instance: &str, port: u16, unix: u64) -> Neighbour {
        Neighbour {
            instance: instance.to_owned(),
            tag: tag(&secret(of), instance, port, unix / HOUR),
            addresses: vec![SocketAddr::from(([192, 168, 1, 7], port))],
        }
    }

    fn knowing(contacts: &[u8]) -> Lan {
        let (mut lan, _) = Lan::new();
        lan.contacts = contacts.iter().map(|of| (id(*of), secret(*of))).collect();
        lan
    }

    #[test]
    fn contacts_are_recognised_and_only_within_the_hour() {
        let mut lan = knowing(&[1, 2]);
        let found = lan.heard(announced(2, "a", 4000, UNIX), UNIX + 1800);
        assert_eq!(found, [(id(2), SocketAddr::from(([192, 168, 1, 7], 4000)))]);
        let again = lan.heard(announced(2, "a", 4000, UNIX), UNIX + 1800);
        assert!(again.is_empty(), "told twice");
        assert!(
            lan.heard(announced(1, "b", 4000, UNIX), UNIX + 3 * HOUR)
                .is_empty()
        );

        let mut moved = announced(1, "c", 4000, UNIX);
        moved.instance = "d".to_owned();
        assert!(lan.heard(moved, UNIX).is_empty(), "the tag of another name");
        let mut moved = announced(1, "e", 4000, UNIX);
        moved.addresses[0].set_port(4001);
        assert!(lan.heard(moved, UNIX).is_empty(), "the tag of another port");
    }

    #[test]
    fn a_stranger_who_becomes_a_contact_is_remembered_but_not_a_crowd() {
        let mut lan = knowing(&[]);
        for n in 0..10_000 {
            let name = format!("crowd {n}");
            assert!(lan.heard(announced(9, &name, 1, UNIX), UNIX).is_empty());
        }
        assert_eq!(lan.strangers.len(), MAX_STRANGERS);
        assert!(
            lan.heard(announced(3, "friend", 4000, UNIX), UNIX)
                .is_empty()
        );
        lan.contacts = vec![(id(3), secret(3))];
        let strangers = std::mem::take(&mut lan.strangers);
        let found: Vec<_> = strangers
            .into_iter()
            .flat_map(|stranger| lan.heard(stranger, UNIX))
            .map(|(id, _)| id)
            .collect();
        assert_eq!(found, [id(3)]);
    }

    /// Over real multicast, on the loopback where there is no LAN.
    #[tokio::test]
    async fn one_phone_finds_another_by_multicast() {
        let (news, mut heard) = mpsc::channel(4);
        let searching = start(&news, &[]).expect("sockets");
        let announcing = start(&news, &[]).expect("sockets");
        let tag = tag(&secret(1), "somebody", 4000, UNIX / HOUR);
        announcing
            .announce("somebody", 4000, &tag)
            .expect("announced");
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let neighbour = heard.recv().await.expect("the search runs");
                if neighbour.instance == "somebody" && !neighbour.addresses.is_empty() {
                    return neighbour;
                }
            }
        });
        let found = found.await.expect("multicast reaches the own computer");
        drop(searching);
        let mut lan = knowing(&[1]);
        assert!(lan.heard(found, UNIX).iter().all(|(who, _)| *who == id(1)));
    }
}
