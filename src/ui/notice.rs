//! Notices: one or two sentences placed where the reader is looking.

use super::icon::{Glyph, Icon};
use leptos::prelude::*;

/// Severity of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoticeKind {
    /// Neutral information.
    #[default]
    Info,
    /// Success.
    Ok,
    /// A warning; nothing is lost.
    Warn,
    /// A failure, announced at once by screen readers.
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

/// A notice. Errors are announced by their role; put other kinds into a live region to have them announced.
#[component]
pub fn Notice(
    /// Severity; [`NoticeKind::Info`] if omitted.
    #[prop(optional)]
    kind: NoticeKind,
    /// What happened, and what to do next.
    children: Children,
) -> impl IntoView {
    view! {
        <div class=kind.class() role=kind.role()>
            <Icon name=kind.glyph() />
            <div class="notice-body">{children()}</div>
        </div>
    }
}
