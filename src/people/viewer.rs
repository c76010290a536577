//! The current user of the page.

use crate::{
    model::{
        UserId,
        user::{Person, PersonalSettings, Role},
    },
    protocol::ws::ServerFrame,
    ui::socket::Socket,
};
use leptos::{either::Either, prelude::*};
use leptos_router::hooks::use_location;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentUser {
    /// As others see them.
    pub person: Person,
    pub has_password: bool,
    pub settings: PersonalSettings,
}

impl CurrentUser {
    pub(super) fn gain_password(&mut self) {
        self.has_password = true;
        if self.person.role == Role::Guest {
            self.person.role = Role::Member;
        }
    }
}

/// The current user, if any; signing in and out load a new document.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(RwSignal<Option<CurrentUser>>);

/// The viewer of the page.
///
/// # Panics
///
/// Outside the app.
#[must_use]
pub fn use_viewer() -> Viewer {
    expect_context()
}

impl Viewer {
    /// Provides the context.
    pub fn provide() -> Self {
        let known = || use_context::<Option<CurrentUser>>().flatten();
        let viewer = Self(RwSignal::new(SharedValue::new(known).into_inner()));
        provide_context(viewer);
        viewer
    }

    /// `None` without a session. Not tracked.
    #[must_use]
    pub fn current_user(&self) -> Option<CurrentUser> {
        self.0.get_untracked()
    }

    /// Tracks what the settings change.
    #[must_use]
    pub fn signal(&self) -> ReadSignal<Option<CurrentUser>> {
        self.0.read_only()
    }

    /// Follows the settings that other pages of the user change. Browser only.
    pub fn subscribe(self, socket: Socket) {
        socket.on_frame(move |frame| {
            if let ServerFrame::Welcome { settings, .. } | ServerFrame::Settings { settings } =
                frame
            {
                let is_known = self
                    .0
                    .with_untracked(|me| me.as_ref().is_none_or(|me| me.settings == *settings));
                if !is_known {
                    self.update(|me| me.settings.clone_from(settings));
                }
            }
        });
    }

    /// Whether the user has blocked somebody. Tracked.
    #[must_use]
    pub fn has_blocked(&self, user: UserId) -> bool {
        self.0
            .with(|me| me.as_ref().is_some_and(|me| me.settings.has_blocked(user)))
    }

    /// Adds or removes a block that the server has stored. Browser only.
    pub(super) fn set_blocked(self, user: UserId, is_blocked: bool) {
        self.update(|me| {
            let blocked = &mut me.settings.blocked;
            match (blocked.binary_search(&user), is_blocked) {
                (Err(place), true) => blocked.insert(place, user),
                (Ok(place), false) => _ = blocked.remove(place),
                (Ok(_), true) | (Err(_), false) => {}
            }
        });
    }

    /// Browser only.
    pub(super) fn update(self, change: impl FnOnce(&mut CurrentUser)) {
        self.0.update(|me| {
            if let Some(me) = me {
                change(me);
            }
        });
    }

    /// The person, if there is a session.
    #[must_use]
    pub fn person(&self) -> Option<Person> {
        self.current_user().map(|me| me.person)
    }
}

/// Shows a sign-in link to visitors without a session.
#[component]
pub fn RequireSession(
    /// What a session is needed for.
    what: &'static str,
    children: impl FnOnce(CurrentUser) -> AnyView,
) -> impl IntoView {
    match use_viewer().current_user() {
        Some(me) => Either::Left(children(me)),
        None => Either::Right(view! { <PickNamePrompt what /> }),
    }
}

#[component]
fn PickNamePrompt(what: &'static str) -> impl IntoView {
    let here = use_location();
    let signin = move || {
        let next = leptos_router::location::Url::escape(&here.pathname.get());
        format!("/signin?next={next}")
    };
    view! {
        <section class="page empty">
            <h1>"Pick a name first"</h1>
            <p>{what} " You do not need an account."</p>
            <p>
                <a class="button primary" href=signin rel="external">
                    "Pick a name"
                </a>
            </p>
        </section>
    }
}
