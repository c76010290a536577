//! Measures Rialto's live connections and compares them with other servers doing the same work; see the README.
//!
//! | module | contents |
//! |---|---|
//! | [`load`] | the load generator: subscribers, publishers, latencies, delivery errors |
//! | [`servers`] | the measured servers: start, subscribe, publish |
//! | [`workloads`] | the workloads |
//! | [`report`] | medians, tables, targets, the plot |
//! | [`proc`] | memory, CPU time and sockets, from the kernel |
//! | [`options`] | the command line and the environment |

pub mod clock;
pub mod load;
pub mod options;
pub mod proc;
pub mod report;
pub mod servers;
pub mod workloads;
