//! A PostgreSQL server of a test's own, from Debian's package.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const READY: Duration = Duration::from_secs(60);

/// A server on a free port of the loopback address and on a socket, in a temporary folder. It ends with this value, and with
/// the thread that started it.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Makes and starts a server. `None`: PostgreSQL is not installed, and the reason is said.
    ///
    /// # Panics
    /// If it is installed and does not start; or if it is not, and `RACCORDO_REQUIRE_TOOLS` is `1`.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(bin) = installed() else {
            let required = std::env::var("RACCORDO_REQUIRE_TOOLS").as_deref() == Ok("1");
            assert!(!required, "PostgreSQL is required (RACCORDO_REQUIRE_TOOLS=1): apt-get install postgresql");
            println!("skipped: PostgreSQL cannot be had: there is no /usr/lib/postgresql/*/bin/initdb");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("raccordo-pg-{}-{}", std::process::id(), free_port()));
        std::fs::create_dir(&folder).expect("a folder for the server");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let mut postgres = Self { bin, folder, port: free_port(), server: None };
        run(postgres.as_user("initdb").args(["--pgdata", "data", "--username", "raccordo", "--auth", "trust"]).args([
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
            "--no-sync",
        ]));
        postgres.restart();
        Some(postgres)
    }

    /// Starts it (again), and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let log = std::fs::File::create(self.folder.join("log")).expect("a log");
        let socket = self.folder.display().to_string();
        let mut command = self.as_user("postgres");
        let command = command.args(["-D", "data", "-k", &socket, "-p", &self.port.to_string()]);
        let command = command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60"]);
        let started = command.stdout(Stdio::null()).stderr(log).spawn();
        self.server = Some(started.expect("the server starts"));
        let begun = Instant::now();
        while !self.tool("pg_isready").output().is_ok_and(|done| done.status.success()) {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < READY, "the server does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // `Child::kill` would leave its children and its shared memory behind.
            drop(Command::new("kill").args(["-QUIT", &server.id().to_string()]).status());
            drop(server.wait());
        }
    }

    /// Makes an empty database; gives the connection string, by TCP.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        run(self.tool("createdb").arg(name));
        format!("postgresql://raccordo@127.0.0.1:{}/{name}", self.port)
    }

    /// The connection string of a database by the server's socket.
    #[must_use]
    pub fn by_socket(&self, name: &str) -> String {
        format!("host={} port={} user=raccordo dbname={name}", self.folder.display(), self.port)
    }

    /// Runs a statement; gives what it answers.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let done = run(self.tool("psql").args(["-d", database, "-qAtc", statement]));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        let _ = command.args(["-h", "127.0.0.1", "-U", "raccordo", "-p", &self.port.to_string()]);
        command
    }

    /// A server does not run as root; and it goes when the thread goes that has started it.
    fn as_user(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        let _ = command.current_dir(&self.folder).args(["--pdeathsig", "QUIT"]);
        if is_root() {
            let _ = command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        }
        let _ = command.arg(self.bin.join(name));
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("the server's log:\n{}", std::fs::read_to_string(self.folder.join("log")).unwrap_or_default());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The programs of the newest version.
fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = versions.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("bin/initdb").exists());
    found.max_by_key(|path| version(path)).map(|path| path.join("bin"))
}

fn is_root() -> bool {
    let done = Command::new("id").arg("-u").output();
    done.is_ok_and(|done| done.stdout == b"0\n")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn run(command: &mut Command) -> Output {
    let done = command.output().expect("the program runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done
}
