//! The flags that every client command shares: which agent to ask, and as whom.

use clap::Args;

/// Which agent to ask, and as whom.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "HTTP API Options")]
pub(crate) struct Target {
    /// The agent's address: `host:port`, `http://host:port` or `unix:///path`. May also come from
    /// `CONSUL_HTTP_ADDR`. `127.0.0.1:8500` unless told otherwise.
    #[arg(long, value_name = "address")]
    pub(crate) http_addr: Option<String>,
    /// The token to present. May also come from `CONSUL_HTTP_TOKEN`.
    #[arg(long, value_name = "value")]
    pub(crate) token: Option<String>,
    /// A file with the token to present. May also come from `CONSUL_HTTP_TOKEN_FILE`.
    #[arg(long, value_name = "path")]
    pub(crate) token_file: Option<String>,
    /// The datacenter to ask about. [default: the agent's own]
    #[arg(long, value_name = "name")]
    pub(crate) datacenter: Option<String>,
    /// Let any server answer, even one that lags behind.
    #[arg(long)]
    pub(crate) stale: bool,
    /// Certificate authorities to trust. Not used: TLS is not supported yet.
    #[arg(long, value_name = "path")]
    pub(crate) ca_file: Option<String>,
    /// A directory of certificate authorities to trust. Not used: TLS is not supported yet.
    #[arg(long, value_name = "path")]
    pub(crate) ca_path: Option<String>,
    /// The certificate to present. Not used: TLS is not supported yet.
    #[arg(long, value_name = "path")]
    pub(crate) client_cert: Option<String>,
    /// The key of that certificate. Not used: TLS is not supported yet.
    #[arg(long, value_name = "path")]
    pub(crate) client_key: Option<String>,
    /// The name the agent's certificate must have. Not used: TLS is not supported yet.
    #[arg(long, value_name = "name")]
    pub(crate) tls_server_name: Option<String>,
}
