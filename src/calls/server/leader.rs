//! The call leader: role, lease and requests.

use crate::{
    model::{CallId, ClientId, call::ClientAction, user::Person},
    server::{
        bus::{LeaderRole, NodeId},
        live::FrameSubject,
        store::LeaseName,
    },
};
use serde::{Deserialize, Serialize};

/// Role of the call leader on the bus.
pub const CALL_LEADER: LeaderRole = LeaderRole("desk");

/// Lease of the call leader.
pub const CALL_LEADER_LEASE: LeaseName = LeaseName {
    name: "calls",
    key: 0x5249_414c_544f,
};

/// A client's request about a call, forwarded to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The node of the client.
    pub from: NodeId,
    /// Id of the client.
    pub client: ClientId,
    /// User or guest of the client.
    pub person: Person,
    /// The only call that a guest may join; `None` for a user.
    #[serde(default)]
    pub guest_of: Option<CallId>,
    /// What a refusal repeats.
    #[serde(default)]
    pub subject: Option<Box<FrameSubject>>,
    /// Id of the call.
    pub call: CallId,
    /// The action.
    pub action: ClientAction,
}
