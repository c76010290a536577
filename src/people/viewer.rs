//! The current user of the page.

use crate::model::user::{Person, Role};
use leptos::{either::Either, prelude::*};
use leptos_router::hooks::use_location;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentUser {
    /// The user as others see them.
    pub person: Person,
    /// Whether the user has a password and so can sign in again.
    pub has_password: bool,
}

impl CurrentUser {
    /// Having set a password makes a guest a member.
    pub(super) fn gain_password(&mut self) {
        self.has_password = true;
        if self.person.role == Role::Guest {
            self.person.role = Role::Member;
        }
    }
}

/// The current user of the page, if any. Provided once, by the app. Who it is never changes while the page is open, because
/// signing in and out load a new document. It is part of the rendered page, so no request is needed.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(RwSignal<Option<CurrentUser>>);

/// Returns the viewer of the page.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_viewer() -> Viewer {
    expect_context()
}

impl Viewer {
    /// Provides the viewer to the whole app.
    pub fn provide() -> Self {
        let known = || use_context::<Option<CurrentUser>>().flatten();
        let viewer = Self(RwSignal::new(SharedValue::new(known).into_inner()));
        provide_context(viewer);
        viewer
    }

    /// The current user as of now; `None` without a session.
    #[must_use]
    pub fn current_user(&self) -> Option<CurrentUser> {
        self.0.get_untracked()
    }

    /// The current user, for views that show what the settings change.
    #[must_use]
    pub fn signal(&self) -> ReadSignal<Option<CurrentUser>> {
        self.0.read_only()
    }

    /// Applies a change in the settings. Browser only.
    pub(super) fn update(self, change: impl FnOnce(&mut CurrentUser)) {
        self.0.update(|me| {
            if let Some(me) = me {
                change(me);
            }
        });
    }

    /// The current user as others see them; `None` without a session.
    #[must_use]
    pub fn person(&self) -> Option<Person> {
        self.current_user().map(|me| me.person)
    }
}

/// Shows its children to a user with a session, and a link to the sign-in page to everyone else.
#[component]
pub fn RequireSession(
    /// A sentence for visitors without a session: what they need one for.
    what: &'static str,
    /// Renders the content for the current user.
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
