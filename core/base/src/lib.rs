//! What every machine of Tribune shares: identifiers, time, entropy, encoding and the persistent map.
//!
//! Nothing here knows a clock, a file or a socket. Time is an [`Instant`](time::Instant) that
//! somebody passes in, entropy an [`Rng`](rng::Rng) that somebody seeded.

#![forbid(unsafe_code)]

pub mod bug;
pub mod codec;
pub mod coordinate;
pub mod duration;
pub mod hash;
pub mod hcl;
pub mod id;
pub mod json;
pub mod rng;
pub mod time;
pub mod tree;
