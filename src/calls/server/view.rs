//! What each page sees of a call, and who is told when it changes.

use crate::{
    model::{
        CallId, ClientId, UserId,
        call::{Call, CallView, IceServer, Leg, Side},
        user::Person,
    },
    protocol::ws::ServerFrame,
    server::{error::Result, live::Live, store::Store},
};

/// The two people of a call.
#[derive(Debug, Clone)]
pub(super) struct Two {
    pub(super) caller: Person,
    pub(super) callee: Person,
}

impl Two {
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

    /// The call as a page of one side sees it, without what only a page that holds the side, or may come to, is given.
    pub(super) fn view(&self, call: &Call, side: Side, page: ClientId) -> CallView {
        CallView {
            id: call.id,
            room: call.room,
            caller: self.caller.clone(),
            callee: self.callee.clone(),
            side,
            media: call.media,
            state: call.seen_by(side, page),
            leg: None,
            ice_servers: None,
            answered_at: call.answered_at,
            instead_of: None,
            waiting: false,
        }
    }

    /// The call as a page sees it on which somebody may answer.
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

    /// The call as the page that holds a side sees it.
    pub(super) fn holder_view(
        &self,
        call: &Call,
        side: Side,
        page: ClientId,
        ice_servers: Vec<IceServer>,
        merged: Option<CallId>,
    ) -> CallView {
        let leg = (!call.state.is_ended()).then_some(Leg { ice_servers });
        let instead_of = merged.filter(|_| side == Side::Callee);
        CallView {
            leg,
            instead_of,
            ..self.view(call, side, page)
        }
    }
}

/// Which pages are told of a change: the page that holds the caller's side; of the callee every page as long as nobody had
/// answered, from then on the one that did. A person's other pages are left in peace, and so is a callee who was busy.
pub(super) fn audience(live: &Live, before: Option<&Call>, after: &Call) -> Vec<(Side, ClientId)> {
    let mut pages = vec![(Side::Caller, after.caller_page)];
    match before.map_or(after.callee_page, |before| before.callee_page) {
        Some(holder) => pages.push((Side::Callee, holder)),
        None if before.is_none() && after.state.is_ended() => {}
        None => pages.extend(
            live.pages_of(after.callee)
                .into_iter()
                .map(|page| (Side::Callee, page)),
        ),
    }
    pages
}

/// A frame that shows a call.
pub(super) fn frame(call: CallView) -> ServerFrame {
    ServerFrame::Call { call }
}
