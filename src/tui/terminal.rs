//! Takes the terminal and gives it back: on every way out, panic and signal included.
//!
//! While the screen is up, fd 2 leads to the log, since sound libraries print there.

use std::fs::{File, OpenOptions};
use std::io::{self, Stdout, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::ThreadId;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute};

/// The terminal in raw mode with the alternate screen. Dropping it restores everything.
#[derive(Debug)]
pub struct Guard {
    _private: (),
}

impl Guard {
    /// Takes the terminal. There is one; a second guard would give it back too early.
    ///
    /// # Errors
    /// The terminal refuses raw mode, or the log cannot be opened.
    pub fn take(log: Option<&Path>) -> io::Result<Guard> {
        install_hook();
        *lock(&OWNER) = Some(std::thread::current().id());
        redirect_stderr(log)?;
        UP.store(true, Ordering::SeqCst);
        // From here on every error goes through the guard's drop.
        let guard = Guard { _private: () };
        enable_raw_mode()?;
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange,
            SaveTitle,
            cursor::Hide
        )?;
        Ok(guard)
    }

    /// False once something (a panic in a task) has given the terminal back under our feet.
    pub fn is_up(&self) -> bool {
        UP.load(Ordering::SeqCst)
    }

    /// Gives the terminal back for a while, stops the process until the shell continues it, and
    /// takes the terminal again.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    pub fn suspend(self, log: Option<&Path>) -> io::Result<Guard> {
        drop(self);
        // Not SIGTSTP: the kernel discards that for an orphaned process group.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        Guard::take(log)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back; harmless when that has happened already. Errors are of no use here: the
/// terminal may be gone.
pub fn restore() {
    if !UP.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out: Stdout = io::stdout();
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        DisableFocusChange,
        DisableBracketedPaste,
        RestoreTitle,
        cursor::Show,
        LeaveAlternateScreen
    );
    let _ = out.flush();
    let _ = disable_raw_mode();
    if let Some(saved) = lock(&STDERR).take() {
        let _ = rustix::stdio::dup2_stderr(saved);
    }
}

/// A panic on the screen's thread would print into the screen: restore first. One on another thread
/// (sound, say) is no reason to tear the screen down: it goes to the log, where fd 2 leads.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if *lock(&OWNER) == Some(std::thread::current().id()) {
                restore();
            }
            before(panic);
        }));
    });
}

fn redirect_stderr(log: Option<&Path>) -> io::Result<()> {
    let target = match log {
        Some(path) => OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?,
        None => File::options().write(true).open("/dev/null")?,
    };
    let saved = rustix::stdio::stderr().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stderr(target)?;
    *lock(&STDERR) = Some(saved);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pushes the window's title on the terminal's stack of titles.
struct SaveTitle;

/// Pops it.
struct RestoreTitle;

impl crossterm::Command for SaveTitle {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        f.write_str("\x1b[22;2t")
    }
}

impl crossterm::Command for RestoreTitle {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        f.write_str("\x1b[23;2t")
    }
}

/// There is one terminal in a process, and the panic hook must reach it: the only globals here.
static UP: AtomicBool = AtomicBool::new(false);
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
static STDERR: Mutex<Option<OwnedFd>> = Mutex::new(None);
