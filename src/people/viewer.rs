//! Who this page belongs to.

use crate::model::user::Person;
use leptos::{either::Either, prelude::*};
use leptos_router::hooks::use_location;
use serde::{Deserialize, Serialize};

/// What a page knows of its own user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentUser {
    /// What others see.
    pub person: Person,
    /// Whether there is a password, so that signing in again is possible.
    pub has_password: bool,
}

/// Who this page belongs to. Provided once, by the app. Signing in and out load the page anew, so it never changes while the
/// page is open: the server knows it before it renders, and the page carries it, so nothing has to wait for it.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(StoredValue<Option<CurrentUser>>);

/// Who this page belongs to.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_viewer() -> Viewer {
    expect_context()
}

impl Viewer {
    /// Makes it available to the whole app.
    pub fn provide() -> Self {
        let known = || use_context::<Option<CurrentUser>>().flatten();
        let viewer = Self(StoredValue::new(SharedValue::new(known).into_inner()));
        provide_context(viewer);
        viewer
    }

    /// None without a session.
    #[must_use]
    pub fn current_user(&self) -> Option<CurrentUser> {
        self.0.get_value()
    }

    /// What others see; none without a session.
    #[must_use]
    pub fn person(&self) -> Option<Person> {
        self.current_user().map(|me| me.person)
    }
}

/// Shows its children to somebody with a session, and to everybody else where to get one.
#[component]
pub fn RequireSession(
    /// What there is to see: told to who has no session.
    what: &'static str,
    /// Shown to the user it is given.
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
            <p>{what} " All it takes is a name."</p>
            <p>
                <a class="button primary" href=signin rel="external">
                    "Pick a name"
                </a>
            </p>
        </section>
    }
}
