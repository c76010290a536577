//! Calls between two people, and group calls of rooms. This module has the types of the protocol.
//!
//! | module | contents |
//! |---|---|
//! | [`state_machine`] | state machine of a call between two people, driven by the server |
//! | [`group`] | participants of a group call, driven by the server |
//! | [`known_group_calls`] | ongoing group calls, as known to a client |
//! | [`text`] | outcomes and durations as text |

pub mod group;
pub mod known_group_calls;
pub mod state_machine;
pub mod text;
mod types;

pub use state_machine::{Call, Input, Rejection, Request, Timeouts};
pub use text::{duration_text, outcome_text};
pub use types::{
    CallView, ClientAction, IceServer, Media, Outcome, RtcConfig, Seat, Side, SignalingMessage,
    State,
};
