//! What each client sees of a call, and who receives its changes.

use crate::{
    model::{
        CallId, ClientId, UserId,
        call::{Call, CallView, IceServer, RtcConfig, Side},
        user::Person,
    },
    protocol::ws::ServerFrame,
    server::{error::Result, live::ConnectionRegistry, store::Store},
};

#[derive(Debug, Clone)]
pub(super) struct Parties {
    pub(super) caller: Person,
    pub(super) callee: Person,
}

impl Parties {
    pub(super) async fn find(
        store: &Store,
        caller: UserId,
        callee: UserId,
    ) -> Result<Option<Self>> {
        let (caller, callee) = (
            store.find_user(caller).await?,
            store.find_user(callee).await?,
        );
        Ok(caller
            .zip(callee)
            .map(|(caller, callee)| Self { caller, callee }))
    }

    /// Without ICE servers.
    pub(super) fn view(&self, call: &Call, side: Side, client: ClientId) -> CallView {
        CallView {
            id: call.id,
            room: call.room,
            caller: self.caller.clone(),
            callee: self.callee.clone(),
            side,
            media: call.media,
            state: call.state_for(side, client),
            rtc_config: None,
            ice_servers: None,
            answered_at: call.answered_at,
            merged_call: None,
            is_waiting: false,
            end_reason: call.end_reason,
        }
    }

    /// With ICE servers, to prepare the connection.
    pub(super) fn ringing_view(
        &self,
        call: &Call,
        side: Side,
        page: ClientId,
        ice_servers: Vec<IceServer>,
    ) -> CallView {
        CallView {
            ice_servers: Some(ice_servers),
            ..self.view(call, side, page)
        }
    }

    pub(super) fn holder_view(
        &self,
        call: &Call,
        side: Side,
        page: ClientId,
        ice_servers: Vec<IceServer>,
        merged_call: Option<CallId>,
    ) -> CallView {
        let rtc_config = (!call.state.is_ended()).then_some(RtcConfig { ice_servers });
        let instead_of = merged_call.filter(|_| side == Side::Callee);
        CallView {
            rtc_config,
            merged_call: instead_of,
            ..self.view(call, side, page)
        }
    }
}

/// The caller's client; and the answering one, or all of the callee's before the answer. A busy callee's receive
/// nothing.
pub(super) fn recipients(
    live: &ConnectionRegistry,
    before: Option<&Call>,
    after: &Call,
) -> Vec<(Side, ClientId)> {
    let mut recipients = vec![(Side::Caller, after.caller_client)];
    match before.map_or(after.callee_client, |before| before.callee_client) {
        Some(holder) => recipients.push((Side::Callee, holder)),
        None if before.is_none() && after.state.is_ended() => {}
        None => recipients.extend(
            live.clients_of_user(after.callee)
                .into_iter()
                .map(|page| (Side::Callee, page)),
        ),
    }
    recipients
}

pub(super) fn call_frame(call: CallView) -> ServerFrame {
    ServerFrame::Call { call }
}
