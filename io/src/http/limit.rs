//! What an address is told that has too many connections.

use tokio::io::AsyncWriteExt as _;

use crate::net::Stream;

/// Say why, and close.
pub(super) async fn refuse<S: Stream>(mut stream: S) {
    const TEXT: &str =
        "Your IP is issuing too many concurrent connections, please rate limit your calls\n";
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{TEXT}",
        TEXT.len()
    );
    // The client may be gone already, which is as good.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
