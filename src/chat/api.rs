//! Server functions of chat. A plain form is redirected when done.

pub(super) mod types;

pub use types::{RoomHistory, Sidebar};

#[cfg(feature = "ssr")]
use super::server as chat;
#[cfg(feature = "ssr")]
use crate::server::{
    plain_form::redirect_plain_form,
    session::{current_user, signed_in, use_app},
};
use crate::{
    model::{MessageId, RoomId, Seq, UserId},
    protocol::failure::Failure,
};
use leptos::prelude::*;
use server_fn::codec::GetUrl;

/// The sidebar of the current user; `None` without a session.
///
/// # Errors
///
/// [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "sidebar", input = GetUrl)]
pub async fn find_sidebar() -> Result<Option<Sidebar>, Failure> {
    let app = use_app()?;
    let Some(signed) = current_user() else {
        return Ok(None);
    };
    Ok(Some(chat::sidebar(&app, signed.person).await?))
}

/// A page of a room's history: the newest, or the one before a sequence.
///
/// `mark_read` marks the newest page as read, and is why this is a `POST`. Only a rendered page asks for it: an open page sends its cursor.
///
/// # Errors
///
/// [`Failure::NotSignedIn`], or [`Failure::NotFound`] when the room is not visible.
#[server(endpoint = "room")]
pub async fn find_room_history(
    slug: String,
    before: Option<Seq>,
    #[server(default)] mark_read: bool,
) -> Result<RoomHistory, Failure> {
    let (app, signed) = signed_in()?;
    Ok(chat::find_room_history(&app, &signed.person, &slug, before, mark_read).await?)
}

/// [`find_room_history`] without side effects, for programs.
///
/// # Errors
///
/// [`Failure::NotSignedIn`], or [`Failure::NotFound`] when the room is not visible.
#[server(endpoint = "history", input = GetUrl)]
pub async fn read_room_history(slug: String, before: Option<Seq>) -> Result<RoomHistory, Failure> {
    let (app, signed) = signed_in()?;
    Ok(chat::find_room_history(&app, &signed.person, &slug, before, false).await?)
}

/// Posts a message from a plain HTML form.
///
/// # Errors
///
/// [`Failure::Invalid`], [`Failure::RateLimited`], or [`Failure::NotFound`] for non-members.
#[server(endpoint = "post")]
pub async fn post_message(
    id: MessageId,
    room: RoomId,
    slug: String,
    text: String,
) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    chat::post_message(&app, &signed.person, id, room, &text).await?;
    redirect_plain_form(&format!("/chat/{slug}#latest"));
    Ok(())
}

/// Creates a public room. Returns its slug if `wants_slug`.
///
/// # Errors
///
/// [`Failure::NotAllowed`] for guests and members, [`Failure::Invalid`] for an invalid or taken name.
#[server(endpoint = "create-room")]
pub async fn create_room(
    name: String,
    #[server(default)] wants_slug: bool,
) -> Result<Option<String>, Failure> {
    let (app, signed) = signed_in()?;
    let slug = chat::create_room(&app, &signed.person, &name).await?;
    Ok(answer_slug(slug, wants_slug))
}

/// Opens or creates the direct room with another user. Returns its slug if `wants_slug`.
///
/// # Errors
///
/// [`Failure::Invalid`] for the user's own id, [`Failure::NotFound`] for an unknown one.
#[server(endpoint = "open-direct")]
pub async fn open_direct_room(
    with: UserId,
    #[server(default)] wants_slug: bool,
) -> Result<Option<String>, Failure> {
    let (app, signed) = signed_in()?;
    let slug = chat::open_direct_room(&app, &signed.person, with).await?;
    Ok(answer_slug(slug, wants_slug))
}

/// Hides a direct room until something is written in it.
///
/// # Errors
///
/// [`Failure::NotFound`] for other rooms.
#[server(endpoint = "hide-room")]
pub async fn hide_room(room: RoomId) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    chat::hide_room(&app, &signed.person, room).await?;
    redirect_plain_form("/chat");
    Ok(())
}

/// A page of an older build expects `null` and follows a redirect.
#[cfg(feature = "ssr")]
fn answer_slug(slug: String, wants_slug: bool) -> Option<String> {
    let path = format!("/chat/{slug}");
    if wants_slug {
        redirect_plain_form(&path);
        Some(slug)
    } else {
        leptos_axum::redirect(&path);
        None
    }
}
