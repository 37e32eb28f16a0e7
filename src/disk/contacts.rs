//! `contacts.toml`: who is known, and which invites are open.

use super::{atomic, contacts_file};
use crate::disk::{DiskError, Home, HomeLock};
use crate::peer::{Contact, Invite, PeerId, Reach, Stranger};

/// All contacts, open invites and requests of strangers. IDs, petnames and tokens are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contacts {
    contacts: Vec<Contact>,
    invites: Vec<Invite>,
    requests: Vec<Stranger>,
    reach: Reach,
}

impl Contacts {
    /// In the order in which they were added.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    pub fn invites(&self) -> &[Invite] {
        &self.invites
    }

    /// Oldest first.
    pub fn requests(&self) -> &[Stranger] {
        &self.requests
    }

    /// Under which this phone is found in the directory; version 0 before the first start.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    pub fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    pub fn by_id(&self, id: &PeerId) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.id == *id)
    }

    /// By petname or by whole ID, as a person would type it.
    pub fn find(&self, peer: &str) -> Option<&Contact> {
        let named = self.contacts.iter().find(|contact| contact.petname == peer);
        named.or_else(|| self.by_id(&peer.parse().ok()?))
    }

    /// Inserts or replaces by ID.
    ///
    /// # Errors
    /// [`DiskError::PetnameTaken`] if another contact has that petname; nothing is changed then.
    pub fn put_contact(&mut self, contact: Contact) -> Result<(), DiskError> {
        let other = |known: &&Contact| known.petname == contact.petname && known.id != contact.id;
        if self.contacts.iter().find(other).is_some() {
            return Err(DiskError::PetnameTaken(contact.petname));
        }
        match self
            .contacts
            .iter_mut()
            .find(|known| known.id == contact.id)
        {
            Some(known) => *known = contact,
            None => self.contacts.push(contact),
        }
        Ok(())
    }

    /// True if there was one.
    pub fn remove_contact(&mut self, id: &PeerId) -> bool {
        let before = self.contacts.len();
        self.contacts.retain(|contact| contact.id != *id);
        self.contacts.len() < before
    }

    /// Inserts or replaces by token.
    pub fn put_invite(&mut self, invite: Invite) {
        match self
            .invites
            .iter_mut()
            .find(|known| known.token == invite.token)
        {
            Some(known) => *known = invite,
            None => self.invites.push(invite),
        }
    }

    /// Inserts or replaces by ID.
    pub fn put_request(&mut self, request: Stranger) {
        match self
            .requests
            .iter_mut()
            .find(|known| known.id == request.id)
        {
            Some(known) => *known = request,
            None => self.requests.push(request),
        }
    }

    /// True if there was one.
    pub fn remove_request(&mut self, id: &PeerId) -> bool {
        let before = self.requests.len();
        self.requests.retain(|request| request.id != *id);
        self.requests.len() < before
    }

    /// True if there was one.
    pub fn remove_invite(&mut self, token: &[u8; 16]) -> bool {
        let before = self.invites.len();
        self.invites.retain(|invite| invite.token != *token);
        self.invites.len() < before
    }
}

/// Reads and writes `contacts.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Store;

impl Store {
    /// No file is no contacts.
    ///
    /// # Errors
    /// If the file is open to others or damaged; it is not touched.
    pub fn load(home: &Home) -> Result<Contacts, DiskError> {
        let path = home.contacts();
        match atomic::read_secret(&path)? {
            Some(text) => contacts_file::from_text(&path, &text),
            None => Ok(Contacts::default()),
        }
    }

    /// Replaces the file. Only for the holder of the home's lock.
    pub fn save(_lock: &HomeLock, home: &Home, contacts: &Contacts) -> Result<(), DiskError> {
        Store::write(home, contacts)
    }

    /// Changes the contacts while no engine runs: takes the lock, loads, lets `change` work and
    /// saves what it left if that differs and `change` did not fail.
    ///
    /// # Errors
    /// [`DiskError::InUse`] while an engine runs, what loading or saving says, or what `change` says.
    pub fn edit<T, E: From<DiskError>>(
        home: &Home,
        change: impl FnOnce(&mut Contacts) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock = HomeLock::acquire(home)?;
        let before = Store::load(home)?;
        let mut after = before.clone();
        let result = change(&mut after)?;
        if after != before {
            Store::save(&lock, home, &after)?;
        }
        Ok(result)
    }

    pub(super) fn write(home: &Home, contacts: &Contacts) -> Result<(), DiskError> {
        atomic::replace(
            &home.contacts(),
            contacts_file::to_text(contacts).as_bytes(),
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::peer::{Identity, SafeText, Secret32, Seed};

    pub fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::at(dir.path().join("home"));
        home.create().expect("made");
        (dir, home)
    }

    pub fn id(n: u8) -> PeerId {
        Identity::from_seed(&Seed::from_bytes([n; 32])).id()
    }

    pub fn contact(n: u8) -> Contact {
        Contact {
            id: id(n),
            petname: SafeText::name(&format!("friend \"{n}\" \\ é")),
            name: SafeText::name("calls = 'itself'"),
            device: [n; 32],
            dial: Secret32::new([n ^ 0xff; 32]),
            hints: vec![
                ([192, 0, 2, n], 40000).into(),
                ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 1).into(),
            ],
            verified: Some(1_800_000_000),
            blocked: n % 2 == 1,
            relay_only: n % 3 == 1,
            added: 1_700_000_000,
            last_seen: None,
            pending: None,
            reach: Reach {
                version: u32::from(n),
                secret: Secret32::new([n ^ 0x77; 32]),
            },
            told: u32::from(n) / 2,
        }
    }

    pub fn request(n: u8) -> Stranger {
        Stranger {
            id: id(n),
            name: SafeText::name("st\u{e9}phane \"x\""),
            at: 1_800_000_000 + u64::from(n),
            accepted: n.is_multiple_of(2),
        }
    }

    pub fn invite(n: u8) -> Invite {
        Invite {
            id: id(n),
            device: [n; 32],
            token: [n; 16],
            expires: 1_900_000_000,
            uses: 3,
            claimed_by: vec![id(4), id(5)],
            hints: vec![([198, 51, 100, n], 7).into()],
            public: n.is_multiple_of(3),
        }
    }

    pub fn sample() -> Contacts {
        let mut contacts = Contacts::default();
        for n in 1..4 {
            contacts.put_contact(contact(n)).expect("unique");
            contacts.put_invite(invite(n));
            contacts.put_request(request(n + 20));
        }
        contacts.set_reach(Reach {
            version: 7,
            secret: Secret32::new([0xd4; 32]),
        });
        let mut pending = contact(9);
        pending.pending = Some(invite(8));
        pending.dial = Secret32::default();
        (pending.verified, pending.hints) = (None, Vec::new());
        contacts.put_contact(pending).expect("unique");
        contacts
    }

    #[test]
    fn everything_comes_back() {
        let (_dir, home) = home();
        assert_eq!(Store::load(&home).expect("none"), Contacts::default());
        let lock = HomeLock::acquire(&home).expect("free");
        Store::save(&lock, &home, &sample()).expect("saved");
        assert_eq!(Store::load(&home).expect("loaded"), sample());
        let mode = home
            .contacts()
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_the_first_version_is_read() {
        let (_dir, home) = home();
        let mut contacts = Contacts::default();
        let mut first = contact(1);
        (first.reach, first.told) = (Reach::default(), 0);
        contacts.put_contact(first).expect("unique");
        contacts.put_invite(invite(1));
        let lock = HomeLock::acquire(&home).expect("free");
        Store::save(&lock, &home, &contacts).expect("saved");
        let text = fs::read_to_string(home.contacts()).expect("written");
        let later = ["reach", "told", "public", "request"];
        assert!(later.iter().all(|field| !text.contains(field)), "{text}");
        assert_eq!(Store::load(&home).expect("loaded"), contacts);
    }

    #[test]
    fn ids_petnames_and_tokens_are_unique() {
        let mut contacts = sample();
        let mut same_name = contact(7);
        same_name.petname = contact(1).petname;
        let before = contacts.clone();
        let taken = contacts.put_contact(same_name);
        assert!(matches!(taken, Err(DiskError::PetnameTaken(_))));
        assert_eq!(contacts, before);

        let mut renamed = contact(1);
        renamed.petname = SafeText::name("anna");
        contacts.put_contact(renamed).expect("its own entry");
        assert_eq!(contacts.contacts().len(), before.contacts().len());
        assert_eq!(contacts.find("anna").map(|c| c.id), Some(id(1)));
        assert_eq!(contacts.find(&id(2).to_string()).map(|c| c.id), Some(id(2)));
        assert_eq!(contacts.find("nobody"), None);
        assert!(contacts.remove_contact(&id(1)) && !contacts.remove_contact(&id(1)));
        assert!(contacts.remove_invite(&[1; 16]) && !contacts.remove_invite(&[1; 16]));
    }

    #[test]
    fn an_edit_needs_the_lock_and_saves_only_what_worked() {
        let (_dir, home) = home();
        Store::edit(&home, |contacts| contacts.put_contact(contact(1))).expect("edited");
        assert_eq!(Store::load(&home).expect("loaded").contacts().len(), 1);
        let failed: Result<(), DiskError> = Store::edit(&home, |contacts| {
            contacts.remove_contact(&id(1));
            Err(DiskError::NoHome)
        });
        assert!(failed.is_err());
        assert_eq!(Store::load(&home).expect("loaded").contacts().len(), 1);
        let _engine = HomeLock::acquire(&home).expect("free");
        let refused = Store::edit(&home, |contacts| contacts.put_contact(contact(2)));
        assert!(refused.is_err_and(|error| error.is_in_use()));
    }

    #[test]
    fn damage_is_named_with_its_line_and_left_alone() {
        let (_dir, home) = home();
        Store::write(&home, &sample()).expect("saved");
        let path = home.contacts();
        let good = fs::read_to_string(&path).expect("read");
        let line_of = |what: &str| {
            1 + good
                .lines()
                .position(|l| l.starts_with(what))
                .expect("there")
        };
        let entry = &good[good.find("[[contact]]").expect("there")..];
        let entry = &entry[..entry[1..].find("[[contact]]").expect("there") + 1];
        let renamed = entry.replace(&id(1).to_string(), &id(6).to_string());
        let token = format!("token = \"{}\"", "01".repeat(16));
        let cases = [
            ("version".to_owned(), 1),
            (String::new(), 1),
            (good[..good.len() - 40].to_owned(), 0),
            (good.replacen("petname", "petnam", 1), line_of("petnam")),
            (
                good.replacen("added = 1", "added = -1", 1),
                line_of("added"),
            ),
            (
                good.replacen("id = \"tc1", "id = \"tc1q", 1),
                line_of("id ="),
            ),
            (good.replacen("dial = \"", "dial = \"x", 1), line_of("dial")),
            (good.replacen("192.0.2.1:", "192.0.2.256:", 1), 0),
            (
                good.replacen("blocked = true", "blocked = 1", 1),
                line_of("blocked"),
            ),
            (good.replacen("[[contact]]", "[[contacts]]", 1), 0),
            (format!("{good}\n{entry}"), 0),
            (format!("{good}\n{renamed}"), good.lines().count() + 2),
            (
                good.replacen(&format!("token = \"{}\"", "02".repeat(16)), &token, 1),
                0,
            ),
            (format!("x = {}", "[".repeat(100_000)), 1),
            (format!("x = {}", "{a=".repeat(100_000)), 1),
            (format!("{good}\u{0}"), good.lines().count() + 1),
        ];
        for (text, line) in cases {
            fs::write(&path, &text).expect("written");
            let error = Store::load(&home).expect_err(&text);
            let DiskError::Damaged { line: found, .. } = &error else {
                panic!("{error}");
            };
            assert!(line == 0 || *found == line, "{found} for {line}: {error}");
            let edited = Store::edit(&home, |contacts| contacts.put_contact(contact(11)));
            assert!(edited.is_err());
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        fs::write(&path, good.replace("version = 1", "version = 7\nx = 1")).expect("written");
        assert!(matches!(
            Store::load(&home),
            Err(DiskError::Newer { version: 7, .. })
        ));
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let (_dir, home) = home();
        Store::write(&home, &sample()).expect("saved");
        fs::set_permissions(home.contacts(), fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(matches!(
            Store::load(&home),
            Err(DiskError::OpenToOthers { .. })
        ));
    }
}
