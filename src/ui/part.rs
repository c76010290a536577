//! Parts of the browser's program that come when they are needed.
//!
//! Most of the program does what most pages never do: call somebody, administer the site. Such code is a *part*, in files of its own, which
//! `cargo leptos build --split` cuts out of the program: see [`part!`]. It is loaded first, and that may fail: the network is gone, or the server
//! runs a newer build and has this one's files no more. So whoever needs a part says what is to be shown meanwhile, and if it does not come.
//!
//! Where the program is not split (on the server, in `cargo leptos watch`), every part is there from the beginning, and the same code runs.

use super::{
    browser,
    notice::{Notice, NoticeKind},
    wait::Pending,
};
use crate::model::backoff;
use futures::{FutureExt, future::LocalBoxFuture};
use leptos::prelude::*;
use std::{cell::Cell, thread::LocalKey};
use wasm_bindgen_futures::spawn_local;

/// A part could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of this page could not be loaded")]
pub struct Missing;

#[cfg(feature = "split")]
impl From<wasm_split_helpers::SplitLoaderError> for Missing {
    fn from(_: wasm_split_helpers::SplitLoaderError) -> Self {
        Self
    }
}

/// What comes of loading a part.
pub type Loading<T> = LocalBoxFuture<'static, Result<T, Missing>>;

/// A part of the program, made with [`part!`]. `T` is what the rest of the program has of it: a function, or a structure of functions.
#[derive(Debug)]
pub struct Part<T: 'static> {
    name: &'static str,
    load: fn() -> Loading<T>,
    here: &'static LocalKey<Cell<Option<T>>>,
}

/// Makes a [`Part`]: `part! { static NAME in name: Type = expression; }`. The expression is evaluated when the part has been loaded, and what
/// nothing else needs comes with it. Parts of the same name come together.
macro_rules! part {
    ($(#[$attribute:meta])* $vis:vis static $static:ident in $name:ident: $type:ty = $functions:expr;) => {
        $(#[$attribute])*
        $vis static $static: $crate::ui::part::Part<$type> = {
            thread_local! {
                static HERE: std::cell::Cell<Option<$type>> = const { std::cell::Cell::new(None) };
            }

            #[allow(unsafe_code, reason = "for the compiler, what is loaded later is of another program")]
            fn load() -> $crate::ui::part::Loading<$type> {
                #[cfg(feature = "split")]
                #[wasm_split_helpers::wasm_split($name, fallible)]
                fn functions() -> Result<$type, $crate::ui::part::Missing> {
                    Ok($functions)
                }
                #[cfg(not(feature = "split"))]
                async fn functions() -> Result<$type, $crate::ui::part::Missing> {
                    Ok($functions)
                }
                Box::pin(functions())
            }

            $crate::ui::part::Part::new(stringify!($name), load, &HERE)
        };
    };
}
pub(crate) use part;

impl<T: Copy> Part<T> {
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        load: fn() -> Loading<T>,
        here: &'static LocalKey<Cell<Option<T>>>,
    ) -> Self {
        Self { name, load, here }
    }

    /// What it has, if it is here. It is not loaded for that.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        if cfg!(feature = "split") {
            self.here.get()
        } else {
            (self.load)().now_or_never()?.ok()
        }
    }

    /// Has it loaded. One that is here comes at once, and one that was missing is asked for anew. Browser only.
    ///
    /// # Errors
    /// When it cannot be loaded, which the browser's console says more of.
    pub async fn load(&self) -> Result<T, Missing> {
        if let Some(here) = self.get() {
            return Ok(here);
        }
        let here = (self.load)().await?;
        self.here.set(Some(here));
        Ok(here)
    }

    /// Has it loaded, as long as it takes. Browser only.
    pub async fn load_at_last(&self) -> T {
        let mut failures = 0;
        loop {
            if let Ok(here) = self.load().await {
                return here;
            }
            browser::pause(backoff::wait(failures, browser::random())).await;
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
            self.load_at_last().await;
        }
    }
}

/// Whether the part of a page is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Awaited,
    Missing,
    Here,
}

/// A page that is in a part: shown as soon as that is here.
#[component]
pub fn Soon<P: Copy + Send + Sync + 'static>(
    /// The part, which knows its pages.
    part: &'static Part<fn(P) -> AnyView>,
    /// The page.
    page: P,
) -> impl IntoView {
    // The server has all parts, and a page that was rendered with one has it before it is made live.
    let shown = match part.get() {
        Some(view) => view(page),
        None => view! { <Awaited part page /> }.into_any(),
    };
    view! {
        <template data-part=part.name></template>
        {shown}
    }
}

/// A page whose part is not here yet. Browser only.
#[component]
fn Awaited<P: Copy + Send + Sync + 'static>(
    part: &'static Part<fn(P) -> AnyView>,
    page: P,
) -> impl IntoView {
    let arrival = RwSignal::new(Arrival::Awaited);
    let shown = Memo::new(move |_| arrival.get());
    // Whether that is the end of it: the part is here, or the page shows something else by now.
    let attempt = async move || {
        let arrived = match part.load().await {
            Ok(_) => Arrival::Here,
            Err(Missing) => Arrival::Missing,
        };
        arrival.try_set(arrived).is_some() || arrived == Arrival::Here
    };
    spawn_local(async move {
        let mut failures = 0;
        while !attempt().await {
            browser::pause(backoff::wait(failures, browser::random())).await;
            failures += 1;
        }
    });
    let try_again = move |_| {
        arrival.set(Arrival::Awaited);
        spawn_local(async move {
            attempt().await;
        });
    };
    let awaited = || {
        view! {
            <div class="page">
                <Pending label="Loading this page…" />
            </div>
        }
    };
    let missing = move || {
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
        Arrival::Awaited => awaited().into_any(),
        Arrival::Here => part.get().map(|view| view(page)).into_any(),
        Arrival::Missing => missing().into_any(),
    }
}

#[cfg(test)]
mod tests {
    part! { static SUMS in sums: fn(u32) -> u32 = |n| n + 1; }

    #[test]
    fn where_the_program_is_not_split_every_part_is_here() {
        assert_eq!(SUMS.get().map(|add| add(1)), Some(2));
        assert_eq!(SUMS.name, "sums");
    }
}
