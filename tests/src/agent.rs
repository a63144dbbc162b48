//! A real agent: a process, its data directory, its ports.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::Ports;

/// An agent that runs. Killed, and its directory removed, when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Option<Child>,
    place: Place,
    dir: PathBuf,
    arguments: Vec<String>,
    /// Held until nobody listens there any more.
    _ports: Ports,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it answers DNS.
    pub dns: SocketAddr,
    /// Where other servers reach it.
    pub server: SocketAddr,
    /// Its place in the LAN pool.
    pub lan: SocketAddr,
    /// Its place in the WAN pool, if it is a server.
    pub wan: SocketAddr,
}

/// Where an agent runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address.
    pub ip: IpAddr,
    /// The network namespace that has this address, if it is not our own.
    pub namespace: Option<String>,
}

/// What an agent answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Agent {
    /// `tribune agent -dev`, ready to answer.
    pub fn dev() -> Self {
        Self::start(&["-dev"])
    }

    /// A single server with a data directory, ready to answer.
    pub fn durable() -> Self {
        Self::start(&["-server", "-bootstrap-expect=1", "-bind=127.0.0.1"])
    }

    /// An agent with these arguments, on ports and in a directory of its own, ready to answer.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_as("n1", arguments)
    }

    /// The same, called `node`.
    pub fn start_as(node: &str, arguments: &[&str]) -> Self {
        let mut agent = Self::prepare_as(node, arguments);
        agent.spawn();
        agent.wait_until_ready();
        agent
    }

    /// Everything but the process: for tests in which it does not start.
    pub fn prepare(arguments: &[&str]) -> Self {
        Self::prepare_as("n1", arguments)
    }

    /// The same, of an agent called `node`.
    pub fn prepare_as(node: &str, arguments: &[&str]) -> Self {
        Self::prepare_at(Place::here(), node, arguments)
    }

    /// The same, of an agent that runs somewhere else.
    pub fn prepare_at(place: Place, node: &str, arguments: &[&str]) -> Self {
        let ports = Ports::claim();
        let [http, dns, server, lan, wan] = ports.list();
        let dir = scratch();
        let mut all = vec!["agent".to_owned(), format!("-node={node}")];
        all.extend(arguments.iter().map(|it| (*it).to_owned()));
        let placed = arguments.iter().any(|it| *it == "-dev" || it.starts_with("-data-dir"));
        if !placed {
            all.push(format!("-data-dir={}", dir.join("data").display()));
        }
        all.push(format!("-http-port={http}"));
        all.push(format!("-dns-port={dns}"));
        all.push(format!("-server-port={server}"));
        all.push(format!("-serf-lan-port={lan}"));
        all.push(format!("-serf-wan-port={wan}"));
        if place.namespace.is_some() {
            all.push(format!("-client={}", place.ip));
        }
        let at = |port| SocketAddr::from((place.ip, port));
        Self {
            child: None,
            dir,
            arguments: all,
            _ports: ports,
            http: at(http),
            dns: at(dns),
            server: at(server),
            lan: at(lan),
            wan: at(wan),
            place,
        }
    }

    /// Start it with one more argument from now on.
    pub fn add_argument(&mut self, argument: impl Into<String>) {
        self.arguments.push(argument.into());
    }

    /// Start the process, again if it was killed. Does not wait for it.
    pub fn spawn(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.expect("the scratch directory is ours");
        let child = self
            .place
            .command()
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the binary was just built");
        self.child = Some(child);
    }

    /// Wait until it answers and leads.
    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.is_ready() {
                return;
            }
            thread::sleep(POLL);
        }
        panic!("the agent is not ready:\n{}", self.log());
    }

    /// Whether it answers, and somebody leads.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn is_ready(&mut self) -> bool {
        self.assert_runs();
        self.try_call("PUT", "/v1/kv/__ready", b"").is_ok_and(|it| it.status == 200)
    }

    /// Say so at once, with its log, if the process was started and has ended by itself.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.ended() {
            panic!("the agent stopped with {status}:\n{}", self.log());
        }
    }

    /// Whether it was started, and not killed since.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How the process ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|it| it.try_wait().expect("our own child"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child");
            child.wait().expect("our own child");
        }
    }

    /// Send a signal by name (`TERM`, `INT`, `HUP`).
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// Wait until the process ends; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("our own child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the agent does not stop:\n{}", self.log());
            thread::sleep(POLL);
        }
    }

    /// GET `path`.
    pub fn get(&self, path: &str) -> Response {
        self.call("GET", path, b"")
    }

    /// PUT `body` to `path`.
    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.call("PUT", path, body.as_ref())
    }

    /// One request on a connection of its own.
    pub fn call(&self, method: &str, path: &str, body: &[u8]) -> Response {
        match self.try_call(method, path, body) {
            Ok(response) => response,
            Err(error) => panic!("{method} {path}: {error}\n{}", self.log()),
        }
    }

    /// One request on a connection of its own, which may fail.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub fn try_call(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        Self::call_at(self.http, method, path, body)
    }

    /// One request to whoever answers HTTP at `http`, for threads that have no agent in hand.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub fn call_at(
        http: SocketAddr,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> io::Result<Response> {
        let mut stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Send a DNS packet, receive the answer.
    pub fn dns(&self, packet: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        socket.send_to(packet, self.dns).expect("loopback takes packets");
        let mut answer = vec![0; 65_535];
        let len = socket.recv(&mut answer).expect("the agent answers DNS");
        answer.truncate(len);
        answer
    }

    /// The same, in a stream.
    pub fn dns_tcp(&self, packet: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.dns).expect("the agent listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let len = u16::try_from(packet.len()).expect("a question is short");
        let framed = [&len.to_be_bytes(), packet].concat();
        stream.write_all(&framed).expect("the agent takes questions");
        let mut len = [0; 2];
        stream.read_exact(&mut len).expect("the agent answers DNS");
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer).expect("the agent answers DNS");
        answer
    }

    /// Run `tribune` with `arguments` as a client of this agent.
    pub fn cli(&self, arguments: &[&str]) -> std::process::Output {
        let address = format!("http://{}", self.http);
        let mut command = Command::new(binary());
        command.args(arguments).env("CONSUL_HTTP_ADDR", address);
        command.output().expect("the binary was just built")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A directory of this test's own.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Memory that is resident, in bytes.
    pub fn resident(&self) -> u64 {
        let id = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find(|it| it.starts_with("VmRSS:")).expect("Linux says it");
        let kib: u64 =
            line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number");
        kib << 10
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        // Left behind only if somebody else still writes there.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Place {
    /// This machine, as itself.
    pub const fn here() -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), namespace: None }
    }

    /// The binary, run there. The process is the binary's own: it can be signalled.
    fn command(&self) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(binary()) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(binary());
        command
    }
}

impl Response {
    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("answers are text")
    }

    /// `X-Consul-Index`.
    pub fn index(&self) -> u64 {
        self.header("x-consul-index").and_then(|it| it.parse().ok()).expect("reads have an index")
    }
}

/// Try `condition` until it holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        thread::sleep(POLL);
    }
}

/// The binary: the one that `TRIBUNE_BINARY` names, or else built once.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("TRIBUNE_BINARY") {
            return named.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace member");
        let mut build = Command::new(env!("CARGO"));
        // The whole workspace, so that features are unified as `cargo test --workspace` unifies
        // them and nothing is built twice.
        let packages = ["--workspace", "--exclude", "tribune-sim", "--bins"];
        build.args(["build", "--quiet"]).args(packages).current_dir(root);
        assert!(build.status().expect("cargo runs").success(), "the binary does not build");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        target.join("debug/tribune")
    })
}

/// A directory nobody else has.
pub fn scratch() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tribune-test-{}-{n}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).expect("temporary files can be made");
    dir
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|it| it.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Response { status, headers, body: answer[end + 4..].to_vec() })
}

/// How long anything may take before a test gives up: generous, machines are slow and shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look whether something has happened.
pub(crate) const POLL: Duration = Duration::from_millis(10);
