//! The phone that a command talks to: the one that runs already, or one of its own for as long as
//! the command lives.

use std::time::Duration;

use twocan::api::{Command, Done, Stamped, Status};
use twocan::cli::{EngineArgs, Exit};
use twocan::control::{Client, ClientError, ConnectError};

use super::fail::Failure;
use super::host::{self, Hosted};
use super::setup::Setup;

/// A phone to talk to.
pub struct Phone {
    client: Client,
    own: Option<Hosted>,
}

impl Phone {
    /// The phone that runs for this home.
    ///
    /// # Errors
    /// When none does.
    pub async fn running(setup: &Setup) -> Result<Phone, Failure> {
        match Phone::find(setup).await? {
            Some(phone) => Ok(phone),
            None => Err(Failure::nobody_runs()),
        }
    }

    /// The phone that runs for this home, else a new one.
    ///
    /// # Errors
    /// When a new one cannot be started.
    pub async fn running_or_own(setup: &Setup, engine: EngineArgs) -> Result<Phone, Failure> {
        match Phone::find(setup).await? {
            Some(phone) => Ok(phone),
            None => Phone::own(setup, engine).await,
        }
    }

    /// A new phone in this process, whose control socket is open as well.
    ///
    /// # Errors
    /// When the home is held by another one, its files are damaged, or an engine option is wrong.
    pub async fn own(setup: &Setup, engine: EngineArgs) -> Result<Phone, Failure> {
        let hosted = host::start(setup, engine).await?;
        Ok(Phone {
            client: Client::new(hosted.link()),
            own: Some(hosted),
        })
    }

    /// The phone that runs for this home, if one does.
    ///
    /// # Errors
    /// When its socket is there and cannot be used.
    pub async fn find(setup: &Setup) -> Result<Option<Phone>, Failure> {
        match Client::connect(&setup.home.socket()).await {
            Ok(client) => Ok(Some(Phone { client, own: None })),
            Err(ConnectError::NobodyThere(_)) => Ok(None),
            Err(error) => Err(Failure::new(Exit::Home, error)),
        }
    }

    /// Whether this process carries the phone.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Asks for something and waits for the answer, at most [`PATIENCE`].
    ///
    /// # Errors
    /// When the phone refuses, has ended, or does not answer.
    pub async fn request(&mut self, command: Command) -> Result<Done, Failure> {
        match tokio::time::timeout(PATIENCE, self.client.request(command)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(ClientError::Refused(refusal))) => Err(refusal.into()),
            Ok(Err(ClientError::Gone)) => Err(Failure::new(Exit::Home, ClientError::Gone)),
            Err(_) => Err(Failure::new(
                Exit::TimedOut,
                "the running phone does not answer",
            )),
        }
    }

    /// Everything about the phone at this moment.
    ///
    /// # Errors
    /// As [`Phone::request`].
    pub async fn status(&mut self) -> Result<Status, Failure> {
        match self.request(Command::Status).await? {
            Done::Status(status) => Ok(*status),
            other => Err(Failure::unexpected(&other)),
        }
    }

    /// The next thing that happens; `None` when the phone has ended. Cancel safe.
    pub async fn event(&mut self) -> Option<Stamped> {
        self.client.event().await
    }

    /// Ends a phone of this process: calls are hung up, files are whole when this returns.
    pub async fn close(self) {
        drop(self.client);
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// How long an answer may take. A dead phone is noticed by its closed socket; this is for one that
/// stands still.
const PATIENCE: Duration = Duration::from_secs(20);
