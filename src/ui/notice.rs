//! Notices of one or two sentences.

use super::icon::{Glyph, Icon};
use leptos::prelude::*;

/// Severity of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NoticeKind {
    #[default]
    Info,
    Ok,
    /// Nothing is lost.
    Warn,
    /// Announced at once.
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

/// A notice; only an error is announced outside a live region.
#[component]
pub fn Notice(
    #[prop(optional)] kind: NoticeKind,
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
