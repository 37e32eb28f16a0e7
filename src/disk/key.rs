//! `identity.key`: the secrets of this phone, as a small TOML file, sealed by a passphrase or not.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Spanned;
use zeroize::Zeroizing;

use super::atomic::{self, line_at};
use super::hex::Hex;
use super::sealed::{SECRETS, Sealed};
use crate::disk::{DiskError, Home};
use crate::peer::{DeviceKeys, Identity, PeerId, SafeText, Seed};

/// Everything in `identity.key`.
#[derive(Debug)]
pub struct Keys {
    /// What this phone tells contacts its owner is called. Not a secret.
    pub name: SafeText,
    pub seed: Seed,
    pub device: DeviceKeys,
}

impl Keys {
    pub fn identity(&self) -> Identity {
        Identity::from_seed(&self.seed)
    }

    /// Seed and device secrets, one after the other.
    fn secrets(&self) -> Zeroizing<[u8; SECRETS]> {
        let mut bytes = Zeroizing::new([0; SECRETS]);
        bytes[..32].copy_from_slice(self.seed.as_bytes());
        bytes[32..64].copy_from_slice(&**self.device.x_secret());
        bytes[64..].copy_from_slice(&*self.device.d_secret());
        bytes
    }

    fn from_secrets(name: SafeText, bytes: &[u8; SECRETS]) -> Keys {
        let part = |from: usize| std::array::from_fn(|at| bytes[from + at]);
        Keys {
            name,
            seed: Seed::from_bytes(part(0)),
            device: DeviceKeys::from_secrets(part(32), part(64)),
        }
    }
}

/// True if there is a file, whatever is in it.
pub fn exists(home: &Home) -> bool {
    home.identity_key().symlink_metadata().is_ok()
}

/// Writes a new `identity.key`, making the directories if they are missing.
///
/// # Errors
/// [`DiskError::IdentityExists`] if there is a file already: it is never written over.
pub fn create(home: &Home, keys: &Keys, passphrase: Option<&str>) -> Result<(), DiskError> {
    home.create()?;
    let path = home.identity_key();
    if exists(home) {
        return Err(DiskError::IdentityExists(path));
    }
    match atomic::create(&path, to_text(keys, passphrase)?.as_bytes()) {
        Err(DiskError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(DiskError::IdentityExists(path))
        }
        result => result,
    }
}

/// Replaces the file by one with another name or passphrase. The present file must be readable with
/// `old`, so that a damaged one, or somebody else's, is never written over.
pub fn change(
    home: &Home,
    old: Option<&str>,
    new_name: SafeText,
    new_passphrase: Option<&str>,
) -> Result<Keys, DiskError> {
    let mut keys = load(home, old)?;
    keys.name = new_name;
    atomic::replace(
        &home.identity_key(),
        to_text(&keys, new_passphrase)?.as_bytes(),
    )?;
    Ok(keys)
}

/// Reads `identity.key`. Takes a second if there is a passphrase.
///
/// # Errors
/// [`DiskError::NoIdentity`], [`DiskError::OpenToOthers`], [`DiskError::PassphraseNeeded`] if it is
/// sealed and `passphrase` is `None`, [`DiskError::WrongPassphrase`], or what is wrong in which
/// line. The file is never changed.
pub fn load(home: &Home, passphrase: Option<&str>) -> Result<Keys, DiskError> {
    let path = home.identity_key();
    let Some(text) = atomic::read_secret(&path)? else {
        return Err(DiskError::NoIdentity(path));
    };
    let damaged = |line: usize, why: String| DiskError::Damaged {
        path: path.clone(),
        line,
        why,
        remedy: REMEDY,
    };
    let line = |offset: usize| line_at(text.as_bytes(), offset);
    let file: KeyFile = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        match newer(&text) {
            Some(version) => DiskError::Newer {
                path: path.clone(),
                version,
            },
            None => damaged(line(at), error.message().to_owned()),
        }
    })?;
    if file.version != VERSION {
        return Err(DiskError::Newer {
            path,
            version: file.version,
        });
    }
    let id_line = line(file.id.span().start);
    let id = file.id.into_inner();
    let (secrets, from) = match (file.secret, file.sealed) {
        (Some(secret), None) => {
            let from = line(secret.span().start);
            let secret = secret.into_inner();
            let secrets = secret.joined();
            if check(&secrets) != secret.check.0 {
                let why = "the check does not fit the secrets: a digit was changed or lost";
                return Err(damaged(from, why.to_owned()));
            }
            (secrets, id_line)
        }
        (None, Some(sealed)) => {
            let Some(passphrase) = passphrase else {
                return Err(DiskError::PassphraseNeeded(path));
            };
            let from = line(sealed.span().start);
            let sealed = sealed.into_inner();
            sealed
                .bounds()
                .map_err(|why| damaged(from, why.to_owned()))?;
            let secrets = sealed.open(passphrase, &id)?;
            (
                secrets.ok_or(DiskError::WrongPassphrase(path.clone()))?,
                id_line,
            )
        }
        _ => {
            let why = "there must be either a [secret] or a [sealed] part";
            return Err(damaged(line(text.len()), why.to_owned()));
        }
    };
    let keys = Keys::from_secrets(SafeText::name(&file.name), &secrets);
    if keys.identity().id() != id {
        return Err(damaged(
            from,
            "this ID does not belong to the secrets".to_owned(),
        ));
    }
    Ok(keys)
}

fn to_text(keys: &Keys, passphrase: Option<&str>) -> Result<Zeroizing<String>, DiskError> {
    let id = keys.identity().id();
    let secrets = keys.secrets();
    let (secret, sealed) = match passphrase {
        None => (Some(spanned(Secret::split(&secrets))), None),
        Some(passphrase) => (
            None,
            Some(spanned(Sealed::seal(&secrets, passphrase, &id)?)),
        ),
    };
    let file = KeyFile {
        version: VERSION,
        name: keys.name.to_string(),
        id: spanned(id),
        secret,
        sealed,
    };
    let body = Zeroizing::new(toml::to_string(&file).expect("plain strings and numbers are TOML"));
    let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + body.len()));
    text.push_str(HEADER);
    text.push_str(&body);
    Ok(text)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: i64,
    name: String,
    id: Spanned<PeerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Spanned<Secret>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<Spanned<Sealed>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    seed: Hex<32>,
    device_x25519: Hex<32>,
    device_ed25519: Hex<32>,
    check: Hex<4>,
}

impl Secret {
    fn split(bytes: &[u8; SECRETS]) -> Secret {
        let part = |from: usize| Hex(std::array::from_fn(|at| bytes[from + at]));
        Secret {
            seed: part(0),
            device_x25519: part(32),
            device_ed25519: part(64),
            check: Hex(check(bytes)),
        }
    }

    fn joined(&self) -> Zeroizing<[u8; SECRETS]> {
        let mut bytes = Zeroizing::new([0; SECRETS]);
        bytes[..32].copy_from_slice(&self.seed.0);
        bytes[32..64].copy_from_slice(&self.device_x25519.0);
        bytes[64..].copy_from_slice(&self.device_ed25519.0);
        bytes
    }
}

/// Notices a changed digit. Tells nothing of use: the secrets are 96 random bytes.
fn check(secrets: &[u8; SECRETS]) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(b"twocan/1 check\0")
        .chain_update(secrets)
        .finalize();
    std::array::from_fn(|at| digest[at])
}

/// The version of a file that is whole TOML, but of a later format.
fn newer(text: &str) -> Option<i64> {
    let table: toml::Table = toml::from_str(text).ok()?;
    table
        .get("version")?
        .as_integer()
        .filter(|&version| version > VERSION)
}

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

const VERSION: i64 = 1;
const HEADER: &str =
    "# The identity of a twocan phone. Whoever has this file can be you: keep it to yourself.\n\n";
const REMEDY: &str = "Put back a copy of the file, or move it away and make the identity again \
    from its 24 words";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn sample() -> Keys {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        Keys {
            name: SafeText::name("mika \"the\" first"),
            seed: Seed::generate(&mut rng),
            device: DeviceKeys::generate(&mut rng),
        }
    }

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path().join("home"));
        (dir, home)
    }

    fn assert_same(one: &Keys, other: &Keys) {
        assert_eq!(one.name, other.name);
        assert_eq!(*one.secrets(), *other.secrets());
        assert_eq!(one.device.x_public(), other.device.x_public());
    }

    #[test]
    fn keys_come_back_and_are_never_written_over() {
        let (_dir, home) = home();
        assert!(!exists(&home));
        assert!(matches!(load(&home, None), Err(DiskError::NoIdentity(_))));
        create(&home, &sample(), None).expect("created");
        let mode = home
            .identity_key()
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_same(&load(&home, None).expect("loaded"), &sample());

        let before = fs::read(home.identity_key()).expect("read");
        let again = create(&home, &sample(), Some("x"));
        assert!(matches!(again, Err(DiskError::IdentityExists(_))));
        assert_eq!(fs::read(home.identity_key()).expect("read"), before);
    }

    #[test]
    fn a_passphrase_seals() {
        let (_dir, home) = home();
        create(&home, &sample(), Some("correct horse")).expect("created");
        let text = fs::read_to_string(home.identity_key()).expect("read");
        let seed = crate::disk::hex::encode(sample().seed.as_bytes());
        assert!(!text.contains(seed.as_str()));
        assert_same(
            &load(&home, Some("correct horse")).expect("loaded"),
            &sample(),
        );
        assert!(matches!(
            load(&home, None),
            Err(DiskError::PassphraseNeeded(_))
        ));
        assert!(matches!(
            load(&home, Some("Correct horse")),
            Err(DiskError::WrongPassphrase(_))
        ));

        let name = SafeText::name("bo");
        let refused = change(&home, Some("wrong"), name.clone(), None);
        assert!(matches!(refused, Err(DiskError::WrongPassphrase(_))));
        assert_eq!(fs::read_to_string(home.identity_key()).expect("read"), text);
        change(&home, Some("correct horse"), name.clone(), None).expect("changed");
        assert_eq!(load(&home, None).expect("loaded").name, name);
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let (_dir, home) = home();
        create(&home, &sample(), None).expect("created");
        let path = home.identity_key();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        let error = load(&home, None).expect_err("open").to_string();
        assert!(
            error.contains(&format!("chmod 600 {}", path.display())),
            "{error}"
        );
        assert!(matches!(
            change(&home, None, SafeText::name("x"), None),
            Err(DiskError::OpenToOthers { .. })
        ));
    }

    #[test]
    fn damage_is_named_with_its_line_and_left_alone() {
        let (_dir, home) = home();
        create(&home, &sample(), None).expect("created");
        let path = home.identity_key();
        let good = fs::read_to_string(&path).expect("read");
        let line_of = |what: &str| {
            1 + good
                .lines()
                .position(|l| l.starts_with(what))
                .expect("there")
        };
        let digit = |key: &str| {
            let from = good.find(&format!("{key} = \"")).expect("there") + key.len() + 4;
            let other = if &good[from..=from] == "0" { "1" } else { "0" };
            format!("{}{other}{}", &good[..from], &good[from + 1..])
        };
        let other_id = Identity::from_seed(&Seed::from_bytes([9; 32]))
            .id()
            .to_string();
        let id = sample().identity().id().to_string();
        let cases = [
            (String::new(), 1),
            ("\0\0\0\0".to_owned(), 1),
            ("{\"json\": 1}".to_owned(), 1),
            (good[..good.len() / 2].to_owned(), 0),
            (good.replace("seed", "sead"), line_of("seed")),
            (good.replace("seed = \"", "seed = \"0"), line_of("seed")),
            (
                good.replace("device_x25519 = \"", "device_x25519 = \"zz"),
                line_of("device_x"),
            ),
            (digit("seed"), line_of("[secret]")),
            (digit("device_x25519"), line_of("[secret]")),
            (digit("device_ed25519"), line_of("[secret]")),
            (digit("check"), line_of("[secret]")),
            (good.replace(&id, &other_id), line_of("id")),
            (good.replace(&id, &id.replace('q', "p")), line_of("id")),
            (
                good.replace("version = 1", "version = \"1\""),
                line_of("version"),
            ),
            (format!("{good}\ncolour = 3\n"), 0),
            (good.replace("[secret]", "[[secret]]"), 0),
            (format!("x = {}", "[".repeat(100_000)), 1),
            (good[..good.find("[secret]").expect("there")].to_owned(), 0),
        ];
        for (text, line) in cases {
            fs::write(&path, &text).expect("written");
            let error = load(&home, None).expect_err(&text);
            let DiskError::Damaged { line: found, .. } = &error else {
                panic!("{error}");
            };
            assert!(line == 0 || *found == line, "{found} for {line}: {error}");
            assert!(error.to_string().contains("24 words"), "{error}");
            assert!(change(&home, None, SafeText::name("x"), None).is_err());
            assert!(matches!(
                create(&home, &sample(), None),
                Err(DiskError::IdentityExists(_))
            ));
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        fs::write(&path, good.replace("version = 1", "version = 2\nextra = 1")).expect("written");
        assert!(matches!(
            load(&home, None),
            Err(DiskError::Newer { version: 2, .. })
        ));
    }

    #[test]
    fn a_sealed_file_cannot_be_changed_or_made_to_eat_memory() {
        let (_dir, home) = home();
        create(&home, &sample(), Some("pw")).expect("created");
        let path = home.identity_key();
        let good = fs::read_to_string(&path).expect("read");
        for (from, to) in [
            ("65536", "4294967295"),
            ("passes = 3", "passes = 0"),
            ("65536", "0"),
        ] {
            fs::write(&path, good.replace(from, to)).expect("written");
            assert!(
                matches!(load(&home, Some("pw")), Err(DiskError::Damaged { .. })),
                "{to}"
            );
        }
        for key in ["salt", "nonce", "box"] {
            let from = good.find(&format!("{key} = \"")).expect("there") + key.len() + 4;
            let other = if &good[from..=from] == "0" { "1" } else { "0" };
            fs::write(
                &path,
                format!("{}{other}{}", &good[..from], &good[from + 1..]),
            )
            .expect("written");
            assert!(
                matches!(load(&home, Some("pw")), Err(DiskError::WrongPassphrase(_))),
                "{key}"
            );
        }
    }
}
