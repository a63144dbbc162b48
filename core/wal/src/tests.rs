//! What must hold of the format as a whole.

mod crash_states;
mod faults;

mod properties;
mod workload;
