//! Simulated processes, clocks, randomness and sockets. `serve/simulation` runs them.

pub(crate) mod node;
pub(crate) mod pipe;
