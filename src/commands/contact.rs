//! `twocan contact`: by the running phone, else in the files.

use std::time::Duration;

use twocan::api::{Command, ContactView, Done, Event, Presence, Switch};
use twocan::cli::{ContactCommand, EngineArgs, Exit};
use twocan::disk::{Contacts, Store};
use twocan::peer::{Contact, Invite, SafeText};

use super::fail::Failure;
use super::phone::Phone;
use super::setup::Setup;
use super::signals::Signals;
use super::{ask, out};

/// Carries out `twocan contact ...`.
///
/// # Errors
/// When there is no such contact, the invite is wrong, or files cannot be used.
pub async fn run(setup: &Setup, command: ContactCommand) -> Result<(), Failure> {
    match command {
        ContactCommand::Add { line, name } => add(setup, line, name).await,
        ContactCommand::List => list(setup).await,
        ContactCommand::Show { name } => show(setup, &name).await,
        ContactCommand::Rename { name, new } => rename(setup, name, new).await,
        ContactCommand::Remove { name } => remove(setup, name).await,
        ContactCommand::Verify { name, differ } => {
            let mut phone = Phone::running(setup).await?;
            let verify = Command::Verify {
                peer: name,
                matches: !differ,
            };
            phone.request(verify).await.map(|_| ())
        }
        ContactCommand::Block { name, off } => block(setup, name, !off).await,
        ContactCommand::RelayOnly { name, off } => relay_only(setup, name, !off).await,
    }
}

/// Opens an invite and waits a while for the other phone to confirm it.
async fn add(setup: &Setup, line: String, name: Option<String>) -> Result<(), Failure> {
    let line = if line == "-" {
        ask::everything()?.to_string()
    } else {
        line
    };
    Invite::parse_line(&line).map_err(|error| Failure::new(Exit::Usage, error))?;
    let mut signals = Signals::new()?;
    let mut phone = Phone::running_or_own(setup, EngineArgs::default()).await?;
    let added = phone.request(Command::AddContact { line, name }).await;
    let view = match added {
        Ok(Done::Contact(view)) if view.pending => {
            tokio::select! {
                view = confirmed(&mut phone, view) => Ok(view),
                _ = signals.next() => Err(Failure::silent(Exit::Interrupted)),
            }
        }
        Ok(Done::Contact(view)) => Ok(view),
        Ok(other) => Err(Failure::unexpected(&other)),
        Err(failure) => Err(failure),
    };
    let own = phone.is_own();
    phone.close().await;
    let view = view?;
    if view.pending {
        let runs = if own {
            " as soon as this phone runs"
        } else {
            ""
        };
        out::say(format!(
            "waiting for {}: will finish by itself{runs}",
            view.name
        ));
    }
    print(setup, &view)
}

/// The contact when it is confirmed, or as it is after [`CONFIRMATION`].
async fn confirmed(phone: &mut Phone, view: ContactView) -> ContactView {
    let id = view.id;
    let change = async {
        while let Some(event) = phone.event().await {
            match event.event {
                Event::Contact { contact, .. } if contact.id == id && !contact.pending => {
                    return Some(contact);
                }
                _ => {}
            }
        }
        None
    };
    tokio::time::timeout(CONFIRMATION, change)
        .await
        .ok()
        .flatten()
        .unwrap_or(view)
}

async fn list(setup: &Setup) -> Result<(), Failure> {
    let contacts = all(setup).await?;
    if setup.global.json {
        return out::json(&serde_json::json!({ "contacts": contacts }));
    }
    if contacts.is_empty() {
        out::say("no contacts yet: `twocan invite` makes a line for a friend");
    }
    for contact in contacts {
        out::line(format!(
            "{}  {}  {}",
            contact.name,
            contact.id,
            describe(&contact)
        ))?;
    }
    Ok(())
}

async fn show(setup: &Setup, name: &str) -> Result<(), Failure> {
    let found = |contact: &ContactView| contact.name == name || contact.id.to_string() == name;
    match all(setup).await?.into_iter().find(found) {
        Some(contact) => print(setup, &contact),
        None => Err(nobody(name)),
    }
}

async fn rename(setup: &Setup, peer: String, name: String) -> Result<(), Failure> {
    if let Some(mut phone) = Phone::find(setup).await? {
        return phone
            .request(Command::Rename { peer, name })
            .await
            .map(|_| ());
    }
    if name.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "the new name is empty"));
    }
    edit(setup, &peer, |contacts, mut contact| {
        contact.petname = SafeText::name(&name);
        Ok(contacts.put_contact(contact)?)
    })
}

async fn remove(setup: &Setup, peer: String) -> Result<(), Failure> {
    if let Some(mut phone) = Phone::find(setup).await? {
        return phone.request(Command::Remove { peer }).await.map(|_| ());
    }
    edit(setup, &peer, |contacts, contact| {
        contacts.remove_contact(&contact.id);
        Ok(())
    })
}

async fn block(setup: &Setup, peer: String, is_on: bool) -> Result<(), Failure> {
    let command = Command::Block {
        peer: peer.clone(),
        to: switch(is_on),
    };
    set(setup, &peer, command, |contact| contact.blocked = is_on).await
}

async fn relay_only(setup: &Setup, peer: String, is_on: bool) -> Result<(), Failure> {
    let command = Command::RelayOnly {
        peer: peer.clone(),
        to: switch(is_on),
    };
    set(setup, &peer, command, |contact| contact.relay_only = is_on).await
}

/// By the command if the phone runs, else by hand.
async fn set(
    setup: &Setup,
    peer: &str,
    command: Command,
    by_hand: impl FnOnce(&mut Contact),
) -> Result<(), Failure> {
    if let Some(mut phone) = Phone::find(setup).await? {
        return phone.request(command).await.map(|_| ());
    }
    edit(setup, peer, |contacts, mut contact| {
        by_hand(&mut contact);
        Ok(contacts.put_contact(contact)?)
    })
}

fn switch(is_on: bool) -> Switch {
    if is_on { Switch::On } else { Switch::Off }
}

/// Changes the file while no phone runs.
fn edit(
    setup: &Setup,
    peer: &str,
    change: impl FnOnce(&mut Contacts, Contact) -> Result<(), Failure>,
) -> Result<(), Failure> {
    Store::edit(&setup.home, |contacts| {
        let contact = contacts.find(peer).cloned().ok_or_else(|| nobody(peer))?;
        change(contacts, contact)
    })
}

/// All contacts, from the running phone, else from the file.
async fn all(setup: &Setup) -> Result<Vec<ContactView>, Failure> {
    if let Some(mut phone) = Phone::find(setup).await? {
        return Ok(phone.status().await?.contacts);
    }
    Ok(Store::load(&setup.home)?
        .contacts()
        .iter()
        .map(view)
        .collect())
}

/// A contact as the phone would tell it, if it ran.
fn view(contact: &Contact) -> ContactView {
    let moment = |unix: u64| jiff::Timestamp::from_second(i64::try_from(unix).ok()?).ok();
    ContactView {
        name: contact.petname.clone(),
        id: contact.id,
        calls_itself: (contact.name != contact.petname).then(|| contact.name.clone()),
        verified: contact.verified.is_some(),
        verified_at: contact.verified.and_then(moment),
        presence: Presence::Unknown,
        last_seen: contact.last_seen.and_then(moment),
        blocked: contact.blocked,
        relay_only: contact.relay_only,
        pending: contact.pending.is_some(),
    }
}

fn print(setup: &Setup, contact: &ContactView) -> Result<(), Failure> {
    if setup.global.json {
        return out::json(contact);
    }
    out::line(format!("name      {}", contact.name))?;
    if let Some(name) = &contact.calls_itself {
        out::line(format!("calls itself {name}"))?;
    }
    out::line(format!("id        {}", contact.id))?;
    out::line(format!("state     {}", describe(contact)))?;
    if let Some(moment) = contact.verified_at {
        out::line(format!("verified  {moment}"))?;
    }
    if let Some(moment) = contact.last_seen {
        out::line(format!("last seen {moment}"))?;
    }
    Ok(())
}

fn describe(contact: &ContactView) -> String {
    let mut parts = vec![contact.presence.words()];
    parts.push(if contact.verified {
        "verified"
    } else {
        "not verified"
    });
    parts.extend(contact.blocked.then_some("blocked"));
    parts.extend(contact.relay_only.then_some("by relays only"));
    parts.extend(contact.pending.then_some("waiting: will finish by itself"));
    parts.join(", ")
}

fn nobody(name: &str) -> Failure {
    // What was typed goes back to a terminal.
    let name = SafeText::name(name);
    Failure::new(
        Exit::NoSuchContact,
        format!("no contact is called {name}; `twocan contact list` shows all"),
    )
}

/// How long to wait for the other phone before leaving the contact pending.
const CONFIRMATION: Duration = Duration::from_secs(10);
