//! Something real to check: a web server that can be stopped and started again.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A web server that answers 200 to everything. Stopped when dropped.
#[derive(Debug)]
pub struct Web {
    /// Where it listens, also after it was stopped.
    pub addr: SocketAddr,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Web {
    /// Start on any free port.
    pub fn start() -> Self {
        let mut web = Self { addr: ([127, 0, 0, 1], 0).into(), running: None };
        web.restart();
        web
    }

    /// Start again on the same port.
    pub fn restart(&mut self) {
        let listener = TcpListener::bind(self.addr).expect("the port is ours");
        self.addr = listener.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let _ = stream.read(&mut [0; 4_096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        self.running = Some((stop, thread));
    }

    /// Stop: connections are refused from now on.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            // The thread looks when somebody connects.
            let _ = std::net::TcpStream::connect(self.addr);
            thread.join().expect("the server does not panic");
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
    }
}
