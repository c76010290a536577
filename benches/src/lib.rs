//! Measures Rialto's live connections beside those of other servers doing the same work; see the README.
//!
//! | module | what is in it |
//! |---|---|
//! | `load` | the generator: subscribers, publishers, latencies, what was lost |
//! | `peers` | the servers: starting, subscribing, publishing |
//! | `workloads` | what is measured |
//! | `report` | medians, tables, targets, the plot |
//! | `proc` | memory, CPU time and sockets, as the kernel counts them |
//! | `options` | the command line and the environment |

pub mod clock;
pub mod load;
pub mod options;
pub mod proc;
pub mod report;
pub mod servers;
pub mod workloads;
