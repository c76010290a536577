//! One page's connection, as the rest of the server sees it.

use super::outlet::{Outlet, Piece};
use crate::{
    model::{CallId, ClientId, Millis, user::Person},
    protocol::{close::CloseCode, ws::ServerFrame},
    server::{
        bus::{Bus, Message, NodeId, Order},
        clock,
    },
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

/// One page's connection, to this node or to another.
#[derive(Debug)]
pub struct Connection {
    /// Which page.
    pub client: ClientId,
    /// Whose.
    pub person: Person,
    /// The one call that it may be in, and nothing else of the site, for a page of a guest to that call.
    pub guest_of: Option<CallId>,
    way: Way,
    visible: AtomicBool,
}

/// In which way a page is not connected any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gone {
    /// It may come back: its connection was lost.
    #[default]
    ForNow,
    /// It was closed, it crashed, or its browser went to another address.
    ForGood,
}

/// How a page is reached.
#[derive(Debug)]
enum Way {
    Here(Here),
    There(NodeId, Bus),
}

/// What only the node knows that a page is connected to.
#[derive(Debug)]
struct Here {
    /// The hash of the session's token: a session that ends closes its connections.
    session: String,
    /// Where what it is told goes. Pushed to by anybody.
    outlet: Arc<Outlet>,
    /// When something was last heard from it.
    heard: AtomicI64,
}

impl Connection {
    /// A connection to this node that has said hello.
    #[must_use]
    pub fn new(
        client: ClientId,
        person: Person,
        session: String,
        visible: bool,
        outlet: Arc<Outlet>,
    ) -> Self {
        let way = Way::Here(Here {
            session,
            outlet,
            heard: AtomicI64::new(clock::now()),
        });
        Self {
            client,
            person,
            guest_of: None,
            way,
            visible: AtomicBool::new(visible),
        }
    }

    /// A connection to another node, which is told what the page is to be told.
    #[must_use]
    pub fn elsewhere(
        client: ClientId,
        person: Person,
        visible: bool,
        node: NodeId,
        bus: Bus,
    ) -> Self {
        Self {
            client,
            person,
            guest_of: None,
            way: Way::There(node, bus),
            visible: AtomicBool::new(visible),
        }
    }

    /// The same, of a guest to one call; of somebody with a session where there is none.
    #[must_use]
    pub fn as_guest_of(self, call: Option<CallId>) -> Self {
        Self {
            guest_of: call,
            ..self
        }
    }

    /// Queues a frame for this page alone.
    pub fn send(&self, frame: &ServerFrame) {
        match &self.way {
            Way::Here(here) => here.outlet.push(frame.into()),
            Way::There(node, bus) => {
                let order = Order::ToPage {
                    client: self.client,
                    frame: Box::new(frame.clone()),
                };
                bus.tell(*node, Message::Order { order });
            }
        }
    }

    /// Queues what was encoded, if the page is connected to this node.
    pub(super) fn push(&self, piece: &Piece) {
        if let Way::Here(here) = &self.way {
            here.outlet.push(piece.clone());
        }
    }

    /// Ends the connection, if it is one to this node.
    pub fn end(&self, why: CloseCode) {
        if let Way::Here(here) = &self.way {
            here.outlet.end(why);
        }
    }

    /// The node it is connected to, if that is another.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match &self.way {
            Way::Here(_) => None,
            Way::There(node, _) => Some(*node),
        }
    }

    /// How many bytes wait for it, if it is a connection to this node.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.way {
            Way::Here(here) => here.outlet.waiting(),
            Way::There(..) => 0,
        }
    }

    /// Whether it is a connection of this session to this node.
    pub(super) fn is_of(&self, session: &str) -> bool {
        matches!(&self.way, Way::Here(here) if here.session == session)
    }

    /// The hash of the token of its session, for a connection to this node.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match &self.way {
            Way::Here(here) => Some(&here.session),
            Way::There(..) => None,
        }
    }

    /// Something was heard from it just now.
    pub fn heard(&self) {
        if let Way::Here(here) = &self.way {
            here.heard.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Whether nothing was heard from it since a moment. Only the node it is connected to knows.
    pub(super) fn is_silent(&self, since: Millis) -> bool {
        matches!(&self.way, Way::Here(here) if here.heard.load(Ordering::Relaxed) < since)
    }

    /// Whether it can be seen.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.visible.load(Ordering::Relaxed)
    }

    pub(super) fn set_visible(&self, visible: bool) {
        self.visible.store(visible, Ordering::Relaxed);
    }

    /// Where what it is told goes, for tests of what that is.
    #[cfg(test)]
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        match &self.way {
            Way::Here(here) => &here.outlet,
            Way::There(..) => panic!("a page of another node"),
        }
    }
}
