//! Servers that talk over the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tribune_api::http::Response;
use tribune_base::codec::Writer;
use tribune_base::id::ServerId;
use tribune_base::time::Duration;
use tribune_core::wire::Proposal;
use tribune_core::{Area, Wire};

use super::preamble::MAGIC;
use super::{Heard, Limits, Pool, Preamble, Rpc, Server, frame};
use crate::net::{Net as _, TokioNet};

/// Somebody who listens, and what came.
struct Listening {
    addr: SocketAddr,
    rpc: Rpc,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Listening {
    async fn start(limits: Limits) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), limits).await
    }

    async fn start_at(addr: SocketAddr, limits: Limits) -> Self {
        let listener = TokioNet.listen(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let rpc = rpc(2, limits);
        let (sender, heard) = mpsc::channel(64);
        let task = tokio::spawn(Server::new(rpc.clone(), sender).listen(listener));
        Self { addr, rpc, heard, task }
    }

    fn address(&self) -> Arc<str> {
        address(self.addr)
    }

    /// The next `count` messages.
    async fn hear(&mut self, count: usize) -> Vec<Wire> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let heard = timeout(PATIENCE, self.heard.recv()).await.expect("nothing comes").unwrap();
            assert_eq!(heard.from, ServerId(1));
            messages.extend(heard.messages);
        }
        messages
    }
}

fn address(addr: SocketAddr) -> Arc<str> {
    addr.to_string().into()
}

fn rpc(server: u128, limits: Limits) -> Rpc {
    Rpc::new(Preamble::new(ServerId(server), "dc1"), limits)
}

fn pool(limits: Limits) -> (Pool<TokioNet>, Rpc) {
    let rpc = rpc(1, limits);
    let (lost, _) = mpsc::unbounded_channel();
    (Pool::new(TokioNet, rpc.clone(), 7, lost), rpc)
}

/// Short of everything.
fn hasty() -> Limits {
    Limits {
        age_max: Duration::from_millis(100),
        handshake_max: Duration::from_millis(100),
        pulse_interval: Duration::from_millis(10),
        silence_max: Duration::from_millis(100),
        backoff_min: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        queue_bytes_max: 4 << 20,
        ..Limits::default()
    }
}

fn urgent(serial: u64, len: usize) -> Wire {
    Wire::Propose(vec![Proposal { serial, command: vec![0; len].into() }])
}

fn bulk(serial: u64, len: usize) -> Wire {
    Wire::Answer { serial, response: Some(Box::new(Response::json(200, vec![b'x'; len]))) }
}

/// A dead port: somebody had it, so nobody else gets it soon.
async fn nowhere() -> Arc<str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    address(listener.local_addr().unwrap())
}

/// Dial by hand, and say `bytes`.
async fn dial(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Whatever the other side says until it closes.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A close with unread bytes is a reset.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it stays open");
    bytes
}

#[tokio::test]
async fn each_lane_keeps_its_order() {
    let mut there = Listening::start(Limits::default()).await;
    let (mut pool, rpc) = pool(Limits::default());
    let (count, to) = (500, there.address());
    for serial in 0..count {
        pool.send(&to, &urgent(serial, 100));
        pool.send(&to, &bulk(serial, 5_000));
    }
    let (mut proposals, mut answers) = (Vec::new(), Vec::new());
    for message in there.hear(count as usize * 2).await {
        if let Wire::Propose(it) = &message {
            proposals.push(it[0].serial);
        } else if let Wire::Answer { serial, .. } = message {
            answers.push(serial);
        } else {
            panic!("nobody said this: {message:?}");
        }
    }
    assert!(proposals.into_iter().eq(0..count));
    assert!(answers.into_iter().eq(0..count));
    assert_eq!(rpc.counts().dropped_full.get(), 0);
}

#[tokio::test]
async fn a_long_message_arrives() {
    let mut there = Listening::start(Limits::default()).await;
    let (mut pool, _) = pool(Limits::default());
    let message = bulk(1, 20 << 20);
    pool.send(&there.address(), &message);
    assert_eq!(there.hear(1).await, [message]);
}

#[tokio::test]
async fn a_message_too_long_is_not_sent() {
    let (mut pool, rpc) = pool(Limits { frame_len_max: 1_000, ..Limits::default() });
    pool.send(&nowhere().await, &bulk(1, 1_000));
    assert_eq!(rpc.counts().dropped_long.get(), 1);
}

/// One peer is gone, one takes connections and says nothing: a third one notices neither.
#[tokio::test]
async fn a_dead_peer_costs_the_others_nothing() {
    let mut there = Listening::start(Limits::default()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut pool, rpc) = pool(hasty());
    let (gone, silent) = (nowhere().await, address(silent.local_addr().unwrap()));
    for serial in 0..50 {
        // What nobody is to answer is nobody's to give back.
        pool.send(&gone, &Wire::Forget { serial });
        pool.send(&silent, &Wire::Forget { serial });
        pool.send(&there.address(), &urgent(serial, 10));
        assert_eq!(there.hear(1).await, [urgent(serial, 10)]);
    }
    assert_eq!(rpc.counts().dropped_full.get(), 0);
    // What waits for too long goes.
    let all_gone = async {
        while rpc.counts().dropped_late.get() < 100 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_gone).await.expect("late messages are kept");
}

#[tokio::test]
async fn a_peer_that_stops_reading_costs_no_memory() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut pool, rpc) = pool(hasty());
    let to = address(deaf.local_addr().unwrap());
    pool.send(&to, &urgent(0, 1));
    let (mut stream, _) = timeout(PATIENCE, deaf.accept()).await.unwrap().unwrap();
    let answer = Preamble::new(ServerId(2), "dc1").encode();
    stream.write_all(&answer).await.unwrap();

    let (count, len) = (200, 1 << 20);
    for serial in 0..count {
        pool.send(&to, &urgent(serial, len));
        tokio::task::yield_now().await;
    }
    // A queue's worth waits, and what the kernel has taken is not ours.
    let queued = count - rpc.counts().dropped_full.get();
    assert!(queued < 50, "{queued} of {count} MiB were taken");
    // The connection is given up, and tried again.
    timeout(PATIENCE, deaf.accept()).await.expect("nobody dials again").unwrap();
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let mut there = Listening::start(Limits::default()).await;
    let (mut pool, _) = pool(hasty());
    pool.send(&there.address(), &urgent(1, 10));
    assert_eq!(there.hear(1).await, [urgent(1, 10)]);

    there.task.abort();
    let addr = there.addr;
    drop(there);
    tokio::task::yield_now().await;
    let mut there = Listening::start_at(addr, Limits::default()).await;
    // What is said into a connection that has just ended is lost, as is anything said to a network.
    let heard = async {
        loop {
            pool.send(&there.address(), &urgent(2, 10));
            tokio::select! {
                biased;
                heard = there.heard.recv() => return heard.unwrap().messages,
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    };
    let messages = timeout(PATIENCE, heard).await.expect("nothing comes");
    assert_eq!(messages[0], urgent(2, 10));
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_opened_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut pool, _) = pool(Limits { idle_max: Duration::from_millis(20), ..Limits::default() });
    let to = address(listener.local_addr().unwrap());
    for serial in 0..2 {
        pool.send(&to, &urgent(serial, 1));
        let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        stream.write_all(&Preamble::new(ServerId(2), "dc1").encode()).await.unwrap();
        stream.write_all(&[0]).await.unwrap();
        let mut bytes = BytesMut::from(&read_all(&mut stream).await[..]);
        assert!(matches!(Preamble::take(&mut bytes), Ok(Some(_))));
        let payload = frame::take(&mut bytes, 1_000).unwrap().unwrap();
        assert_eq!(Wire::decode(payload), Ok(urgent(serial, 1)));
        assert!(bytes.is_empty());
    }
}

/// What one connection carries by hand: those who said it, and what it was.
async fn take_connection(listener: &TcpListener) -> (TcpStream, BytesMut) {
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    stream.write_all(&Preamble::new(ServerId(2), "dc1").encode()).await.unwrap();
    let mut bytes = BytesMut::new();
    Preamble::read(&mut stream, &mut bytes).await.unwrap();
    (stream, bytes)
}

async fn take_message(stream: &mut TcpStream, bytes: &mut BytesMut) -> Wire {
    loop {
        if let Some(payload) = frame::take(bytes, 1 << 20).unwrap() {
            return Wire::decode(payload).unwrap();
        }
        assert_ne!(timeout(PATIENCE, stream.read_buf(bytes)).await.unwrap().unwrap(), 0);
    }
}

/// Whoever waits for it does not know that there was a connection. A question is another matter: who
/// asks hears that the connection is lost.
#[tokio::test]
async fn an_answer_that_may_be_lost_is_said_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut pool, _) = pool(Limits { silence_max: PATIENCE, ..hasty() });
    let to = address(listener.local_addr().unwrap());
    let (from, request) = ("127.0.0.1:1".to_owned(), Bytes::new());
    let asked = Wire::Exchange { area: Area::Lan, serial: 7, from, request };
    pool.send(&to, &bulk(1, 100));
    let (mut first, mut bytes) = take_connection(&listener).await;
    assert_eq!(take_message(&mut first, &mut bytes).await, bulk(1, 100));
    // One pulse is not enough: it may have been on its way before.
    first.write_all(&[0]).await.unwrap();
    pool.send(&to, &asked);
    pool.send(&to, &bulk(2, 100));
    assert_eq!(take_message(&mut first, &mut bytes).await, asked);
    assert_eq!(take_message(&mut first, &mut bytes).await, bulk(2, 100));
    drop(first);

    let (mut second, mut bytes) = take_connection(&listener).await;
    assert_eq!(take_message(&mut second, &mut bytes).await, bulk(1, 100));
    assert_eq!(take_message(&mut second, &mut bytes).await, bulk(2, 100));
    pool.send(&to, &bulk(3, 100));
    assert_eq!(take_message(&mut second, &mut bytes).await, bulk(3, 100));
}

/// Somebody may be cut off for longer than anything else is worth keeping.
#[tokio::test]
async fn answers_wait_longer_than_news() {
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = place.local_addr().unwrap();
    drop(place);
    let (mut pool, rpc) = pool(hasty());
    pool.send(&address(addr), &bulk(1, 100));
    pool.send(&address(addr), &Wire::Forget { serial: 2 });
    let late = async {
        while rpc.counts().dropped_late.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, late).await.expect("old news is kept");
    let mut there = Listening::start_at(addr, Limits::default()).await;
    assert_eq!(there.hear(1).await, [bulk(1, 100)]);
}

/// As after a partition, or with a listener that was stopped: the connection is there, and nothing
/// arrives.
#[tokio::test]
async fn a_connection_without_a_pulse_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut pool, _) = pool(hasty());
    let to = address(silent.local_addr().unwrap());
    let mut streams = Vec::new();
    for serial in 0..3 {
        pool.send(&to, &urgent(serial, 1));
        let (mut stream, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
        stream.write_all(&Preamble::new(ServerId(2), "dc1").encode()).await.unwrap();
        assert!(!read_all(&mut stream).await.is_empty());
        streams.push(stream);
    }
}

#[tokio::test]
async fn a_connection_with_a_pulse_stays() {
    let mut there = Listening::start(Limits { connections_max: 1, ..hasty() }).await;
    let (mut pool, _) = pool(hasty());
    // The last of them is followed by silence, and by a pulse nevertheless.
    for serial in 0..20 {
        pool.send(&there.address(), &urgent(serial, 10));
        there.hear(1).await;
        tokio::time::sleep(Duration::from_millis(serial * 5)).await;
    }
    assert_eq!(there.rpc.counts().crowded.get(), 0, "it dialed again");
}

#[tokio::test]
async fn what_waits_is_sent_before_closing() {
    let mut there = Listening::start(Limits::default()).await;
    let (mut pool, _) = pool(Limits::default());
    pool.send(&there.address(), &urgent(1, 10));
    pool.close(PATIENCE).await;
    assert_eq!(there.hear(1).await, [urgent(1, 10)]);
}

#[tokio::test]
async fn servers_of_two_datacenters_do_not_talk() {
    let mut there = Listening::start(Limits::default()).await;
    let rpc = Rpc::new(Preamble::new(ServerId(1), "dc2"), hasty());
    let (lost, _) = mpsc::unbounded_channel();
    let mut pool = Pool::new(TokioNet, rpc.clone(), 7, lost);
    pool.send(&there.address(), &urgent(1, 10));
    let both = async {
        while rpc.counts().unfit.get() == 0 || there.rpc.counts().unfit.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, both).await.expect("one of them does not mind");
    assert!(there.heard.try_recv().is_err());
}

/// Servers of two datacenters have a connection for what they have to say to each other. What is a
/// datacenter's own business is not heard there, whoever says it.
#[tokio::test]
async fn what_is_for_another_datacenter_gets_across_and_nothing_else() {
    let mut there = Listening::start(Limits::default()).await;
    let rpc = Rpc::new(Preamble::new(ServerId(1), "dc2"), hasty());
    let (lost, _) = mpsc::unbounded_channel();
    let mut pool = Pool::new(TokioNet, rpc.clone(), 7, lost);
    let retract = Wire::Retract { serial: 5 };
    pool.send(&there.address(), &retract);
    assert_eq!(there.hear(1).await.as_slice(), std::slice::from_ref(&retract));

    let mut bytes = Preamble::new(ServerId(1), "dc2").with_across(true).encode();
    for message in [urgent(1, 10), retract.clone()] {
        frame::put(&message.encode(), &mut bytes);
    }
    let _stream = dial(there.addr, &bytes).await;
    assert_eq!(there.hear(1).await.as_slice(), std::slice::from_ref(&retract));
    assert_eq!(there.rpc.counts().misplaced.get(), 1);

    // Nor the other way round.
    let mut bytes = Preamble::new(ServerId(1), "dc1").encode();
    for message in [retract, urgent(1, 10)] {
        frame::put(&message.encode(), &mut bytes);
    }
    let _stream = dial(there.addr, &bytes).await;
    assert_eq!(there.hear(1).await, [urgent(1, 10)]);
    assert_eq!(there.rpc.counts().misplaced.get(), 2);
}

#[tokio::test]
async fn whoever_speaks_something_else_is_cut_off() {
    let there = Listening::start(Limits::default()).await;
    let mut stream = dial(there.addr, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(read_all(&mut stream).await, b"");
    assert_eq!(there.rpc.counts().unfit.get(), 1);
}

/// Who dials and says nothing must not keep a place for ever.
#[tokio::test]
async fn silence_ends() {
    let there = Listening::start(hasty()).await;
    let mut stream = dial(there.addr, &MAGIC[..4]).await;
    assert_eq!(read_all(&mut stream).await, b"");
}

#[tokio::test]
async fn unknown_messages_are_skipped_and_broken_frames_end_the_connection() {
    let mut there = Listening::start(Limits::default()).await;
    let mut bytes = Preamble::new(ServerId(1), "dc1").encode();
    let mut unknown = Writer::new();
    unknown.u64(1, 1_000);
    frame::put(&unknown.finish(), &mut bytes);
    frame::put(&Wire::Welcome.encode(), &mut bytes);
    let mut stream = dial(there.addr, &bytes).await;
    assert_eq!(there.hear(1).await, [Wire::Welcome]);
    assert_eq!(there.rpc.counts().unknown.get(), 1);

    let mut broken = BytesMut::new();
    frame::put(&Wire::Welcome.encode(), &mut broken);
    broken[frame::HEADER_LEN] ^= 1;
    stream.write_all(&broken).await.unwrap();
    let mut answer = BytesMut::from(&read_all(&mut stream).await[..]);
    let preamble = Preamble::take(&mut answer).unwrap().unwrap();
    assert_eq!(preamble.server, ServerId(2));
    assert_eq!(&answer[..], [0], "a listener says nothing else, but that bytes arrive");
    assert!(there.heard.try_recv().is_err());
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    let limits = Limits { connections_per_address_max: 1, ..Limits::default() };
    let mut there = Listening::start(limits).await;
    let mut bytes = Preamble::new(ServerId(1), "dc1").encode();
    frame::put(&Wire::Welcome.encode(), &mut bytes);
    let _first = dial(there.addr, &bytes).await;
    assert_eq!(there.hear(1).await, [Wire::Welcome]);
    let mut second = TcpStream::connect(there.addr).await.unwrap();
    assert_eq!(read_all(&mut second).await, b"");
    assert_eq!(there.rpc.counts().crowded.get(), 1);
}

/// A value that is kept must not keep the buffer it came in.
#[tokio::test]
async fn entries_have_memory_of_their_own() {
    use tribune_base::id::{Index, LogId, Term};
    use tribune_raft::{Entry, Message, Payload};

    let mut there = Listening::start(Limits::default()).await;
    let (mut pool, _) = pool(Limits::default());
    let payload = Payload::Command(Bytes::from_static(b"value"));
    let entry = Entry { id: LogId::new(Term(1), Index(1)), payload };
    let append = Wire::Raft(Message::AppendEntries {
        term: Term(1),
        prev_log: LogId::default(),
        entries: vec![entry],
        leader_commit: Index(0),
    });
    pool.send(&there.address(), &append);
    let mut heard = there.hear(1).await;
    let Some(Wire::Raft(Message::AppendEntries { mut entries, .. })) = heard.pop() else {
        panic!("something else came");
    };
    let Some(Entry { payload: Payload::Command(command), .. }) = entries.pop() else {
        panic!("no entry came");
    };
    let own = command.try_into_mut().expect("nobody else has it");
    assert_eq!((&own[..], own.capacity()), (&b"value"[..], 5));
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever asked may ask somebody else, and need not wait until it is too late.
#[tokio::test]
async fn a_question_that_nobody_listens_for_comes_back() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Arc<str> = nobody.local_addr().unwrap().to_string().into();
    drop(nobody);
    let rpc = Rpc::new(Preamble::new(ServerId(1), "dc1"), hasty());
    let (lost, mut reports) = mpsc::unbounded_channel();
    let mut pool = Pool::new(TokioNet, rpc, 7, lost);
    let question = Wire::ReadRows { serial: 3, node: "n1".into() };
    pool.send(&address, &Wire::Welcome);
    pool.send(&address, &question);
    let report = reports.recv().await.unwrap();
    assert!(
        matches!(report, super::Report::Undelivered(it) if Some(&it) == question.inquiry().as_ref())
    );
}
