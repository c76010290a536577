//! Parts of the simulation that stand in for the operating system and the network: processes, clocks, randomness,
//! sockets. `serve/simulation` runs them.

pub(crate) mod node;
pub(crate) mod pipe;
