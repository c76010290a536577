//! Parts of the browser's program that come when they are needed.
//!
//! Most of the program does what most pages never do: call somebody, administer the site. Such code is a *part*, in files of its own, which
//! `cargo leptos build --split` cuts out of the program: see [`part!`]. It is loaded first, and that may fail: the network is gone, or the server
//! runs a newer build and has this one's files no more. So whoever needs a part says what is to be shown meanwhile, and if it does not come.
//!
//! Where the program is not split (on the server, in `cargo leptos watch`), every part is there from the beginning, and the same code runs.

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

/// A part could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of this page could not be loaded")]
pub struct ChunkLoadError;

#[cfg(feature = "split")]
impl From<wasm_split_helpers::SplitLoaderError> for ChunkLoadError {
    fn from(_: wasm_split_helpers::SplitLoaderError) -> Self {
        Self
    }
}

/// What comes of loading a part.
pub type ChunkFuture<T> = LocalBoxFuture<'static, Result<T, ChunkLoadError>>;

/// A part of the program, made with [`part!`]. `T` is what the rest of the program has of it: a function, or a structure of functions.
#[derive(Debug)]
pub struct LazyChunk<T: 'static> {
    name: &'static str,
    load: fn() -> ChunkFuture<T>,
    loaded: &'static LocalKey<Cell<Option<T>>>,
}

/// Makes a [`Part`]: `part! { static NAME in name: Type = expression; }`. The expression is evaluated when the part has been loaded, and what
/// nothing else needs comes with it. Parts of the same name come together.
macro_rules! lazy_chunk {
    ($(#[$attribute:meta])* $vis:vis static $static:ident in $name:ident: $type:ty = $functions:expr;) => {
        $(#[$attribute])*
        $vis static $static: $crate::ui::lazy::LazyChunk<$type> = {
            thread_local! {
                static LOADED: std::cell::Cell<Option<$type>> = const { std::cell::Cell::new(None) };
            }

            #[allow(unsafe_code, reason = "for the compiler, what is loaded later is of another program")]
            fn load() -> $crate::ui::lazy::ChunkFuture<$type> {
                #[cfg(feature = "split")]
                #[wasm_split_helpers::wasm_split($name, fallible)]
                fn chunk_functions() -> Result<$type, $crate::ui::lazy::ChunkLoadError> {
                    Ok($functions)
                }
                #[cfg(not(feature = "split"))]
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

    /// What it has, if it is here. It is not loaded for that.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        if cfg!(feature = "split") {
            self.loaded.get()
        } else {
            (self.load)().now_or_never()?.ok()
        }
    }

    /// Has it loaded. One that is here comes at once, and one that was missing is asked for anew. Browser only.
    ///
    /// # Errors
    /// When it cannot be loaded, which the browser's console says more of.
    pub async fn load(&self) -> Result<T, ChunkLoadError> {
        if let Some(here) = self.get() {
            return Ok(here);
        }
        let here = (self.load)().await?;
        self.loaded.set(Some(here));
        Ok(here)
    }

    /// Has it loaded, as long as it takes. Browser only.
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

    /// If this page was rendered with it, has it loaded, as long as it takes: until then the page works as plain HTML. Browser only.
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

/// Whether the part of a page is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoadState {
    Loading,
    Failed,
    Loaded,
}

/// A page that is in a part: shown as soon as that is here.
#[component]
pub fn LazyPage<P: Copy + Send + Sync + 'static>(
    /// The part, which knows its pages.
    chunk: &'static LazyChunk<fn(P) -> AnyView>,
    /// The page.
    page: P,
) -> impl IntoView {
    // The server has all parts, and a page that was rendered with one has it before it is made live.
    let shown = match chunk.get() {
        Some(view) => view(page),
        None => view! { <LazyPagePlaceholder chunk page /> }.into_any(),
    };
    view! {
        <template data-part=chunk.name></template>
        {shown}
    }
}

/// A page whose part is not here yet. Browser only.
#[component]
fn LazyPagePlaceholder<P: Copy + Send + Sync + 'static>(
    chunk: &'static LazyChunk<fn(P) -> AnyView>,
    page: P,
) -> impl IntoView {
    let load_state = RwSignal::new(LoadState::Loading);
    let shown = Memo::new(move |_| load_state.get());
    // Whether that is the end of it: the part is here, or the page shows something else by now.
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
                    <p>
                        "This page could not be loaded, and is asked for again. Check your connection; if that does not help, load it anew."
                    </p>
                    <div class="toolbar">
                        <button type="button" class="button small" on:click=try_again>
                            "Try again"
                        </button>
                        <a class="button small" href="" rel="external">
                            "Load anew"
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
