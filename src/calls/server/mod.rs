//! Calls on the server: the registry of open calls, and one task for each.
//!
//! [`CallRegistry`] decides what a start becomes; a call's task handles commands in order, and publishes no change
//! before it is stored.

mod call_table;
mod call_task;
mod commands;
mod errors;
mod group_call_task;
pub mod guests;
pub mod history;
mod join_group_call;
mod leader;
mod leader_term;
mod monotonic_clock;
mod open_calls;
mod outcome_message;
mod registry;
mod restore_calls;
mod signal_budget;
mod start_call;
mod stored_call;
mod view;

#[cfg(test)]
mod tests;

pub use leader::{CALL_LEADER, CALL_LEADER_LEASE, CallRequest};
pub use leader_term::LeaderTerm;
pub use registry::CallRegistry;
