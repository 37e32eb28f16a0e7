//! `twocan requests`: strangers who ask to become contacts, by the running phone.

use twocan::api::Command;
use twocan::cli::{Exit, RequestsCommand};
use twocan::peer::{PeerId, SafeText};

use super::fail::Failure;
use super::out;
use super::phone::Phone;
use super::setup::Setup;

/// Carries out `twocan requests ...`.
///
/// # Errors
/// When no phone runs, or nobody with that ID asks.
pub async fn run(setup: &Setup, command: Option<RequestsCommand>) -> Result<(), Failure> {
    match command.unwrap_or(RequestsCommand::List) {
        RequestsCommand::List => list(setup).await,
        RequestsCommand::Accept { id } => {
            let peer = read(&id)?;
            let mut phone = Phone::running(setup).await?;
            phone.request(Command::Accept { peer }).await?;
            out::say("accepted: will finish by itself when both phones are there");
            Ok(())
        }
        RequestsCommand::Dismiss { id } => {
            let peer = read(&id)?;
            let mut phone = Phone::running(setup).await?;
            phone.request(Command::Dismiss { peer }).await.map(|_| ())
        }
    }
}

async fn list(setup: &Setup) -> Result<(), Failure> {
    let mut phone = Phone::running(setup).await?;
    let requests = phone.status().await?.requests;
    if setup.global.json {
        return out::json(&serde_json::json!({ "requests": requests }));
    }
    if requests.is_empty() {
        out::say("nobody asks: `twocan invite --public` makes a line for strangers");
    }
    for request in requests {
        out::line(format!(
            "{}  {}  asked {}",
            request.name, request.id, request.at
        ))?;
    }
    Ok(())
}

/// Only whole IDs: a stranger can take any name.
fn read(id: &str) -> Result<String, Failure> {
    match id.parse::<PeerId>() {
        Ok(id) => Ok(id.to_string()),
        Err(error) => {
            // What was typed goes back to a terminal.
            let id = SafeText::name(id);
            Err(Failure::new(
                Exit::Usage,
                format!("{id} is no ID ({error}); `twocan requests` lists who asks"),
            ))
        }
    }
}
