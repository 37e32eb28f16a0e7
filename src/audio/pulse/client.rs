//! A connection to a sound server: questions and answers, each within its time.

use std::ffi::CString;
use std::io::{self, Cursor, Read, Write};
use std::time::{Duration, Instant};

use pulseaudio::protocol::{
    self as wire, AuthParams, AuthReply, Command, CommandReply, DESCRIPTOR_SIZE, Prop, Props,
    ProtocolError, PulseError as Code, ServerInfo, SetClientNameReply, TagStructReader,
};

use super::PulseError;
use super::address::{Address, Socket};
use super::geometry::Line;
use super::search;
use crate::audio::now;

/// A server that has taken us.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) socket: Socket,
    /// Its address.
    pub(super) name: String,
    pub(super) version: u16,
    asked: u32,
    until: Instant,
}

/// What a server says of itself.
#[derive(Debug)]
pub(super) struct About {
    pub(super) info: ServerInfo,
    /// How long questions take to it.
    pub(super) line: Line,
}

/// A server that could not be talked to.
#[derive(Debug)]
pub(super) enum Deaf {
    /// Nobody listens there.
    Nobody(io::Error),
    Failed(PulseError),
}

impl Deaf {
    pub(super) fn is_nobody_there(&self) -> bool {
        matches!(self, Deaf::Nobody(_))
    }

    pub(super) fn why(&self) -> String {
        match self {
            Deaf::Nobody(error) => match error.kind() {
                io::ErrorKind::NotFound => "is not there".to_owned(),
                io::ErrorKind::ConnectionRefused => "nobody listens there any more".to_owned(),
                _ => error.to_string(),
            },
            Deaf::Failed(PulseError::Server { why, .. }) => why.clone(),
            Deaf::Failed(error) => error.to_string(),
        }
    }
}

impl Server {
    /// Connects and proves who we are, both within `limit`.
    pub(super) fn connect(address: &Address, name: &str, limit: Duration) -> Result<Server, Deaf> {
        let until = now() + limit;
        let failed = |error: &dyn ToString| {
            Deaf::Failed(PulseError::Server {
                server: name.to_owned(),
                why: error.to_string(),
            })
        };
        let socket = address.connect(limit).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Deaf::Nobody(error),
            _ => failed(&error),
        })?;
        socket
            .patience_to_write(limit)
            .map_err(|error| failed(&error))?;
        let mut server = Server {
            socket,
            name: name.to_owned(),
            version: wire::MAX_VERSION,
            asked: 0,
            until,
        };
        server.introduce().map_err(Deaf::Failed)?;
        Ok(server)
    }

    fn introduce(&mut self) -> Result<(), PulseError> {
        let auth = AuthParams {
            version: wire::MAX_VERSION,
            supports_shm: false,
            supports_memfd: false,
            cookie: search::cookie(),
        };
        let reply: AuthReply = self.answer(&Command::Auth(auth))?;
        self.version = reply.version.min(wire::MAX_VERSION);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"twocan");
        let _: SetClientNameReply = self.answer(&Command::SetClientName(props))?;
        Ok(())
    }

    /// What it is, and how far away: asked several times if it is not as near as this computer.
    pub(super) fn about(&mut self) -> Result<About, PulseError> {
        let mut times = Vec::with_capacity(QUESTIONS);
        loop {
            let began = now();
            let info: ServerInfo = self.ask(&Command::GetServerInfo)?;
            times.push(now().saturating_duration_since(began));
            let is_near = times[0] < NEAR;
            if is_near || times.len() == QUESTIONS {
                let line = Line::of(&times);
                return Ok(About { info, line });
            }
        }
    }

    /// Asks and waits for the answer; whatever else the server says meanwhile is skipped.
    pub(super) fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, PulseError> {
        self.until = now() + PATIENCE;
        self.answer(command)
    }

    fn answer<R: CommandReply>(&mut self, command: &Command) -> Result<R, PulseError> {
        let asked = self.send(command)?;
        loop {
            let payload = self.receive()?;
            let Some(payload) = payload else { continue };
            let mut cursor = Cursor::new(payload.as_slice());
            match Command::read_tag_prefixed(&mut cursor, self.version) {
                Ok((seq, Command::Reply)) if seq == asked => {
                    return TagStructReader::new(&mut cursor, self.version)
                        .read()
                        .map_err(|error: ProtocolError| self.failed(error.to_string()));
                }
                Ok((seq, Command::Error(code))) if seq == asked => {
                    return Err(self.refused(code, command));
                }
                _ => {}
            }
        }
    }

    /// Sends without waiting for an answer; returns the number of the question.
    pub(super) fn send(&mut self, command: &Command) -> Result<u32, PulseError> {
        self.asked += 1;
        let mut message = Vec::new();
        wire::encode_command_message(&mut message, self.asked, command, self.version)
            .map_err(|error| self.failed(error.to_string()))?;
        self.socket
            .write_all(&message)
            .map_err(|error| self.broken(&error))?;
        Ok(self.asked)
    }

    /// Numbers that were not used yet begin after this one.
    pub(super) fn last_asked(&self) -> u32 {
        self.asked
    }

    /// The next message, if it is not sound.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, PulseError> {
        let mut head = [0; DESCRIPTOR_SIZE];
        self.fill(&mut head)?;
        let descriptor = wire::read_descriptor(&mut Cursor::new(&head))
            .map_err(|error| self.failed(error.to_string()))?;
        let length = descriptor.length as usize;
        if length > LONGEST {
            return Err(self.failed(format!("sends a message of {length} bytes")));
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        Ok((descriptor.channel == u32::MAX).then_some(payload))
    }

    /// However slowly the bytes trickle in, the time for the whole answer is limited.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), PulseError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let left = self.until.saturating_duration_since(now());
            if left.is_zero() {
                return Err(self.broken(&io::ErrorKind::TimedOut.into()));
            }
            let read = self.socket.patience(left);
            match read.and_then(|()| self.socket.read(&mut buffer[filled..])) {
                Ok(0) => return Err(self.failed("has closed the connection".to_owned())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, why: String) -> PulseError {
        PulseError::Server {
            server: self.name.clone(),
            why,
        }
    }

    pub(super) fn broken(&self, error: &io::Error) -> PulseError {
        self.failed(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "does not answer".to_owned(),
            _ => error.to_string(),
        })
    }

    fn refused(&self, code: Code, command: &Command) -> PulseError {
        let opens = matches!(
            command,
            Command::CreateRecordStream(_) | Command::CreatePlaybackStream(_)
        );
        match code {
            // A name that no device can have is "invalid".
            Code::NoEntity | Code::Invalid if opens => PulseError::NoSuchDevice(String::new()),
            Code::AccessDenied | Code::AuthKey => self.failed(
                "refuses this user: the file ~/.config/pulse/cookie must be the same there and here"
                    .to_owned(),
            ),
            code => self.failed(format!("refuses: {code}")),
        }
    }
}

/// Whose server it is, in words.
pub(super) fn kind(info: &ServerInfo) -> &'static str {
    match text(info.server_name.as_ref()).contains("PipeWire") {
        true => "PipeWire",
        false => "PulseAudio",
    }
}

pub(super) fn text(text: Option<&CString>) -> String {
    text.map_or("an unnamed place".to_owned(), |text| {
        text.to_string_lossy().into_owned()
    })
}

/// How long the answer to one question may take. Opening a wireless headset takes seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// Longest answer to a question.
const LONGEST: usize = 1 << 22;

/// Nothing but the same computer answers as fast as this.
const NEAR: Duration = Duration::from_micros(500);

/// How often a far server is asked to know its distance.
const QUESTIONS: usize = 5;
