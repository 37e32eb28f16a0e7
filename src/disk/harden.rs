//! Keeps secrets out of core dumps and away from debuggers of the same user.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps and attaching to this process. To be called first thing in `main`.
///
/// # Errors
/// What the system says; a phone may go on without, but should say so in its log.
pub fn harden() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn no_core_and_no_debugger() {
        harden().expect("Linux allows both to everybody");
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        let dumpable = dumpable_behavior().expect("known");
        assert_eq!(dumpable, DumpableBehavior::NotDumpable);
    }
}
