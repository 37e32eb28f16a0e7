//! A long line to a socket of this computer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Whoever connects to the socket `near` reaches `far`, and all that is said takes `delay` each way.
pub fn slow_line(near: &Path, far: &Path, delay: Duration) -> io::Result<()> {
    let listener = UnixListener::bind(near)?;
    let far = far.to_owned();
    thread::spawn(move || {
        for here in listener.incoming().flatten() {
            let Ok(there) = UnixStream::connect(&far) else {
                continue;
            };
            if let (Ok(back), Ok(forth)) = (here.try_clone(), there.try_clone()) {
                carry(here, forth, delay);
                carry(there, back, delay);
            }
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a line takes real time")]
fn carry(mut from: UnixStream, mut to: UnixStream, delay: Duration) {
    let (send, on_the_way) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut piece = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if send
                .send((Instant::now() + delay, piece[..count].to_vec()))
                .is_err()
            {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (at, piece) in on_the_way {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
