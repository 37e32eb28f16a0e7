//! `twocan invite`: one line for a friend.

use std::net::SocketAddr;
use std::time::Duration;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use rand_core::Rng;
use serde::Serialize;
use twocan::api::{Command, Done};
use twocan::cli::{Exit, InviteArgs};
use twocan::disk::{HomeLock, Store, load_port, save_port};
use twocan::net::Net;
use twocan::peer::Invite;

use super::fail::Failure;
use super::phone::Phone;
use super::setup::Setup;
use super::{id, out};

/// Makes an invite and prints it.
///
/// # Errors
/// When the phone refuses, or the files cannot be used.
pub async fn run(setup: &Setup, args: &InviteArgs) -> Result<(), Failure> {
    let view = match Phone::find(setup).await? {
        Some(mut phone) => by_phone(&mut phone, args).await?,
        // A running phone has to keep the list of those who come by it.
        None if args.public => return Err(Failure::nobody_runs()),
        None => by_file(setup, args)?,
    };
    if args.qr {
        out::say(qr(&view.line)?);
    }
    if setup.global.json {
        return out::json(&view);
    }
    out::line(view.line)
}

/// `twocan invite --json`.
#[derive(Serialize)]
struct InviteView {
    line: String,
    expires: jiff::Timestamp,
}

async fn by_phone(phone: &mut Phone, args: &InviteArgs) -> Result<InviteView, Failure> {
    let invite = Command::Invite {
        lifetime: args.expires.as_secs(),
        uses: args.uses,
        public: args.public,
    };
    match phone.request(invite).await? {
        Done::Invite { line, expires } => Ok(InviteView { line, expires }),
        other => Err(Failure::unexpected(&other)),
    }
}

/// Without a running phone: for the port that it will listen on.
fn by_file(setup: &Setup, args: &InviteArgs) -> Result<InviteView, Failure> {
    let keys = id::load(setup)?;
    let lock = HomeLock::acquire(&setup.home)?;
    let expires = deadline(args.expires)?;
    let mut token = [0; 16];
    id::random()?.fill_bytes(&mut token);
    let invite = Invite {
        id: keys.identity().id(),
        device: keys.device.x_public(),
        token,
        expires: expires.as_second().unsigned_abs(),
        uses: args.uses,
        claimed_by: Vec::new(),
        hints: hints(setup)?,
        public: false,
    };
    let line = invite.to_line();
    let mut contacts = Store::load(&setup.home)?;
    contacts.put_invite(invite);
    Store::save(&lock, &setup.home, &contacts)?;
    out::say(
        "This phone does not run: start `twocan` or `twocan daemon` before the invite is opened.",
    );
    Ok(InviteView { line, expires })
}

/// Where the phone will be reached: it keeps to the port that is found now.
fn hints(setup: &Setup) -> Result<Vec<SocketAddr>, Failure> {
    let listen = setup.config()?.engine.listen.addr();
    let net = Net::open(listen, load_port(&setup.home))
        .map_err(|error| Failure::new(Exit::Other, error))?;
    if listen.port() == 0 {
        save_port(&setup.home, net.listen().port())?;
    }
    Ok(net.place().addresses().to_vec())
}

#[expect(
    clippy::disallowed_methods,
    reason = "an invite made by a command starts at the time of the command"
)]
fn deadline(lifetime: Duration) -> Result<jiff::Timestamp, Failure> {
    let end = jiff::Timestamp::now().checked_add(lifetime);
    // The line has room for 32 bits of seconds.
    match end {
        Ok(end) if u32::try_from(end.as_second()).is_ok() => Ok(end),
        _ => Err(Failure::new(
            Exit::Usage,
            "no invite can be good for so long: use --expires 7d",
        )),
    }
}

/// Black on white whatever the terminal's colours are, since scanners want it so.
fn qr(line: &str) -> Result<String, Failure> {
    // In capitals it is the same invite, and makes a smaller code.
    let code = QrCode::with_error_correction_level(line.to_ascii_uppercase(), EcLevel::L)
        .map_err(|error| Failure::new(Exit::Other, error))?;
    let cells = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Dark)
        .light_color(Dense1x2::Light)
        .build();
    let rows: Vec<String> = cells
        .lines()
        .map(|row| format!("\x1b[30;107m{row}\x1b[0m"))
        .collect();
    Ok(rows.join("\n"))
}
