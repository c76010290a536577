//! Commands to the tasks of calls.

use crate::{
    model::{
        CallId, UserId,
        call::{Request, Seat, SignalingMessage},
    },
    server::live::{Connection, Disconnect},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A command to a call's task, sent by connection tasks.
#[derive(Debug)]
pub(super) enum CallCommand {
    /// A request of a client.
    Request {
        from: Arc<Connection>,
        request: Request,
    },
    /// A signaling message for the other side.
    Signal {
        from: Arc<Connection>,
        signal: SignalingMessage,
    },
    /// A participant calls the other one: a repeated start, or a call back. `done` fires once handled, and is dropped
    /// if the call has ended.
    Start {
        from: Arc<Connection>,
        id: CallId,
        done: oneshot::Sender<()>,
    },
    /// A participant leaves for another call. `done` fires after they left.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// The callee's other call has ended.
    NoLongerWaiting,
    /// A participant's client has connected.
    ClientConnected { connection: Arc<Connection> },
    /// A participant's client has disconnected.
    ClientDisconnected {
        connection: Arc<Connection>,
        disconnect: Disconnect,
    },
}

/// A command to a group call's task.
#[derive(Debug)]
pub(super) enum GroupCallCommand {
    /// A client joins.
    Join { from: Arc<Connection>, id: CallId },
    /// A signaling message for the client at a seat.
    Signal {
        from: Arc<Connection>,
        to: Option<Seat>,
        signal: SignalingMessage,
    },
    /// A participant leaves for another call. `done` fires after they left.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// A client leaves.
    HangUp { from: Arc<Connection> },
    /// A client requests the current state, with new ICE credentials.
    Refresh { from: Arc<Connection> },
    /// A participant's client has connected.
    ClientConnected { connection: Arc<Connection> },
    /// A participant's client has disconnected.
    ClientDisconnected {
        connection: Arc<Connection>,
        disconnect: Disconnect,
    },
}
