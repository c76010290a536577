//! Calls between two people, and group calls of rooms.

pub mod group;
pub mod known_group_calls;
pub mod state_machine;
pub mod text;
mod types;

pub use state_machine::{Call, Input, Rejection, Request, Timeouts};
pub use text::{duration_text, outcome_text};
pub use types::{
    CallView, ClientAction, EndReason, IceServer, Media, Outcome, RtcConfig, Seat, Side,
    SignalingMessage, State,
};
