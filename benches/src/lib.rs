//! Measures Rialto's live connections and compares them with other servers; see the README.

pub mod clock;
pub mod load;
pub mod options;
pub mod proc;
pub mod report;
pub mod servers;
pub mod workloads;
