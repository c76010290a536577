//! Calls on the server: the registry of open calls, and one task for each of them.
//!
//! [`CallRegistry`] decides what a start becomes: a call, a busy one, the same call again, or the answer to a call in
//! the other direction. A call's task handles commands in order, so no change is published before it is stored, or out
//! of order.
//!
//! | module | contents |
//! |---|---|
//! | `registry` | routes what clients do to the task of their call |
//! | `call_table`, `open_calls` | what the registry and the tasks share |
//! | `commands` | commands to the tasks |
//! | `call_task` | the task of a two-party call |
//! | `group_call_task` | the task of a group call |
//! | [`guests`] | guest links and guests |
//! | [`history`] | past calls of a person |
//! | `join_group_call` | joining group calls, and their part of the registry |
//! | `leader` | the call leader's role, lease and requests |
//! | `outcome_message` | the message about a call's outcome in its room |
//! | `restore_calls` | restoring the open calls from the store |
//! | `signal_budget` | rate limit of relayed signals, and the buffer for early ones |
//! | `start_call` | starting two-party calls |
//! | `stored_call` | calls as the store has them |
//! | `monotonic_clock` | time for deadlines |
//! | `errors` | errors, as frames to a client |
//! | `view` | what each client sees of a call |

mod call_table;
mod call_task;
mod commands;
mod errors;
mod group_call_task;
pub mod guests;
pub mod history;
mod join_group_call;
mod leader;
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
pub use registry::CallRegistry;
