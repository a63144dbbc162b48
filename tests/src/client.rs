//! An HTTP client that keeps its connection, and knows whether a request may have been heard.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::agent::Response;

/// A client of one agent.
#[derive(Debug)]
pub struct Client {
    http: SocketAddr,
    timeout: Duration,
    stream: Option<BufReader<TcpStream>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody has heard the request.
    Unsent(io::Error),
    /// Somebody may have.
    Unanswered(io::Error),
}

impl Client {
    /// A client that waits so long for an answer.
    pub const fn new(http: SocketAddr, timeout: Duration) -> Self {
        Self { http, timeout, stream: None }
    }

    /// Ask.
    ///
    /// # Errors
    ///
    /// There was no answer in time, or none at all.
    pub fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Response, Failure> {
        let deadline = Instant::now() + self.timeout;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(Failure::Unsent)?,
        };
        let len = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n");
        let sent = stream.get_mut().write_all(&[head.as_bytes(), body].concat());
        sent.map_err(Failure::Unanswered)?;
        let response = receive(&mut stream, deadline).map_err(Failure::Unanswered)?;
        if response.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(response)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.http, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(BufReader::new(stream))
    }
}

fn receive(stream: &mut BufReader<TcpStream>, deadline: Instant) -> io::Result<Response> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let status = line(stream, deadline)?;
    let status = status.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or_else(malformed)?;
    let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let header = line(stream, deadline)?;
        let Some((name, value)) = header.split_once(':') else { break };
        response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let len = response.header("content-length").and_then(|it| it.parse().ok());
    response.body = vec![0; len.ok_or_else(malformed)?];
    wait(stream, deadline)?;
    stream.read_exact(&mut response.body)?;
    Ok(response)
}

fn line(stream: &mut BufReader<TcpStream>, deadline: Instant) -> io::Result<String> {
    wait(stream, deadline)?;
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// From now on, wait no longer than until `deadline`.
fn wait(stream: &BufReader<TcpStream>, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    stream.get_ref().set_read_timeout(Some(left.max(Duration::from_millis(1))))
}
