//! Who this page belongs to.

use super::api::whoami;
use crate::model::user::Person;
use leptos::{either::Either, prelude::*};
use leptos_router::hooks::use_location;
use serde::{Deserialize, Serialize};

/// What a page knows of its own user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// What others see.
    pub person: Person,
    /// Whether there is a password, so that signing in again is possible.
    pub has_password: bool,
}

/// Who this page belongs to. Provided once, by the app. Signing in and out load the page anew, so it never changes while the
/// page is open.
#[derive(Debug, Clone, Copy)]
pub struct Viewer {
    resource: Resource<Option<Me>>,
    now: RwSignal<Option<Person>>,
}

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
        let resource =
            Resource::new_blocking(|| (), |()| async { whoami().await.unwrap_or_default() });
        let now = RwSignal::new(None);
        Effect::new(move || now.set(resource.get().flatten().map(|me| me.person)));
        let viewer = Self { resource, now };
        provide_context(viewer);
        viewer
    }

    /// To be read inside a `Suspense`; none without a session.
    #[must_use]
    pub fn resource(&self) -> Resource<Option<Me>> {
        self.resource
    }

    /// In the browser, once it is known.
    #[must_use]
    pub fn now(&self) -> Signal<Option<Person>> {
        self.now.into()
    }
}

/// Shows its children to somebody with a session, and to everybody else where to get one.
#[component]
pub fn NeedsName(
    /// What there is to see: told to who has no session.
    what: &'static str,
    /// Shown to the user it is given.
    children: impl Fn(Me) -> AnyView + Clone + Send + Sync + 'static,
) -> impl IntoView {
    let viewer = use_viewer();
    let here = use_location();
    let signin = move || {
        format!(
            "/signin?next={}",
            leptos_router::location::Url::escape(&here.pathname.get())
        )
    };
    let children = StoredValue::new(children);
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match viewer.resource.await {
                    Some(me) => Either::Left(children.with_value(|children| children(me))),
                    None => {
                        Either::Right(
                            view! {
                                <section class="page empty">
                                    <h1>"Pick a name first"</h1>
                                    <p>{what}" All it takes is a name."</p>
                                    <p>
                                        <a class="button primary" href=signin rel="external">"Pick a name"</a>
                                    </p>
                                </section>
                            },
                        )
                    }
                }
            })}
        </Suspense>
    }
}
