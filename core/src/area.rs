//! The two pools that a server is in.

/// One of the pools that an agent may be in: packets, exchanges and commands say which they are about.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Area {
    /// All agents of a datacenter.
    #[default]
    Lan,
    /// The servers of all datacenters.
    Wan,
}

impl Area {
    /// How the API calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
        }
    }
}
