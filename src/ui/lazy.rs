//! Lazy-loaded WASM chunks, which `cargo leptos build --split` cuts out of the main module.
//!
//! Loading can fail: the network may be down, or a newer server may lack this build's files. Without splitting, every chunk is loaded.

use super::{
    browser,
    loading::LoadingIndicator,
    notice::{Notice, NoticeKind},
};
use crate::model::backoff;
use futures::{FutureExt, future::LocalBoxFuture};
use leptos::prelude::*;
use std::{cell::Cell, thread::LocalKey};
use wasm_bindgen_futures::spawn_local;

/// A chunk could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code chunk of this page could not be loaded")]
pub struct ChunkLoadError;

#[cfg(split)]
impl From<leptos::wasm_split::SplitLoaderError> for ChunkLoadError {
    fn from(_: leptos::wasm_split::SplitLoaderError) -> Self {
        Self
    }
}

/// Loads a chunk.
pub type ChunkFuture<T> = LocalBoxFuture<'static, Result<T, ChunkLoadError>>;

/// A chunk declared by `lazy_chunk!`. `T` is its entry point.
#[derive(Debug)]
pub struct LazyChunk<T: 'static> {
    name: &'static str,
    load: fn() -> ChunkFuture<T>,
    loaded: &'static LocalKey<Cell<Option<T>>>,
}

/// Declares a [`LazyChunk`]: `lazy_chunk! { static NAME in name: Type = expression; }`. Chunks of one name
/// share a file.
macro_rules! lazy_chunk {
    ($(#[$attribute:meta])* $vis:vis static $static:ident in $name:ident: $type:ty = $functions:expr;) => {
        $(#[$attribute])*
        $vis static $static: $crate::ui::lazy::LazyChunk<$type> = {
            thread_local! {
                static LOADED: std::cell::Cell<Option<$type>> = const { std::cell::Cell::new(None) };
            }

            #[allow(unsafe_code, reason = "the split chunk is imported through an extern function")]
            fn load() -> $crate::ui::lazy::ChunkFuture<$type> {
                #[cfg(split)]
                #[leptos::wasm_split::wasm_split($name, fallible, wasm_split_path = leptos::wasm_split)]
                fn chunk_functions() -> Result<$type, $crate::ui::lazy::ChunkLoadError> {
                    Ok($functions)
                }
                #[cfg(not(split))]
                async fn chunk_functions() -> Result<$type, $crate::ui::lazy::ChunkLoadError> {
                    Ok($functions)
                }
                Box::pin(chunk_functions())
            }

            $crate::ui::lazy::LazyChunk::new(stringify!($name), load, &LOADED)
        };
    };
}
pub(crate) use lazy_chunk;

impl<T: Copy> LazyChunk<T> {
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        load: fn() -> ChunkFuture<T>,
        here: &'static LocalKey<Cell<Option<T>>>,
    ) -> Self {
        Self {
            name,
            load,
            loaded: here,
        }
    }

    /// The entry point if the chunk is loaded.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        if cfg!(split) {
            self.loaded.get()
        } else {
            (self.load)().now_or_never()?.ok()
        }
    }

    /// Loads the chunk. Browser only.
    ///
    /// # Errors
    ///
    /// [`ChunkLoadError`]; the browser's console has the details.
    pub async fn load(&self) -> Result<T, ChunkLoadError> {
        if let Some(here) = self.get() {
            return Ok(here);
        }
        let here = (self.load)().await?;
        self.loaded.set(Some(here));
        Ok(here)
    }

    /// Retries with backoff until it succeeds. Browser only.
    pub async fn load_with_retry(&self) -> T {
        let mut failures = 0;
        loop {
            if let Ok(here) = self.load().await {
                return here;
            }
            browser::sleep(backoff::retry_delay(failures, browser::random())).await;
            failures += 1;
        }
    }

    /// Loads the chunk if the page was rendered with it. Browser only.
    pub async fn load_if_rendered(&self) {
        let selector = format!("[data-part={}]", self.name);
        let rendered = web_sys::window()
            .and_then(|window| window.document())
            .and_then(|document| document.query_selector(&selector).ok()?);
        if rendered.is_some() {
            self.load_with_retry().await;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoadState {
    Loading,
    Failed,
    Loaded,
}

/// A page shown once its chunk is loaded.
#[component]
pub fn LazyPage<P: Copy + Send + Sync + 'static>(
    /// Its entry point renders the page.
    chunk: &'static LazyChunk<fn(P) -> AnyView>,
    page: P,
) -> impl IntoView {
    // The browser loads a rendered page's chunk before hydration.
    let shown = match chunk.get() {
        Some(view) => view(page),
        None => view! { <LazyPagePlaceholder chunk page /> }.into_any(),
    };
    view! {
        <template data-part=chunk.name></template>
        {shown}
    }
}

#[component]
fn LazyPagePlaceholder<P: Copy + Send + Sync + 'static>(
    chunk: &'static LazyChunk<fn(P) -> AnyView>,
    page: P,
) -> impl IntoView {
    let load_state = RwSignal::new(LoadState::Loading);
    let shown = Memo::new(move |_| load_state.get());
    // Returns whether the chunk is loaded or the page closed.
    let attempt = async move || {
        let arrived = match chunk.load().await {
            Ok(_) => LoadState::Loaded,
            Err(ChunkLoadError) => LoadState::Failed,
        };
        load_state.try_set(arrived).is_some() || arrived == LoadState::Loaded
    };
    spawn_local(async move {
        let mut failures = 0;
        while !attempt().await {
            browser::sleep(backoff::retry_delay(failures, browser::random())).await;
            failures += 1;
        }
    });
    let try_again = move |_| {
        load_state.set(LoadState::Loading);
        spawn_local(async move {
            attempt().await;
        });
    };
    let loading_view = || {
        view! {
            <div class="page">
                <LoadingIndicator label="Loading this page…" />
            </div>
        }
    };
    let failed_view = move || {
        view! {
            <div class="page">
                <Notice kind=NoticeKind::Error>
                    <p>"This page could not be loaded. Retrying automatically… Check your connection, or reload."</p>
                    <div class="toolbar">
                        <button type="button" class="button small" on:click=try_again>
                            "Try again"
                        </button>
                        <a class="button small" href="" rel="external">
                            "Reload"
                        </a>
                    </div>
                </Notice>
            </div>
        }
    };
    move || match shown.get() {
        LoadState::Loading => loading_view().into_any(),
        LoadState::Loaded => chunk.get().map(|view| view(page)).into_any(),
        LoadState::Failed => failed_view().into_any(),
    }
}

#[cfg(test)]
mod tests {
    lazy_chunk! { static SUMS in sums: fn(u32) -> u32 = |n| n + 1; }

    #[test]
    fn without_code_splitting_every_chunk_is_loaded() {
        assert_eq!(SUMS.get().map(|add| add(1)), Some(2));
        assert_eq!(SUMS.name, "sums");
    }
}
