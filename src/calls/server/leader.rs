//! The call leader: its role, its lease, and the requests to it.

use crate::{
    model::{CallId, ClientId, call::ClientAction, user::Person},
    server::{
        bus::{LeaderRole, NodeId},
        store::LeaseName,
    },
};
use serde::{Deserialize, Serialize};

/// The role of the call leader on the bus.
pub const CALL_LEADER: LeaderRole = LeaderRole("desk");

/// The lease that the call leader holds.
pub const CALL_LEADER_LEASE: LeaseName = LeaseName {
    name: "calls",
    key: 0x5249_414c_544f,
};

/// A client's request about a call, forwarded to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The node that the client is connected to.
    pub from: NodeId,
    /// Id of the client.
    pub client: ClientId,
    /// User or guest of the client.
    pub person: Person,
    /// The only call that a guest's client may join; none for a user.
    #[serde(default)]
    pub guest_of: Option<CallId>,
    /// Id of the call.
    pub call: CallId,
    /// The action.
    pub action: ClientAction,
}
