//! The one place that can open the microphone.
//!
//! Five messengers once sent sound before the callee had answered, all through mistakes in their
//! call machines (Project Zero, 2021). Here an [`OpenMic`] cannot be written down, copied or kept:
//! it is made from a [`Consent`], and a [`Consent`] is made only where a local command is handled.

use crate::api::CallId;

/// Proof that a person at this phone dialled or answered this call.
///
/// Private to the call machine; never made from anything that came over the network.
#[derive(Debug)]
pub(super) struct Consent(CallId);

impl Consent {
    /// Call this only while handling a local `Dial` or `Answer` command (or the local setting that
    /// answers by itself).
    pub(super) fn given_by_local_command(call: CallId) -> Consent {
        Consent(call)
    }

    /// The microphone may run for this call now that both sides have agreed to talk.
    pub(super) fn open(&self) -> OpenMic {
        OpenMic(self.0)
    }
}

/// Permission to record for one call. The sound side cannot start a microphone without one.
#[derive(Debug)]
pub struct OpenMic(CallId);

impl OpenMic {
    /// The call that the microphone may be heard in.
    pub fn call(&self) -> CallId {
        self.0
    }

    /// For the echo test, which somebody at this computer starts and whose frames never leave it.
    /// `call` must be no call of the phone.
    pub fn for_local_echo(call: CallId) -> OpenMic {
        OpenMic(call)
    }

    /// For tests and benchmarks of the sound side, which have no call. Never used by the phone.
    pub fn for_testing_only(call: CallId) -> OpenMic {
        OpenMic(call)
    }
}
