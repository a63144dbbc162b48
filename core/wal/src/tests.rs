//! What must hold of the format as a whole.

mod crash_states;
mod faults;

pub(crate) mod mistake;

mod properties;
mod workload;
