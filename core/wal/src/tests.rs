//! What must hold of the format as a whole.

mod crash_states;

pub(crate) mod mistake;

mod workload;
