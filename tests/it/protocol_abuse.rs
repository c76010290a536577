//! Whatever a client says, it is answered as documented, and nobody else notices.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frames`] | what is no frame, or not one that may come now |
//! | [`others`] | what belongs to somebody else |
//! | [`pace`] | too much, too fast, or nothing at all |

mod frames;
mod others;
mod pace;

use crate::support::{Page, Person, Server, call_id};
use rialto::{
    model::{
        MessageId, RoomId,
        call::{Action, Media},
    },
    protocol::ws::{ClientFrame, ServerFrame},
};

/// Two who talk, and a third who misbehaves.
struct Scene {
    server: Server,
    ada: Page,
    grace: Page,
    mallory: Person,
    said: u32,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start().await;
        let (ada, grace) = (
            Person::join(&server, "Ada").await,
            Person::join(&server, "Grace").await,
        );
        let (ada, grace) = (ada.page().await, grace.page().await);
        let mallory = Person::join(&server, "Mallory").await;
        Self {
            server,
            ada,
            grace,
            mallory,
            said: 0,
        }
    }

    fn general(&self) -> RoomId {
        self.ada.general()
    }

    /// The others still talk to one another.
    async fn others_go_on(&mut self) {
        self.said += 1;
        let (room, text) = (self.general(), format!("still here, {}", self.said));
        self.ada.say(room, &text).await;
        self.grace.hears(&text).await;
    }

    /// The direct room of the two others, which Mallory has no part in, with a message in it.
    async fn private_room(&mut self) -> RoomId {
        // Whoever calls somebody has a direct room with them.
        let call = call_id();
        let start = Action::Start {
            to: self.grace.me().id,
            media: Media::Voice,
        };
        self.ada
            .send(&ClientFrame::Call {
                call,
                action: start,
            })
            .await;
        let room = self
            .ada
            .until(|frame| match frame {
                ServerFrame::Call { call: view } if view.id == call => Some(view.room),
                _ => None,
            })
            .await;
        self.ada
            .send(&ClientFrame::Call {
                call,
                action: Action::HangUp,
            })
            .await;
        self.ada.say(room, "just between us").await;
        room
    }
}

async fn ready(page: &mut Page, wanted: MessageId) -> u64 {
    page.until(|frame| match frame {
        ServerFrame::UploadReady { id, offset } if *id == wanted => Some(*offset),
        _ => None,
    })
    .await
}
