//! Noticing that the server runs a newer build than this page.
//!
//! Every live connection begins with the server's build. A page of another build reloads itself as soon as nothing would be
//! lost by it; until then it says so and offers to.

use super::browser;
use leptos::prelude::*;

/// The builds of the page and of the server, and who objects to a reload. Provided once, by the app.
#[derive(Clone, Copy)]
pub struct BuildTracker {
    server_build: RwSignal<Option<String>>,
    /// Each says whether a reload now would lose something of its own.
    reload_blockers: StoredValue<Vec<Signal<bool>>>,
}

impl std::fmt::Debug for BuildTracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Build").finish_non_exhaustive()
    }
}

/// The name of the `meta` element that says which build a page is of.
pub const BUILD_META_NAME: &str = "rialto-build";

impl BuildTracker {
    /// Makes it available to the whole app.
    pub fn provide() -> Self {
        let build = Self {
            server_build: RwSignal::new(None),
            reload_blockers: StoredValue::new(Vec::new()),
        };
        provide_context(build);
        build
    }

    /// A live connection has said which build the server runs.
    pub fn set_server_build(&self, server: &str) {
        if self
            .server_build
            .with_untracked(|known| known.as_deref() != Some(server))
        {
            self.server_build.set(Some(server.to_owned()));
        }
    }

    /// While this is true, the page is not reloaded by itself.
    pub fn block_reload_while(&self, is_blocking: Signal<bool>) {
        self.reload_blockers
            .update_value(|holds| holds.push(is_blocking));
    }

    /// Whether the server runs another build than this page. To be called in the browser.
    fn is_outdated(&self) -> bool {
        let page = page_build();
        self.server_build
            .with(|server| matches!((server, &page), (Some(server), Some(page)) if server != page))
    }

    /// Whether loading the page anew would now lose something. For event handlers.
    #[must_use]
    pub fn is_reload_blocked(&self) -> bool {
        untrack(|| self.has_reload_blocker())
    }

    fn has_reload_blocker(&self) -> bool {
        self.reload_blockers.get_value().iter().any(Get::get)
    }
}

/// Says that there is a newer build when reloading by itself would lose something, and reloads when it would not.
#[component]
pub fn NewBuildNotice() -> impl IntoView {
    let build = expect_context::<BuildTracker>();
    let is_reload_pending = RwSignal::new(false);
    Effect::new(move || {
        if !build.is_outdated() {
            return;
        }
        if build.has_reload_blocker() {
            is_reload_pending.set(true);
        } else if may_reload() {
            browser::reload();
        }
    });
    view! {
        <Show when=move || is_reload_pending.get()>
            <div class="notice info newer-build" role="status">
                <p>"Rialto was updated. Reload to use the new version; what you are doing now is kept until you do."</p>
                <button type="button" class="button" on:click=move |_| browser::reload()>"Reload"</button>
            </div>
        </Show>
    }
}

fn page_build() -> Option<String> {
    let selector = format!("meta[name={BUILD_META_NAME}]");
    web_sys::window()?
        .document()?
        .query_selector(&selector)
        .ok()??
        .get_attribute("content")
}

/// A cache in between could serve the old page for ever: a page reloads by itself once a minute at most.
fn may_reload() -> bool {
    const STORAGE_KEY: &str = "rialto.reloaded";
    let last = browser::session_storage_get(STORAGE_KEY)
        .and_then(|at| at.parse::<i64>().ok())
        .unwrap_or(0);
    let fresh = browser::now() - last > 60_000;
    if fresh {
        browser::session_storage_set(STORAGE_KEY, &browser::now().to_string());
    }
    fresh
}
