//! An agent: a server, or a client agent. Whoever drives one need not know which.

use tribune_agent::Local;
use tribune_base::time::Instant;

use crate::client::Client;
use crate::input::Input;
use crate::node::Node;
use crate::output::Output;
use crate::view::{Shown, View};

/// One agent. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub enum Agent {
    /// It keeps the state.
    Server(Box<Node>),
    /// It asks those who do.
    Client(Box<Client>),
}

macro_rules! either {
    ($self:ident, $agent:ident => $call:expr) => {
        match $self {
            Self::Server($agent) => $call,
            Self::Client($agent) => $call,
        }
    };
}

#[allow(missing_docs)] // As of `Node`, method by method.
impl Agent {
    pub fn handle(&mut self, now: Instant, input: Input) {
        either!(self, it => it.handle(now, input));
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        either!(self, it => it.handle_timeout(now));
    }

    pub fn poll_timeout(&self) -> Instant {
        either!(self, it => it.poll_timeout())
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        either!(self, it => it.poll_output())
    }

    pub fn shown(&self) -> Shown {
        either!(self, it => it.shown())
    }

    pub fn view(&self) -> View {
        either!(self, it => it.view())
    }

    pub fn local(&self) -> &Local {
        either!(self, it => it.local())
    }

    pub fn waiting(&self) -> usize {
        either!(self, it => it.waiting())
    }
}

impl From<Node> for Agent {
    fn from(node: Node) -> Self {
        Self::Server(Box::new(node))
    }
}

impl From<Client> for Agent {
    fn from(client: Client) -> Self {
        Self::Client(Box::new(client))
    }
}
