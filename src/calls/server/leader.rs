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

/// The leader's role on the bus.
pub const CALL_LEADER: LeaderRole = LeaderRole("desk");

/// The leader's lease.
pub const CALL_LEADER_LEASE: LeaseName = LeaseName {
    name: "calls",
    key: 0x5249_414c_544f,
};

/// A client's request, forwarded to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The node of the client.
    pub from: NodeId,
    pub client: ClientId,
    /// User or guest.
    pub person: Person,
    /// The only call that a guest may join.
    #[serde(default)]
    pub guest_of: Option<CallId>,
    /// What a refusal repeats.
    #[serde(default)]
    pub subject: Option<Box<FrameSubject>>,
    pub call: CallId,
    pub action: ClientAction,
}
