//! Notices: a sentence or two that the reader should not miss, where they are reading.

use super::icon::{Glyph, Icon};
use leptos::prelude::*;

/// What kind of news a notice brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoticeKind {
    /// Good to know.
    #[default]
    Info,
    /// It went well.
    Ok,
    /// Something to mind; nothing is lost.
    Warn,
    /// It did not work. Read out at once.
    Error,
}

impl NoticeKind {
    fn class(self) -> &'static str {
        match self {
            Self::Info => "notice",
            Self::Ok => "notice ok",
            Self::Warn => "notice warn",
            Self::Error => "notice error",
        }
    }

    fn glyph(self) -> Glyph {
        match self {
            Self::Info => Glyph::Info,
            Self::Ok => Glyph::Ok,
            Self::Warn | Self::Error => Glyph::Warn,
        }
    }

    fn role(self) -> Option<&'static str> {
        match self {
            Self::Info | Self::Ok | Self::Warn => None,
            Self::Error => Some("alert"),
        }
    }
}

/// A notice. Errors announce themselves; to announce another kind, put it into a region that is live.
#[component]
pub fn Notice(
    /// What kind of news.
    #[prop(optional)]
    kind: NoticeKind,
    /// What to say, and what to do now.
    children: Children,
) -> impl IntoView {
    view! {
        <div class=kind.class() role=kind.role()>
            <Icon name=kind.glyph() />
            <div class="notice-body">{children()}</div>
        </div>
    }
}
