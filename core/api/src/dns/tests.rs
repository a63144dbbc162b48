//! The zone, as its clients see it.
