//! Keeps the device's certificate fresh: it lives five weeks and is issued anew every day.

use crate::peer::{DeviceCert, DeviceKeys, Identity};

/// Issues certificates for this device in the name of its owner.
#[derive(Debug)]
pub(super) struct Renewal {
    identity: Identity,
    device: DeviceKeys,
    /// When the last one was issued, in seconds since 1970.
    issued: u64,
    /// The last one.
    cert: DeviceCert,
}

impl Renewal {
    /// The first certificate, and the one who issues the next.
    pub(super) fn begin(
        identity: Identity,
        device: DeviceKeys,
        unix: u64,
    ) -> (Renewal, DeviceCert) {
        let cert = issue(&identity, &device, unix);
        let renewal = Renewal {
            identity,
            device,
            issued: unix,
            cert: cert.clone(),
        };
        (renewal, cert)
    }

    /// A new certificate if the last one is a day old, or the calendar has jumped back.
    pub(super) fn due(&mut self, unix: u64) -> Option<DeviceCert> {
        if unix.abs_diff(self.issued) < DAY {
            return None;
        }
        self.issued = unix;
        self.cert = issue(&self.identity, &self.device, unix);
        Some(self.cert.clone())
    }

    /// How long until the next one, in seconds.
    pub(super) fn in_seconds(&self, unix: u64) -> u64 {
        DAY.saturating_sub(unix.abs_diff(self.issued))
    }

    /// The last certificate, and the `X_d` that it is for.
    pub(super) fn device(&self) -> (DeviceCert, [u8; 32]) {
        (self.cert.clone(), self.device.x_public())
    }
}

fn issue(identity: &Identity, device: &DeviceKeys, unix: u64) -> DeviceCert {
    let second = |unix: u64| u32::try_from(unix).unwrap_or(u32::MAX);
    let from = unix.saturating_sub(BACKDATED);
    let until = from + LIFE;
    identity.certify(device, second(from), second(until), NO_CAPS)
}

const DAY: u64 = 24 * 3600;

/// The longest life that a verifier accepts.
const LIFE: u64 = 35 * DAY;

/// For peers whose clocks are behind, beside the slack that they give themselves.
const BACKDATED: u64 = 3600;

/// No capability is defined yet.
const NO_CAPS: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Seed;

    const NOW: u64 = 1_800_000_000;

    fn begin() -> (Renewal, DeviceCert, [u8; 32]) {
        let device = DeviceKeys::from_secrets([1; 32], [2; 32]);
        let x = device.x_public();
        let (renewal, cert) =
            Renewal::begin(Identity::from_seed(&Seed::from_bytes([3; 32])), device, NOW);
        (renewal, cert, x)
    }

    #[test]
    fn a_certificate_is_good_from_the_first_second_to_long_after_the_next() {
        let (_, cert, x) = begin();
        for unix in [NOW - 3600, NOW, NOW + 30 * DAY] {
            assert_eq!(cert.verify(&x, None, unix), Ok(()));
        }
    }

    #[test]
    fn it_is_renewed_each_day_and_after_the_calendar_jumped_back() {
        let (mut renewal, _, x) = begin();
        assert!(renewal.due(NOW + DAY - 1).is_none());
        assert_eq!(renewal.in_seconds(NOW + DAY - 1), 1);
        let next = renewal.due(NOW + DAY).expect("a day has passed");
        assert_eq!(next.verify(&x, None, NOW + 34 * DAY), Ok(()));
        assert!(renewal.due(NOW + DAY + 1).is_none());
        let back = renewal.due(NOW - 100 * DAY).expect("the calendar is back");
        assert_eq!(back.verify(&x, None, NOW - 100 * DAY), Ok(()));
    }
}
