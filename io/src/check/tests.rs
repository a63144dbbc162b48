//! Against real sockets and real programs, on loopback.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::*;

/// Answers each connection with the next of `answers`, and returns what it was asked.
async fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(hear(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, task)
}

/// Answers once, and keeps the connection open. Where.
async fn silent_after(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        hear(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    address
}

/// A whole request.
async fn hear(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !is_complete(&request) {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "hung up early");
    }
    String::from_utf8(request).unwrap()
}

fn is_complete(request: &[u8]) -> bool {
    let text = str::from_utf8(request).unwrap().to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let len = head.lines().find_map(|it| it.strip_prefix("content-length: "));
    len.map_or(0, |it| it.parse().unwrap()) <= body.len()
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn http(url: &str) -> CheckSpec {
    CheckSpec::Http {
        url: url.to_owned(),
        method: "GET".into(),
        headers: Vec::new(),
        body: String::new(),
        follow_redirects: true,
        tls_skip_verify: false,
        tls_server_name: String::new(),
        output_max: 64,
    }
}

fn script(args: &[&str]) -> CheckSpec {
    CheckSpec::Script { args: args.iter().map(|it| (*it).to_owned()).collect(), output_max: 64 }
}

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_status_of_a_response_decides() {
    let cases = [
        ("200 OK", Status::Passing),
        ("299 Whatever", Status::Passing),
        ("429 Too Many Requests", Status::Warning),
        ("404 Not Found", Status::Critical),
        ("500 Internal Server Error", Status::Critical),
    ];
    for (head, status) in cases {
        let (address, task) = server(vec![answer(head, "hi")]).await;
        let url = format!("http://{address}/health?x=1");
        let outcome = run(&http(&url), PATIENCE).await;
        let output = format!("HTTP GET {url}: {head} Output: hi");
        assert_eq!(outcome, CheckOutcome { status, output });
        let asked = task.await.unwrap().remove(0);
        assert!(asked.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{asked}");
        for field in [
            &format!("Host: {address}"),
            "User-Agent: Consul Health Check",
            "Accept: text/plain, text/*, */*",
            "Connection: close",
        ] {
            assert!(asked.contains(&format!("{field}\r\n")), "{field} in {asked}");
        }
    }
}

#[tokio::test]
async fn a_request_says_what_the_check_says() {
    let (address, task) = server(vec![answer("200 OK", "")]).await;
    let mut spec = http(&format!("http://user:word@{address}/"));
    let CheckSpec::Http { method, headers, body, .. } = &mut spec else { unreachable!() };
    *method = "PUT".into();
    *body = "ping".into();
    let pairs = [("X-A", "1"), ("X-A", "2"), ("Host", "web"), ("User-Agent", "mine")];
    *headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(run(&spec, PATIENCE).await.status, Status::Passing);

    let asked = task.await.unwrap().remove(0);
    assert!(asked.starts_with("PUT / HTTP/1.1\r\n") && asked.ends_with("\r\n\r\nping"), "{asked}");
    for field in ["Host: web", "User-Agent: mine", "X-A: 1", "X-A: 2", "Content-Length: 4"] {
        assert!(asked.contains(&format!("{field}\r\n")), "{field} in {asked}");
    }
    assert!(asked.contains("Authorization: Basic dXNlcjp3b3Jk\r\n"), "{asked}");
}

#[tokio::test]
async fn a_long_body_is_cut() {
    let (address, task) = server(vec![answer("200 OK", &"x".repeat(100_000))]).await;
    let outcome = run(&http(&format!("http://{address}/")), PATIENCE).await;
    assert!(outcome.output.ends_with(&format!("Output: {}", "x".repeat(64))), "{}", outcome.output);
    task.abort();
}

#[tokio::test]
async fn redirections_are_followed_unless_disabled() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (address, task) = server(vec![redirect.clone(), answer("200 OK", "found")]).await;
    let url = format!("http://{address}/here");
    let outcome = run(&http(&url), PATIENCE).await;
    assert_eq!(outcome.output, format!("HTTP GET {url}: 200 OK Output: found"));
    assert!(task.await.unwrap()[1].starts_with("GET /there "));

    let (address, _task) = server(vec![redirect.clone()]).await;
    let mut spec = http(&format!("http://{address}/here"));
    let CheckSpec::Http { follow_redirects, .. } = &mut spec else { unreachable!() };
    *follow_redirects = false;
    assert_eq!(run(&spec, PATIENCE).await.status, Status::Critical);

    let (address, _task) = server(vec![redirect; 10]).await;
    let outcome = run(&http(&format!("http://{address}/here")), PATIENCE).await;
    assert_eq!(outcome.output, r#"Get "/there": stopped after 10 redirects"#);
}

#[tokio::test]
async fn a_redirection_elsewhere_takes_no_secrets_along() {
    let (there, task) = server(vec![answer("200 OK", "")]).await;
    let redirect =
        format!("HTTP/1.1 307 X\r\nLocation: http://{there}/\r\nContent-Length: 0\r\n\r\n");
    let (here, _task) = server(vec![redirect]).await;
    let mut spec = http(&format!("http://user:word@{here}/"));
    let CheckSpec::Http { headers, method, body, .. } = &mut spec else { unreachable!() };
    *headers = vec![("Cookie".into(), "secret".into()), ("X-A".into(), "1".into())];
    *method = "POST".into();
    *body = "ping".into();
    assert_eq!(run(&spec, PATIENCE).await.status, Status::Passing);
    let asked = task.await.unwrap().remove(0);
    assert!(asked.starts_with("POST / ") && asked.ends_with("ping"), "{asked}");
    assert!(
        asked.contains("X-A: 1\r\n") && asked.contains(&format!("Host: {there}\r\n")),
        "{asked}"
    );
    assert!(!asked.contains("Cookie") && !asked.contains("Authorization"), "{asked}");
}

/// An address nobody listens at, for as long as the listener's port is not given out again.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn what_cannot_be_asked_is_critical_and_says_why() {
    let nobody = nobody().await;
    let refused = format!("dial tcp {nobody}: connect: connection refused");
    let cases = [
        (format!("http://{nobody}/"), format!("Get \"http://{nobody}/\": {refused}")),
        ("nope".into(), r#"Get "nope": unsupported protocol scheme """#.into()),
        ("zz://a/".into(), r#"Get "zz://a/": unsupported protocol scheme "zz""#.into()),
        (
            "https://a/".into(),
            r#"Get "https://a/": TLS checks are not supported by this agent"#.into(),
        ),
    ];
    for (url, output) in cases {
        assert_eq!(run(&http(&url), PATIENCE).await, critical(output));
    }
}

#[tokio::test]
async fn silence_is_an_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let outcome = run(&http(&url), Duration::from_millis(50)).await;
    assert_eq!(outcome.status, Status::Critical);
    assert!(outcome.output.contains("deadline exceeded"), "{}", outcome.output);
}

#[tokio::test]
async fn a_broken_answer_is_an_outcome() {
    for broken in ["", "nonsense\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
        let (address, _task) = server(vec![broken.to_owned()]).await;
        let outcome = run(&http(&format!("http://{address}/")), PATIENCE).await;
        assert_eq!(outcome.status, Status::Critical, "{broken:?}");
    }
    // The status has been said; what breaks off after it changes nothing.
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut".to_owned();
    let (address, _task) = server(vec![cut]).await;
    let outcome = run(&http(&format!("http://{address}/")), PATIENCE).await;
    assert!(outcome.output.ends_with("200 OK Output: cut"), "{}", outcome.output);
}

#[tokio::test]
async fn a_body_that_does_not_end_in_time_changes_nothing() {
    let cases = [
        ("Content-Length: 9\r\n\r\ndata", "200 OK", Status::Passing, "data"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n", "429 T", Status::Warning, "data"),
        ("Content-Length: 9\r\n\r\n", "500 No", Status::Critical, ""),
    ];
    let [a, b, c] = cases.map(|(rest, head, status, body)| async move {
        let url = format!("http://{}/", silent_after(format!("HTTP/1.1 {head}\r\n{rest}")).await);
        let output = format!("HTTP GET {url}: {head} Output: {body}");
        let outcome = run(&http(&url), Duration::from_secs(1)).await;
        assert_eq!(outcome, CheckOutcome { status, output });
    });
    tokio::join!(a, b, c);
}

#[tokio::test]
async fn a_body_without_an_end_is_read_as_far_as_it_is_kept() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(65));
    let url = format!("http://{}/", silent_after(endless).await);
    let outcome = tokio::time::timeout(PATIENCE, run(&http(&url), PATIENCE * 10)).await;
    assert_eq!(outcome.expect("it was read to its end").status, Status::Passing);
}

#[tokio::test]
async fn the_body_of_a_redirection_is_not_waited_for() {
    let (there, _task) = server(vec![answer("200 OK", "found")]).await;
    let redirect =
        format!("HTTP/1.1 302 X\r\nLocation: http://{there}/\r\nContent-Length: 9\r\n\r\n");
    let url = format!("http://{}/", silent_after(redirect).await);
    let outcome = tokio::time::timeout(PATIENCE, run(&http(&url), PATIENCE * 10)).await;
    assert_eq!(
        outcome.expect("it went on").output,
        format!("HTTP GET {url}: 200 OK Output: found")
    );
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tcp = |address: &str| CheckSpec::Tcp { address: address.to_owned(), tls: false };
    let outcome = run(&tcp(&address), PATIENCE).await;
    assert_eq!(outcome, passing(format!("TCP connect {address}: Success")));

    let name = format!("localhost:{}", listener.local_addr().unwrap().port());
    assert_eq!(run(&tcp(&name), PATIENCE).await.status, Status::Passing);

    let nobody = nobody().await;
    let refused = format!("dial tcp {nobody}: connect: connection refused");
    assert_eq!(run(&tcp(&nobody), PATIENCE).await, critical(refused));
    let missing = "dial tcp: address 127.0.0.1: missing port in address";
    assert_eq!(run(&tcp("127.0.0.1"), PATIENCE).await, critical(missing.into()));
}

#[tokio::test]
async fn udp_is_well_unless_refused() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let udp = |address: &str| CheckSpec::Udp { address: address.to_owned() };
    let outcome = run(&udp(&address), Duration::from_millis(50)).await;
    assert_eq!(outcome.status, Status::Passing);
    drop(socket);
    assert_eq!(run(&udp(&address), PATIENCE).await.status, Status::Critical);
}

#[tokio::test]
async fn the_exit_code_of_a_program_decides() {
    let cases = [
        ("echo hi; echo err >&2", Status::Passing, "hi\nerr\n"),
        ("echo hi; exit 1", Status::Warning, "hi\n"),
        ("exit 2", Status::Critical, ""),
        ("kill -9 $$", Status::Critical, ""),
    ];
    for (line, status, output) in cases {
        let outcome = run(&script(&["sh", "-c", line]), PATIENCE).await;
        assert_eq!(outcome, CheckOutcome { status, output: output.into() }, "{line}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_critical() {
    let cases = [
        ("/no/such", "fork/exec /no/such: no such file or directory"),
        ("no-such-program", r#"exec: "no-such-program": executable file not found in $PATH"#),
    ];
    for (program, output) in cases {
        assert_eq!(run(&script(&[program]), PATIENCE).await, critical(output.into()));
    }
    assert_eq!(run(&script(&[]), PATIENCE).await.status, Status::Critical);
}

#[tokio::test]
async fn of_a_long_output_the_end_is_kept() {
    let outcome = run(&script(&["sh", "-c", "seq 1000"]), PATIENCE).await;
    assert_eq!(outcome.status, Status::Passing);
    assert!(outcome.output.starts_with("Captured 64 of 3893 bytes\n...\n"), "{}", outcome.output);
    assert!(outcome.output.ends_with("\n999\n1000\n"), "{}", outcome.output);
}

#[tokio::test]
async fn a_program_that_hangs_dies_with_its_children() {
    // The grandchild says its number, then waits; the pipe's other end closes when it is gone.
    let (reader, writer) = std::io::pipe().unwrap();
    let fd = std::os::fd::OwnedFd::from(writer);
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&fd));
    let line = format!("sleep 1000 9>{path} & echo started; wait");
    let outcome = run(&script(&["sh", "-c", &line]), Duration::from_secs(1)).await;
    assert_eq!(outcome, critical("Timed out (1s) running check\n\nstarted\n".into()));
    drop(fd);
    let mut reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).unwrap();
    let end = tokio::time::timeout(PATIENCE, reader.read_u8()).await.expect("it lives on");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_daemon_left_behind_is_not_waited_for() {
    let line = "sleep 1000 & echo $!";
    let outcome = run(&script(&["sh", "-c", line]), PATIENCE).await;
    assert_eq!(outcome.status, Status::Passing);
    let daemon = outcome.output.trim();
    // It is not ours to kill, so the check has not.
    let killed = run(&script(&["sh", "-c", &format!("kill {daemon}")]), PATIENCE).await;
    assert_eq!(killed.status, Status::Passing, "{killed:?}");
}
