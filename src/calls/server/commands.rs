//! Commands to the tasks of calls.

use crate::{
    model::{
        CallId, UserId,
        call::{Request, Seat, SignalingMessage},
    },
    server::{
        live::{Connection, Disconnect},
        task,
    },
};
use std::sync::Arc;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

/// Sent by connection tasks and other call tasks.
#[derive(Debug)]
pub(super) enum CallCommand {
    Request {
        from: Arc<Connection>,
        request: Request,
    },
    Signal {
        from: Arc<Connection>,
        signal: SignalingMessage,
    },
    /// A repeated start, or a call back. `done` fires once handled, and is dropped if the call has ended.
    Start {
        from: Arc<Connection>,
        id: CallId,
        done: oneshot::Sender<()>,
    },
    /// A participant leaves for another call; `done` fires afterwards.
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// The callee's other call has ended, or one has begun.
    WaitingChanged,
    /// [`crate::model::call::Input::Displaced`].
    Displaced,
    /// A client connected.
    ClientConnected { connection: Arc<Connection> },
    ClientDisconnected {
        connection: Arc<Connection>,
        disconnect: Disconnect,
    },
}

#[derive(Debug)]
pub(super) enum GroupCallCommand {
    /// A client joins.
    Join { from: Arc<Connection>, id: CallId },
    Signal {
        from: Arc<Connection>,
        to: Option<Seat>,
        signal: SignalingMessage,
    },
    /// As [`CallCommand::Leave`].
    Leave {
        user: UserId,
        done: oneshot::Sender<()>,
    },
    /// A client leaves.
    HangUp { from: Arc<Connection> },
    /// A client requests the state, with new ICE credentials.
    Refresh { from: Arc<Connection> },
    /// A client connected.
    ClientConnected { connection: Arc<Connection> },
    ClientDisconnected {
        connection: Arc<Connection>,
        disconnect: Disconnect,
    },
}

/// Never waits. Commands that find the queue full may overtake one another. An ended call needs no command.
pub(super) fn deliver<T: Send + 'static>(command_tx: &mpsc::Sender<T>, command: T) {
    if let Err(TrySendError::Full(command)) = command_tx.try_send(command) {
        let command_tx = command_tx.clone();
        task::spawn(async move { drop(command_tx.send(command).await) });
    }
}
