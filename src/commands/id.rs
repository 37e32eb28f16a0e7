//! `twocan id`: the identity of this phone.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use twocan::cli::{Exit, IdCommand};
use twocan::disk::key::{self, Keys};
use twocan::disk::{DiskError, HomeLock};
use twocan::peer::{DeviceKeys, PeerId, SafeText, Seed, words};
use zeroize::Zeroizing;

use super::fail::Failure;
use super::setup::Setup;
use super::{ask, out};

/// Carries out `twocan id ...`.
///
/// # Errors
/// When there is no identity, or one already, or it cannot be read or made.
pub fn run(setup: &Setup, command: Option<IdCommand>) -> Result<(), Failure> {
    match command {
        None => show(setup, &load(setup)?),
        Some(IdCommand::New { name, passphrase }) => {
            refuse_second(setup)?;
            let name = named(setup, name)?;
            let seed = Seed::generate(&mut random()?);
            let keys = create(setup, name, seed, passphrase)?;
            out::say(
                "Made. `twocan id words` prints the 24 words that restore it: keep them on paper.",
            );
            show(setup, &keys)
        }
        Some(IdCommand::Restore { name }) => {
            refuse_second(setup)?;
            let name = named(setup, name)?;
            out::say("Type or paste the 24 words, then Ctrl-D:");
            let seed = Seed::from_words(&ask::everything()?)
                .map_err(|error| Failure::new(Exit::Usage, error))?;
            show(setup, &create(setup, name, seed, false)?)
        }
        Some(IdCommand::Words) => {
            let keys = load(setup)?;
            out::say("Whoever has these words is you. Write them on paper, in this order:");
            out::line(keys.seed.to_words().as_str())
        }
        Some(IdCommand::Passphrase) => change_passphrase(setup),
    }
}

/// The secrets of this home, opened with a passphrase if they are locked.
///
/// # Errors
/// When there are none, or they cannot be read.
pub fn load(setup: &Setup) -> Result<Keys, Failure> {
    match key::load(&setup.home, None) {
        Err(DiskError::PassphraseNeeded(_)) => Ok(key::load(
            &setup.home,
            Some(&ask::passphrase(setup, "passphrase")?),
        )?),
        result => Ok(result?),
    }
}

/// The name that contacts are told: that of the configuration, else the one in the key file.
///
/// # Errors
/// When the configuration is wrong.
pub fn name(setup: &Setup, keys: &Keys) -> Result<SafeText, Failure> {
    match setup.config()?.identity.name.trim() {
        "" => Ok(keys.name.clone()),
        name => Ok(SafeText::name(name)),
    }
}

/// Makes an identity without a passphrase, as the first start of the screen does.
///
/// # Errors
/// When there is one, or it cannot be written.
pub fn create_new(setup: &Setup, name: SafeText) -> Result<Keys, Failure> {
    create(setup, name, Seed::generate(&mut random()?), false)
}

/// A generator for keys and tokens, seeded by the system.
///
/// # Errors
/// When the system has no random numbers.
pub fn random() -> Result<ChaCha20Rng, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| Failure::from(DiskError::Random(error)))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

fn create(setup: &Setup, name: SafeText, seed: Seed, passphrase: bool) -> Result<Keys, Failure> {
    let passphrase = passphrase
        .then(|| new_passphrase(setup))
        .transpose()?
        .flatten();
    let _lock = HomeLock::acquire(&setup.home)?;
    let keys = Keys {
        name,
        seed,
        device: DeviceKeys::generate(&mut random()?),
    };
    key::create(&setup.home, &keys, text(&passphrase))?;
    Ok(keys)
}

/// Before anything is asked. A race is settled when the file is made.
fn refuse_second(setup: &Setup) -> Result<(), Failure> {
    if key::exists(&setup.home) {
        return Err(DiskError::IdentityExists(setup.home.identity_key()).into());
    }
    Ok(())
}

fn named(setup: &Setup, name: Option<String>) -> Result<SafeText, Failure> {
    let name = match name {
        Some(name) => name,
        None => ask::line(setup, "your name", "--name NAME")?,
    };
    match name.trim() {
        "" => Err(Failure::new(
            Exit::Usage,
            "the name is empty: give one with --name NAME",
        )),
        name => Ok(SafeText::name(name)),
    }
}

fn change_passphrase(setup: &Setup) -> Result<(), Failure> {
    let _lock = HomeLock::acquire(&setup.home)?;
    let (name, old) = match key::load(&setup.home, None) {
        Err(DiskError::PassphraseNeeded(_)) => {
            let old = ask::passphrase(setup, "old passphrase")?;
            (key::load(&setup.home, Some(&old))?.name, Some(old))
        }
        keys => (keys?.name, None),
    };
    let new = new_passphrase(setup)?;
    key::change(&setup.home, text(&old), name, text(&new))?;
    out::say(if new.is_some() {
        "The key is locked."
    } else {
        "The key is not locked any more."
    });
    Ok(())
}

fn text(passphrase: &Option<Zeroizing<String>>) -> Option<&str> {
    passphrase.as_ref().map(|text| text.as_str())
}

/// Asked twice; an empty one is none.
fn new_passphrase(setup: &Setup) -> Result<Option<Zeroizing<String>>, Failure> {
    let first = ask::passphrase(setup, "new passphrase (empty for none)")?;
    if *first != *ask::passphrase(setup, "the same again")? {
        return Err(Failure::new(
            Exit::Usage,
            "the two passphrases differ; nothing was changed",
        ));
    }
    Ok((!first.is_empty()).then_some(first))
}

fn show(setup: &Setup, keys: &Keys) -> Result<(), Failure> {
    let id = keys.identity().id();
    let view = IdView {
        name: name(setup, keys)?,
        id,
        words: spoken(&id),
    };
    if setup.global.json {
        return out::json(&view);
    }
    out::line(format!("name   {}", view.name))?;
    out::line(format!("id     {id}"))?;
    out::line(format!("words  {}", view.words.join(" ")))
}

/// `twocan id --json`.
#[derive(Serialize)]
struct IdView {
    name: SafeText,
    id: PeerId,
    /// Four words that stand for the ID where somebody reads it aloud. They are too few to prove it.
    words: [String; 4],
}

fn spoken(id: &PeerId) -> [String; 4] {
    let digest = Sha256::new()
        .chain_update(b"twocan/1 id words\0")
        .chain_update(id.as_bytes())
        .finalize();
    words::sas(&std::array::from_fn(|at| digest[at]))
}
