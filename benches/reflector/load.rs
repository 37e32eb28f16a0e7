//! Many that talk at the same time: each sends a packet every 20 ms and counts what it hears.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// One who talks.
pub struct Talker {
    pub socket: UdpSocket,
    pub to: SocketAddr,
    /// What it says, headers included.
    pub datagram: Vec<u8>,
}

pub struct Load {
    talkers: Vec<Talker>,
}

/// What a run brought.
pub struct Measured {
    pub sent: u64,
    pub heard: u64,
    cpu: Duration,
}

impl Measured {
    pub fn per_cpu_second(&self) -> f64 {
        self.heard as f64 / self.cpu.as_secs_f64()
    }
}

impl Load {
    pub fn new(talkers: Vec<Talker>) -> Load {
        for talker in &talkers {
            talker.socket.set_nonblocking(true).expect("set");
        }
        Load { talkers }
    }

    /// Talks for that long. `cpu` says what the one in the middle has used so far.
    pub fn run(&self, time: Duration, cpu: impl Fn() -> Duration) -> Measured {
        let before = cpu();
        let (mut sent, mut heard) = (0, 0);
        let began = Instant::now();
        let pause = Duration::from_millis(20) / self.talkers.len() as u32;
        let rounds = (time.as_millis() / 20) as u32;
        for round in 0..rounds {
            for (n, talker) in self.talkers.iter().enumerate() {
                let due = Duration::from_millis(20) * round + pause * n as u32;
                if let Some(wait) = due.checked_sub(began.elapsed())
                    && wait > Duration::from_micros(300)
                {
                    std::thread::sleep(wait);
                }
                heard += talker.hear();
                sent += u64::from(talker.socket.send_to(&talker.datagram, talker.to).is_ok());
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        heard += self.talkers.iter().map(Talker::hear).sum::<u64>();
        Measured {
            sent,
            heard,
            cpu: cpu() - before,
        }
    }
}

impl Talker {
    fn hear(&self) -> u64 {
        let mut buffer = [0; 2048];
        let heard = std::iter::from_fn(|| self.socket.recv_from(&mut buffer).ok());
        heard.count() as u64
    }
}

/// Processor time of the threads below `/proc/PID/task` whose names begin so.
pub fn cpu(process: &str, name: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let nanos = tasks.flatten().filter_map(|task| {
        let called = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let nanos: u64 = spent.split_whitespace().next()?.parse().ok()?;
        called.starts_with(name).then_some(nanos)
    });
    Duration::from_nanos(nanos.sum())
}

pub fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let patience = Some(Duration::from_secs(5));
    socket.set_read_timeout(patience).expect("set");
    socket
}
