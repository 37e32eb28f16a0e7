//! The commands that do one thing on the running phone.

use twocan::api::{CallView, Command, Standing, Status, Switch};
use twocan::cli;

use super::fail::Failure;
use super::phone::Phone;
use super::setup::Setup;
use super::{out, words};

/// Sends one command to the running phone.
///
/// # Errors
/// When none runs, or it refuses.
pub async fn run(setup: &Setup, command: Command) -> Result<(), Failure> {
    let mut phone = Phone::running(setup).await?;
    phone.request(command).await.map(|_| ())
}

/// Prints what the running phone is doing.
///
/// # Errors
/// As [`run`].
pub async fn status(setup: &Setup) -> Result<(), Failure> {
    let mut phone = Phone::running(setup).await?;
    let status = phone.status().await?;
    if setup.global.json {
        return out::json(&status);
    }
    print(&status)
}

/// Changes what contacts are told, or prints it.
///
/// # Errors
/// As [`run`].
pub async fn announce(setup: &Setup, standing: Option<cli::Standing>) -> Result<(), Failure> {
    let standing = match standing {
        Some(cli::Standing::Available) => Standing::Available,
        Some(cli::Standing::Away) => Standing::Away,
        Some(cli::Standing::DoNotDisturb) => Standing::DoNotDisturb,
        Some(cli::Standing::Invisible) => Standing::Invisible,
        None => return tell_standing(setup).await,
    };
    run(setup, Command::Announce { standing }).await
}

async fn tell_standing(setup: &Setup) -> Result<(), Failure> {
    let mut phone = Phone::running(setup).await?;
    let standing = phone.status().await?.standing;
    if setup.global.json {
        return out::json(&serde_json::json!({ "standing": standing }));
    }
    out::line(standing.words())
}

/// The switch of the command line as the phone knows it.
pub fn switch(typed: cli::Switch) -> Switch {
    match typed {
        cli::Switch::On => Switch::On,
        cli::Switch::Off => Switch::Off,
        cli::Switch::Toggle => Switch::Toggle,
    }
}

fn print(status: &Status) -> Result<(), Failure> {
    let listen: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    let sound = status.audio.trouble.as_ref().unwrap_or(&status.audio.place);
    out::line(format!("{}  {}", status.name, status.id))?;
    out::line(format!("listens on {}", listen.join(", ")))?;
    out::line(words::of_network(&status.network))?;
    out::line(words::of_standing(status.standing))?;
    if !status.requests.is_empty() {
        let many = status.requests.len();
        out::line(format!("{many} ask to become contacts: `twocan requests`"))?;
    }
    out::line(format!(
        "sound {sound}{}",
        if status.muted { ", muted" } else { "" }
    ))?;
    for call in &status.calls {
        out::line(describe(call))?;
    }
    if status.calls.is_empty() {
        out::line("no call")?;
    }
    Ok(())
}

fn describe(call: &CallView) -> String {
    let state = words::of_state(call.direction, call.state, None);
    let path = call
        .path
        .map(|path| format!(", {}", words::of_path(path)))
        .unwrap_or_default();
    let verified = if call.verified { "" } else { ", not verified" };
    format!("{}: {state}{path}{verified}", call.peer)
}
