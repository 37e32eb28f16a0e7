//! `twocan relay`: an ultrapeer in this process.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use twocan::cli::{Exit, Reflect, RelayArgs, RelayCommand};
use twocan::config::Network;
use twocan::control::Server;
use twocan::disk::{HomeLock, new_relay_pass, relay_key, relay_pass, relay_port, save_relay_port};
use twocan::net::reflect::Pass;
use twocan::relay::{Limits, Options, Reflection, Relay, RelayError, Serve, Status};

use super::fail::Failure;
use super::setup::Setup;
use super::signals::{Signals, Stop};
use super::{host, log, out, relay_status};

/// Runs the ultrapeer until a signal ends it. A terminal that goes away does not.
///
/// # Errors
/// When it cannot be started, or with Ctrl-C.
pub async fn run(setup: &Setup, args: RelayArgs) -> Result<(), Failure> {
    match args.command {
        Some(RelayCommand::Status { watch }) => return relay_status::show(setup, watch).await,
        Some(RelayCommand::Pass { new }) => return print_pass(setup, new),
        None if args.systemd => return out::line(unit(setup)?.trim_end()),
        None => {}
    }
    let mut signals = Signals::new()?;
    let config = setup.config()?;
    let mut engine = args.engine;
    let also = match engine.listen.len() {
        0 => Vec::new(),
        _ => engine.listen.split_off(1),
    };
    let also = also.iter().map(address).collect::<Result<_, _>>()?;
    let settings = config.engine.clone().with(host::overrides(engine)?)?;
    let _lock = HomeLock::acquire_relay(&setup.home)?;
    log::start(&setup.global, &config.log, &setup.home.relay_log())?;
    let key = key(setup)?;
    let server = Server::bind(&setup.home.relay_socket())
        .map_err(|error| Failure::new(Exit::Home, error))?;
    let reflector = Reflection {
        serve: match args.reflect {
            Reflect::Everyone => Serve::Everyone,
            Reflect::Friends => Serve::Friends,
            Reflect::Nobody => Serve::Nobody,
        },
        port: args.reflector_port,
        rate: args.max_rate,
        pass: pass(&key, *relay_pass(&setup.home)?),
    };
    let options = Options {
        key,
        listen: settings.listen.addr(),
        network: settings.network,
        bootstrap: settings.bootstrap,
        external: args.external,
        also,
        reflector,
        limits: Limits::default(),
    };
    let network = options.network;
    let relay = start(options, relay_port(&setup.home)).await?;
    if let Some(port) = port(relay.addresses()) {
        save_relay_port(&setup.home, port)?;
    }
    let mut teller = Teller {
        json: setup.global.json,
        status: relay.status(),
        said: Status::default(),
    };
    teller.ready(relay.addresses(), network)?;
    let telling = tokio::spawn(server.tell(relay_status::line(relay.status())));
    let ended = attend(&mut signals, &mut teller).await;
    telling.abort();
    relay.close().await;
    ended
}

/// The key of this home's ultrapeer.
pub fn key(setup: &Setup) -> Result<Keypair, Failure> {
    let mut key = relay_key(&setup.home)?;
    Keypair::ed25519_from_bytes(&mut *key).map_err(|error| Failure::new(Exit::Config, error))
}

/// Prints the pass of this home's ultrapeer.
fn print_pass(setup: &Setup, new: bool) -> Result<(), Failure> {
    setup.home.create()?;
    let key = key(setup)?;
    let secret = match new {
        true => new_relay_pass(&setup.home)?,
        false => relay_pass(&setup.home)?,
    };
    match pass(&key, *secret) {
        Some(pass) if setup.global.json => {
            out::json(&serde_json::json!({ "pass": pass.to_string() }))
        }
        Some(pass) => out::line(pass),
        None => Err(Failure::new(
            Exit::Config,
            "the key of this ultrapeer is none for passes",
        )),
    }
}

fn pass(key: &Keypair, secret: [u8; 16]) -> Option<Pass> {
    let public = key.public().try_into_ed25519().ok()?;
    Pass::new(public.to_bytes(), secret)
}

fn address(text: &String) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        let why = format!("`{text}` is no address such as 0.0.0.0:443: see --listen");
        Failure::new(Exit::Usage, why)
    })
}

/// Listens at the port of the last time if none is asked for and that one is free.
pub async fn start(options: Options, last: Option<u16>) -> Result<Relay, Failure> {
    if let (0, Some(port)) = (options.listen.port(), last) {
        let listen = SocketAddr::new(options.listen.ip(), port);
        let again = Options {
            listen,
            ..options.clone()
        };
        match Relay::start(again).await {
            Err(RelayError::Listen { .. }) => {}
            started => return Ok(started?),
        }
    }
    Ok(Relay::start(options).await?)
}

async fn attend(signals: &mut Signals, teller: &mut Teller) -> Result<(), Failure> {
    let first = tokio_now() + OFTEN;
    let mut tick = interval_at(first, OFTEN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quiet = 0;
    loop {
        tokio::select! {
            stop = signals.next() => match stop {
                Stop::Hangup => {}
                Stop::Terminate => return Ok(()),
                Stop::Interrupt => return Err(Failure::silent(Exit::Interrupted)),
            },
            _ = tick.tick() => {
                quiet = match teller.tell(quiet >= SELDOM) {
                    true => 0,
                    false => quiet + 1,
                };
            }
        }
    }
}

/// Says what the ultrapeer does.
struct Teller {
    json: bool,
    status: watch::Receiver<Status>,
    said: Status,
}

impl Teller {
    fn ready(&self, addresses: &[Multiaddr], network: Network) -> Result<(), Failure> {
        if self.json {
            return out::json(&Line {
                event: "ready",
                at: timestamp(),
                data: Ready { addresses, network },
            });
        }
        for address in addresses {
            out::line(address)?;
        }
        out::say(
            "This ultrapeer runs until Ctrl-C. Phones and other ultrapeers find it with\n\
             --bootstrap and one of the addresses above that they can reach.",
        );
        Ok(())
    }

    /// Prints the numbers if they have changed, or in any case. `true` if it did.
    fn tell(&mut self, anyway: bool) -> bool {
        let status = *self.status.borrow();
        if status == self.said && !anyway {
            return false;
        }
        self.said = status;
        if self.json {
            // A reader that is gone does not end the ultrapeer: others use it.
            let _ = out::json(&Line {
                event: "status",
                at: timestamp(),
                data: status,
            });
        } else {
            out::say(format!(
                "{} phones or ultrapeers here, {} other ultrapeers, {} records, \
                 {} reachable through circuits, {} circuits, {} rooms at the reflector",
                status.clients,
                status.ultrapeers,
                status.records,
                status.reservations,
                status.circuits,
                status.reflector.rooms,
            ));
        }
        true
    }
}

#[derive(Serialize)]
struct Line<T> {
    event: &'static str,
    at: String,
    #[serde(flatten)]
    data: T,
}

#[derive(Serialize)]
struct Ready<'a> {
    addresses: &'a [Multiaddr],
    network: Network,
}

impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Failure {
        let exit = match error {
            RelayError::NoNetwork | RelayError::Address(_) | RelayError::Nameless(_) => Exit::Usage,
            _ => Exit::Other,
        };
        Failure::new(exit, error)
    }
}

/// The TCP port on which it listens.
pub fn port(addresses: &[Multiaddr]) -> Option<u16> {
    addresses.iter().flatten().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

/// A unit for `~/.config/systemd/user` or `/etc/systemd/system`.
fn unit(setup: &Setup) -> Result<String, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Other, format!("where is this program? {error}")))?;
    let home = match &setup.global.home {
        Some(home) => std::path::absolute(home)
            .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", home.display())))?
            .display()
            .to_string(),
        None => "%S/twocan-relay".to_owned(),
    };
    let named = match &setup.global.home {
        Some(_) => format!("ReadWritePaths={home}\n"),
        None => {
            "StateDirectory=twocan-relay\nStateDirectoryMode=0700\nDynamicUser=yes\n".to_owned()
        }
    };
    Ok(UNIT
        .replace("PROGRAM", &program.display().to_string())
        .replace("HOME", &home)
        .replace("NAMED\n", &named))
}

#[expect(clippy::disallowed_methods, reason = "when something was said")]
fn timestamp() -> String {
    Timestamp::now().to_string()
}

#[expect(clippy::disallowed_methods, reason = "how often something is said")]
fn tokio_now() -> Instant {
    Instant::now()
}

/// How often the numbers are looked at, and after how many looks they are said though unchanged.
const OFTEN: Duration = Duration::from_secs(5);
const SELDOM: u32 = 12;

const UNIT: &str = "\
[Unit]
Description=twocan ultrapeer
Documentation=man:twocan(1)
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=PROGRAM --home HOME relay --json --network public --listen 0.0.0.0:4190
Restart=on-failure
RestartSec=5
TimeoutStopSec=5
NAMED
CapabilityBoundingSet=
LimitNOFILE=16384
LockPersonality=yes
MemoryDenyWriteExecute=yes
MemoryMax=1G
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077

[Install]
WantedBy=multi-user.target
";
