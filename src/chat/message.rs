//! Components that show one message.

use super::{client::use_chat, person_menu::PersonMenu, room_list::CallButtons};
use crate::{
    model::{
        UserId,
        call::{Side, duration_text, group::display_name, outcome_text},
        limits::format_bytes,
        message::{Attachment, Content, ImageSize, Message},
        outbox::{Delivery, OutboxEntry},
        text_links::{TextSpan, split_links},
        user::Person,
    },
    ui::{
        avatar::Avatar,
        icon::{Glyph, Icon},
        role_mark::RoleMark,
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{
    either::{Either, EitherOf3},
    prelude::*,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A committed message.
#[component]
pub fn MessageView(
    message: Message,
    me: UserId,
    /// Shortly after the same author's message.
    is_continuation: bool,
    /// Of a direct room.
    other_person: Option<Person>,
) -> impl IntoView {
    let Message {
        seq,
        author,
        at,
        content,
        ..
    } = message;
    let id = format!("m-{seq}");
    if let Content::Call { .. } = content {
        return view! { <CallOutcome id content at me other_person /> }.into_any();
    }
    if let Content::GroupCall {
        lasted,
        people,
        guests,
        ..
    } = content
    {
        let people = display_names(&people, &guests).join(", ");
        return view! { <GroupCallOver id lasted people at /> }.into_any();
    }
    let is_mine = author.id == me;
    let body = match content {
        Content::Text { text } => view! { <LinkifiedText text=text.into() /> }.into_any(),
        Content::File { file } => view! { <FileView file /> }.into_any(),
        Content::Call { .. } | Content::GroupCall { .. } => ().into_any(),
    };
    view! {
        <article class="message" class:grouped=is_continuation class:mine=is_mine id=id>
            {(!is_continuation)
                .then(|| {
                    view! {
                        <Avatar person=author.clone() />
                        <header class="message-head">
                            <PersonMenu person=author.clone() me />
                            <RoleMark role=author.role />
                            <span class="message-time">
                                <LocalTime at style=TimeStyle::Time />
                            </span>
                        </header>
                    }
                })}
            {is_continuation
                .then(|| {
                    view! {
                        <span class="message-time">
                            <span class="visually-hidden">{author.name.to_string()} ", "</span>
                            <LocalTime at style=TimeStyle::Time />
                        </span>
                    }
                })}
            <div class="message-body">{body}</div>
        </article>
    }
    .into_any()
}

#[component]
fn LinkifiedText(text: String) -> impl IntoView {
    let parts = split_links(&text)
        .into_iter()
        .map(|span| match span {
            TextSpan::Plain(text) => Either::Left(text),
            TextSpan::Link(address) => {
                let text = address.clone();
                Either::Right(view! {
                    <a href=address target="_blank" rel="noopener noreferrer nofollow">
                        {text}
                    </a>
                })
            }
        })
        .collect_view();
    view! {
        <p class="message-text" dir="auto">
            {parts}
        </p>
    }
}

/// In CSS pixels; the style sheet has the same values.
const MAX_IMAGE_SIZE: ImageSize = ImageSize {
    width: 480,
    height: 360,
};

#[component]
fn FileView(file: Attachment) -> impl IntoView {
    let address = format!(
        "/files/{}/{}",
        file.hash,
        utf8_percent_encode(&file.name, NON_ALPHANUMERIC)
    );
    let source = address.clone();
    match file.image {
        Some(size) => Either::Left({
            let size = size.fitted(MAX_IMAGE_SIZE);
            view! {
                <a class="message-image" href=address target="_blank" rel="external">
                    <img
                        src=source
                        alt=file.name
                        width=size.width.to_string()
                        height=size.height.to_string()
                        loading="lazy"
                        decoding="async"
                    />
                </a>
            }
        }),
        None => Either::Right(view! {
            <a class="message-file" href=address download rel="external">
                <Icon name=Glyph::File />
                <span class="file-name" dir="auto">
                    {file.name}
                </span>
                <span class="quiet-text small-text">{format_bytes(file.size)}</span>
                <Icon name=Glyph::Download />
            </a>
        }),
    }
}

#[component]
fn CallOutcome(
    id: String,
    content: Content,
    at: i64,
    me: UserId,
    other_person: Option<Person>,
) -> impl IntoView {
    let Content::Call {
        caller,
        media,
        outcome,
        lasted,
        ..
    } = content
    else {
        return ().into_any();
    };
    let side = if caller == me {
        Side::Caller
    } else {
        Side::Callee
    };
    let text = outcome_text(outcome, side, media, lasted);
    view! {
        <article class="message message-call" id=id>
            <Icon name=Glyph::Calls />
            <p>{text}</p>
            <span class="message-time">
                <LocalTime at style=TimeStyle::Time />
            </span>
            {other_person
                .map(|person| {
                    view! {
                        <span class="call-back">
                            <span class="small-text quiet-text">"Call back"</span>
                            <CallButtons person />
                        </span>
                    }
                })}
        </article>
    }
    .into_any()
}

#[component]
fn GroupCallOver(id: String, lasted: i64, people: String, at: i64) -> impl IntoView {
    let text = format!("Call, {}: {people}", duration_text(lasted));
    view! {
        <article class="message message-call" id=id>
            <Icon name=Glyph::Calls />
            <p dir="auto">{text}</p>
            <span class="message-time">
                <LocalTime at style=TimeStyle::Time />
            </span>
        </article>
    }
}

fn display_names(people: &[String], guests: &[usize]) -> Vec<String> {
    let people = people.iter().enumerate();
    people
        .map(|(position, name)| display_name(name, guests.contains(&position)))
        .collect()
}

/// An unacknowledged message, laid out as an acknowledged one.
#[component]
pub fn PendingMessageView(
    entry: OutboxEntry,
    author: Person,
    is_continuation: bool,
) -> impl IntoView {
    let chat = use_chat();
    let OutboxEntry {
        id,
        text,
        at,
        delivery,
        ..
    } = entry;
    let discard = move || {
        view! {
            <button type="button" class="button small quiet" on:click=move |_| chat.discard(id)>
                "Discard"
            </button>
        }
    };
    let (state, status) = match delivery {
        Delivery::Pending => (
            "pending",
            EitherOf3::A(view! {
                <p class="message-status">
                    <span class="spinner" aria-hidden="true"></span>
                    "Sending…"
                </p>
            }),
        ),
        Delivery::Delayed => (
            "delayed",
            EitherOf3::B(view! {
                <div class="message-status" role="status">
                    <span class="spinner" aria-hidden="true"></span>
                    <p>"Not sent yet. The server cannot take messages right now; Rialto keeps trying."</p>
                    {discard()}
                </div>
            }),
        ),
        Delivery::Failed { reason } => (
            "failed",
            EitherOf3::C(view! {
                <div class="message-status" role="alert">
                    <p>"Not sent. " {reason}</p>
                    <button type="button" class="button small" on:click=move |_| chat.retry(id)>
                        "Retry"
                    </button>
                    {discard()}
                </div>
            }),
        ),
    };
    let name = author.name.to_string();
    view! {
        <article class=format!("message mine {state}") class:grouped=is_continuation>
            {(!is_continuation)
                .then(|| {
                    view! {
                        <Avatar person=author />
                        <header class="message-head">
                            <span class="message-author" dir="auto">
                                {name}
                            </span>
                            <span class="message-time">
                                <LocalTime at style=TimeStyle::Time />
                            </span>
                        </header>
                    }
                })}
            <div class="message-body">
                <LinkifiedText text=text.into() />
                {status}
            </div>
        </article>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_of_a_former_call_are_marked_also_in_data_of_earlier_versions() {
        let shown = |data: &str| {
            let content = format!(
                r#"{{"kind":"group_call","call":"01990a3e-3000-7000-8000-000000000003","lasted":1,{data}}}"#
            );
            match serde_json::from_str(&content).unwrap() {
                Content::GroupCall { people, guests, .. } => display_names(&people, &guests),
                other => panic!("{other:?}"),
            }
        };
        let marked = ["Ada", "Bob (guest)"];
        assert_eq!(shown(r#""people":["Ada","Bob"],"guests":[1]"#), marked);
        assert_eq!(shown(r#""people":["Ada","Bob (guest)"]"#), marked);
    }
}
