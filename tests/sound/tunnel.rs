//! A real ssh connection that brings sound along.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::server::end;
use super::{Server, is_installed, is_needed, until};

/// An sshd on the loopback, and an ssh that brings the socket of a sound server to its side.
pub struct Tunnel {
    pub dir: TempDir,
    port: u16,
    sshd: Child,
    ssh: Child,
    pub socket: PathBuf,
}

impl Tunnel {
    pub fn to(server: &Server) -> Option<Tunnel> {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"]
            .iter()
            .find(|path| Path::new(path).exists());
        let Some(sshd) = sshd.filter(|_| is_installed("ssh")) else {
            assert!(!is_needed(), "openssh-server is not installed");
            eprintln!("left out: openssh-server is not installed");
            return None;
        };
        let dir = TempDir::new().expect("a directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)])
                .status();
            assert!(made.is_ok_and(|made| made.success()), "no key");
        }
        std::fs::copy(path("user.pub"), path("authorized")).expect("a copy");
        // sshd run by root wants it, and nobody else may make it.
        let _ = std::fs::create_dir("/run/sshd");
        let port = free_port();
        let program = Path::new(env!("CARGO_BIN_EXE_twocan"))
            .parent()
            .expect("a directory");
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nSetEnv PATH={}:/usr/bin:/bin\n",
            path("host"),
            path("authorized"),
            program.display()
        );
        std::fs::write(path("config"), config).expect("written");
        let log = std::fs::File::create(path("log")).expect("a log");
        let run = Command::new(sshd)
            .args(["-D", "-e", "-f", &path("config")])
            .stderr(log)
            .spawn();
        let sshd = run.expect("sshd starts");
        until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let socket = dir.path().join("forwarded");
        let mut tunnel = Tunnel {
            port,
            sshd,
            ssh: Command::new("true").spawn().expect("true"),
            socket,
            dir,
        };
        let mut command = Command::new("ssh");
        command.args(tunnel.options()).args([
            "-o",
            "ExitOnForwardFailure=yes",
            "-S",
            "none",
            "-N",
            "-R",
        ]);
        command.arg(format!(
            "{}:{}",
            tunnel.socket.display(),
            server.socket.display()
        ));
        let _ = tunnel.ssh.wait();
        tunnel.ssh = command
            .arg("127.0.0.1")
            .stdin(Stdio::null())
            .spawn()
            .expect("ssh starts");
        until(|| tunnel.socket.exists());
        Some(tunnel)
    }

    /// Ends the connection; the sshd stays.
    pub fn cut(&mut self) {
        end(&mut self.ssh);
    }

    pub fn options(&self) -> Vec<String> {
        let key = self.dir.path().join("user").display().to_string();
        let options = [
            format!("Port={}", self.port),
            format!("IdentityFile={key}"),
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            "UserKnownHostsFile=/dev/null".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ];
        options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option])
            .collect()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        end(&mut self.ssh);
        end(&mut self.sshd);
    }
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its address").port()
}
