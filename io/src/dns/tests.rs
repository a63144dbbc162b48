//! Packets, sockets and their limits.
