//! Misuse of the WebSocket protocol is answered as documented and does not affect others.

mod authorization;
mod invalid_frames;
mod limits_and_timeouts;

use crate::support::{Browser, Server, WsClient, call_id};
use rialto::{
    model::{
        MessageId, RoomId,
        call::{ClientAction, Media},
    },
    protocol::ws::{ClientFrame, ServerFrame},
};

/// Two users who chat, and a third who misuses the protocol.
struct AbuseFixture {
    server: Server,
    ada: WsClient,
    grace: WsClient,
    mallory: Browser,
    sent_count: u32,
}

impl AbuseFixture {
    async fn new() -> Self {
        let server = Server::start().await;
        let (ada, grace) = (
            Browser::join(&server, "Ada").await,
            Browser::join(&server, "Grace").await,
        );
        let (ada, grace) = (ada.connect().await, grace.connect().await);
        let mallory = Browser::join(&server, "Mallory").await;
        Self {
            server,
            ada,
            grace,
            mallory,
            sent_count: 0,
        }
    }

    fn general(&self) -> RoomId {
        self.ada.general()
    }

    /// The two others can still exchange messages.
    async fn assert_others_unaffected(&mut self) {
        self.sent_count += 1;
        let (room, text) = (self.general(), format!("still here, {}", self.sent_count));
        self.ada.send_message(room, &text).await;
        self.grace.wait_for_text(&text).await;
    }

    /// Of the two others, with a message in it.
    async fn create_private_room(&mut self) -> RoomId {
        // A call creates the direct room.
        let call = call_id();
        let start = ClientAction::Start {
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
            .wait_for(|frame| match frame {
                ServerFrame::Call { call: view } if view.id == call => Some(view.room),
                _ => None,
            })
            .await;
        self.ada
            .send(&ClientFrame::Call {
                call,
                action: ClientAction::HangUp,
            })
            .await;
        self.ada.send_message(room, "just between us").await;
        room
    }
}

async fn wait_for_upload_ready(ws: &mut WsClient, wanted: MessageId) -> u64 {
    ws.wait_for(|frame| match frame {
        ServerFrame::UploadReady { id, offset } if *id == wanted => Some(*offset),
        _ => None,
    })
    .await
}
