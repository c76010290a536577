//! Reloads a page when the server runs another build, unless something would be lost.

use super::{browser, browser_apis, page_visibility::use_page_visibility};
use crate::model::Millis;
use leptos::prelude::*;

/// The server's build and the reload blockers.
#[derive(Clone, Copy)]
pub struct BuildTracker {
    server_build: RwSignal<Option<String>>,
    reload_blockers: StoredValue<Vec<Signal<bool>>>,
}

impl std::fmt::Debug for BuildTracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildTracker").finish_non_exhaustive()
    }
}

/// The `meta` element with the page's build.
pub const BUILD_META_NAME: &str = "rialto-build";

impl BuildTracker {
    /// Provides the context.
    pub fn provide() -> Self {
        let build = Self {
            server_build: RwSignal::new(None),
            reload_blockers: StoredValue::new(Vec::new()),
        };
        provide_context(build);
        build
    }

    /// Records the server's build.
    pub fn set_server_build(&self, server: &str) {
        if self
            .server_build
            .with_untracked(|known| known.as_deref() != Some(server))
        {
            self.server_build.set(Some(server.to_owned()));
        }
    }

    /// Prevents automatic reloads while the signal is true.
    pub fn block_reload_while(&self, is_blocking: Signal<bool>) {
        self.reload_blockers
            .update_value(|blockers| blockers.push(is_blocking));
    }

    /// Browser only.
    fn is_outdated(&self) -> bool {
        let page = page_build();
        self.server_build
            .with(|server| matches!((server, &page), (Some(server), Some(page)) if server != page))
    }

    fn has_reload_blocker(&self) -> bool {
        self.reload_blockers.get_value().iter().any(Get::get)
    }
}

/// What an outdated page does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpdateAction {
    Reload,
    /// What a reloaded page shows counts as seen.
    AwaitVisibility,
    ShowNotice,
}

impl UpdateAction {
    fn new(is_blocked: bool, is_visible: bool, since_reload: Millis) -> Self {
        // A cache could serve the old page forever.
        if is_blocked || since_reload <= RELOAD_INTERVAL {
            Self::ShowNotice
        } else if is_visible {
            Self::Reload
        } else {
            Self::AwaitVisibility
        }
    }
}

/// Between two automatic reloads.
const RELOAD_INTERVAL: Millis = 60_000;

/// Reloads an outdated page once it is visible, or shows a notice.
#[component]
pub fn NewBuildNotice() -> impl IntoView {
    let build = expect_context::<BuildTracker>();
    let is_visible = use_page_visibility();
    let is_reload_pending = RwSignal::new(false);
    Effect::new(move || {
        if !build.is_outdated() {
            return;
        }
        let (is_blocked, is_visible) = (build.has_reload_blocker(), is_visible.get());
        match UpdateAction::new(is_blocked, is_visible, since_automatic_reload()) {
            UpdateAction::Reload => reload_automatically(),
            UpdateAction::AwaitVisibility => {}
            UpdateAction::ShowNotice => is_reload_pending.set(true),
        }
    });
    view! {
        <Show when=move || is_reload_pending.get()>
            <div class="notice info newer-build" role="status">
                <p>"A new version of Rialto is available. Finish what you are doing, then reload."</p>
                <button type="button" class="button" on:click=move |_| browser::reload()>
                    "Reload"
                </button>
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

const STORAGE_KEY: &str = "rialto.reloaded";

/// Without storage every page may be a reloaded one.
fn since_automatic_reload() -> Millis {
    if browser_apis::session_storage().is_none() {
        return 0;
    }
    let last = browser::session_storage_get(STORAGE_KEY)
        .and_then(|at| at.parse::<Millis>().ok())
        .unwrap_or(0);
    browser::now() - last
}

fn reload_automatically() {
    browser::session_storage_set(STORAGE_KEY, &browser::now().to_string());
    browser::reload();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outdated_page_reloads_once_it_is_visible_and_never_says_nothing_while_it_may_not() {
        let long_ago = RELOAD_INTERVAL + 1;
        let action = UpdateAction::new;
        assert_eq!(action(false, true, long_ago), UpdateAction::Reload);
        assert_eq!(
            action(false, false, long_ago),
            UpdateAction::AwaitVisibility
        );
        for is_visible in [false, true] {
            assert_eq!(action(true, is_visible, long_ago), UpdateAction::ShowNotice);
            assert_eq!(
                action(false, is_visible, RELOAD_INTERVAL),
                UpdateAction::ShowNotice
            );
        }
    }
}
