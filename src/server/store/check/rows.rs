//! Decodes every row by the rules that pages and clients depend on.

use super::{DAMAGE_ADVICE, extend_bounded, one_line};
use crate::{
    model::{
        CallId, GuestLinkId, RoomId, TokenId, UserId,
        finding::Finding,
        message::{Content, RoomEvent},
        room::MembershipEvent,
        story::Story,
        user::CallsFrom,
    },
    server::store::{
        Error, Result, Stream,
        calls::CallColumns,
        group_calls::GroupCallColumns,
        messages::{MessageColumns, decode_message},
        parse,
        rooms::decode_room_kind,
        stories::decode_story,
        users::decode_person,
    },
};
use futures::TryStreamExt;
use sqlx::{AnyConnection, FromRow, any::AnyRow};

const EVENTS_SQL: &str = "SELECT stream, seq, payload FROM events ORDER BY stream, seq";
const MESSAGES_SQL: &str =
    "SELECT messages.id, messages.room_id, messages.seq, messages.at, messages.content,
            users.id, users.name, users.role
     FROM messages JOIN users ON users.id = messages.author_id";
const STORIES_SQL: &str =
    "SELECT id, seq, slug, headline, html, summary, topic, urgency, byline, at FROM stories";

pub(super) async fn check_rows(
    store: &mut AnyConnection,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut table = Table { store, findings };
    table
        .check("Stream", "SELECT name FROM streams", |(name,): (String,)| {
            name.parse::<Stream>().map(|_| ()).map_err(Error::corrupt)
        })
        .await?;
    table
        .check(
            "User",
            "SELECT id, name, role, calls_from FROM users",
            |(id, name, role, calls_from): (String, String, String, String)| {
                parse::<CallsFrom>(&calls_from)?;
                decode_person((id, name, role))
            },
        )
        .await?;
    table
        .check(
            "Room",
            "SELECT id, kind FROM rooms",
            |(id, kind): (String, String)| {
                parse::<RoomId>(&id)?;
                decode_room_kind(&kind)
            },
        )
        .await?;
    table.check("Message", MESSAGES_SQL, check_message).await?;
    table.check("Story", STORIES_SQL, decode_story).await?;
    table.check("Event", EVENTS_SQL, check_event).await?;
    table
        .check("File", "SELECT hash, size FROM files", check_file)
        .await?;
    table
        .check("Call", "SELECT * FROM calls", CallColumns::decode)
        .await?;
    table
        .check(
            "Group call",
            "SELECT * FROM group_calls",
            GroupCallColumns::decode,
        )
        .await?;
    table
        .check(
            "Guest link",
            "SELECT id, call_id FROM guest_links",
            |(id, call): (String, String)| {
                parse::<GuestLinkId>(&id)?;
                parse::<CallId>(&call)
            },
        )
        .await?;
    table
        .check(
            "Call guest",
            "SELECT id FROM call_guests",
            |(id,): (String,)| parse::<UserId>(&id),
        )
        .await?;
    table
        .check("Token", "SELECT id FROM tokens", |(id,): (String,)| {
            parse::<TokenId>(&id)
        })
        .await
}

struct Table<'a> {
    store: &'a mut AnyConnection,
    findings: &'a mut Vec<Finding>,
}

impl Table<'_> {
    async fn check<R, T>(
        &mut self,
        subject: &'static str,
        sql: &'static str,
        decode: impl Fn(R) -> Result<T>,
    ) -> Result<()>
    where
        R: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
    {
        let mut wrong = Vec::new();
        let mut rows = sqlx::query(sql).fetch(&mut *self.store);
        while let Some(row) = rows.try_next().await? {
            let decoded = R::from_row(&row).map_err(Error::from).and_then(&decode);
            if let Err(why) = decoded {
                wrong.push(why.to_string());
            }
        }
        let wrong = wrong
            .into_iter()
            .map(|why| Finding::problem(subject, format!("{}.", one_line(&why)), DAMAGE_ADVICE));
        extend_bounded(self.findings, wrong, subject);
        Ok(())
    }
}

fn check_message(row: MessageColumns) -> Result<()> {
    let message = decode_message(row)?;
    match message.content {
        Content::File { file } if !is_hash(&file.hash) => Err(Error::corrupt(format!(
            "{}: a file without SHA-256",
            message.id
        ))),
        Content::File { .. }
        | Content::Text { .. }
        | Content::Call { .. }
        | Content::GroupCall { .. } => Ok(()),
    }
}

/// The payload matches its stream and sequence.
fn check_event((stream, seq, payload): (String, i64, String)) -> Result<()> {
    let at = |why: &dyn std::fmt::Display| Error::corrupt(format!("{stream} {seq}: {why}"));
    let found: (Stream, i64) = match stream.parse::<Stream>().map_err(|why| at(&why))? {
        Stream::News => {
            let story: Story = serde_json::from_str(&payload).map_err(|why| at(&why))?;
            (Stream::News, story.seq)
        }
        Stream::Room(_) => {
            let event = serde_json::from_str(&payload).map_err(|why| at(&why))?;
            let RoomEvent::Message { message } = event;
            (Stream::Room(message.room), message.seq)
        }
        Stream::Memberships => {
            let _: MembershipEvent = serde_json::from_str(&payload).map_err(|why| at(&why))?;
            (Stream::Memberships, seq)
        }
    };
    if (found.0.to_string(), found.1) == (stream.clone(), seq) {
        Ok(())
    } else {
        Err(at(&format!("its payload is of {} {}", found.0, found.1)))
    }
}

fn check_file((hash, size): (String, i64)) -> Result<()> {
    if is_hash(&hash) && size >= 0 {
        Ok(())
    } else {
        Err(Error::corrupt(format!("{hash:?} with {size} bytes")))
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
