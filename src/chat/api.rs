//! Server functions of chat. Those that change something are plain forms' targets too: they redirect when they are done.

#[cfg(feature = "ssr")]
use super::server as chat;
use crate::{
    model::{MessageId, RoomId, Seq, UserId, message::Message, room::RoomSummary, user::Person},
    protocol::{failure::Failure, ws::PersonPresence},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A page of a room's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHistory {
    /// The room as the reader sees it; `read` is where they had read to before this page.
    pub room: RoomSummary,
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Whether there are messages before the first.
    pub has_older: bool,
    /// Whether this is the newest page, which live messages go on from.
    #[serde(rename = "newest")]
    pub is_newest: bool,
    /// A fresh id for the form that posts without a live page: submitting the same form twice posts once.
    #[serde(rename = "post_id")]
    pub form_message_id: MessageId,
}

/// What stands beside every room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidebar {
    /// Who is looking.
    pub me: Person,
    /// Their rooms.
    pub rooms: Vec<RoomSummary>,
    /// Who is here.
    pub people: Vec<PersonPresence>,
}

/// What stands beside every room, for whoever asks; none without a session.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(name = ReadSidebar, prefix = "/fn", endpoint = "sidebar")]
pub async fn sidebar() -> Result<Option<Sidebar>, Failure> {
    let app = crate::server::session::use_app()?;
    let Some(signed) = crate::server::session::current_user() else {
        return Ok(None);
    };
    Ok(Some(chat::sidebar(&app, signed.person).await?))
}

/// A page of a room's history: the newest, or the one before a sequence.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotFound`] when the room is not theirs to see.
#[server(name = ReadRoom, prefix = "/fn", endpoint = "room")]
pub async fn find_room_history(slug: String, before: Option<Seq>) -> Result<RoomHistory, Failure> {
    let (app, signed) = (
        crate::server::session::use_app()?,
        crate::server::session::require_user()?,
    );
    Ok(chat::find_room_history(&app, &signed.person, &slug, before).await?)
}

/// Posts a message without a live page, then shows the room again.
///
/// # Errors
/// [`Failure`] in words when it cannot be posted.
#[server(prefix = "/fn", endpoint = "post")]
pub async fn post_message(
    id: MessageId,
    room: RoomId,
    slug: String,
    text: String,
) -> Result<(), Failure> {
    let (app, signed) = (
        crate::server::session::use_app()?,
        crate::server::session::require_user()?,
    );
    chat::post_message(&app, &signed.person, id, room, &text).await?;
    leptos_axum::redirect(&format!("/chat/{slug}#latest"));
    Ok(())
}

/// Makes a public room, then shows it.
///
/// # Errors
/// [`Failure::NotAllowed`] for guests and members, [`Failure::Invalid`] when the name breaks a rule or is taken.
#[server(prefix = "/fn", endpoint = "create-room")]
pub async fn create_room(name: String) -> Result<(), Failure> {
    let (app, signed) = (
        crate::server::session::use_app()?,
        crate::server::session::require_user()?,
    );
    let slug = chat::create_room(&app, &signed.person, &name).await?;
    leptos_axum::redirect(&format!("/chat/{slug}"));
    Ok(())
}

/// Opens the direct room with somebody, which is made if it is not there.
///
/// # Errors
/// [`Failure::Invalid`] for oneself, [`Failure::NotFound`] for somebody who does not exist.
#[server(prefix = "/fn", endpoint = "open-direct")]
pub async fn open_direct_room(with: UserId) -> Result<(), Failure> {
    let (app, signed) = (
        crate::server::session::use_app()?,
        crate::server::session::require_user()?,
    );
    let slug = chat::open_direct_room(&app, &signed.person, with).await?;
    leptos_axum::redirect(&format!("/chat/{slug}"));
    Ok(())
}
