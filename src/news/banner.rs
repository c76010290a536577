//! Breaking news, on every page: rendered by the server while it is fresh, and there within a blink when it breaks.

use super::client::use_news;
use crate::{
    model::headlines::BreakingStory,
    ui::icon::{Glyph, Icon},
};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// The banner's region. It is there from the start, so that a screen reader announces what comes into it.
#[component]
pub fn BreakingBanner() -> impl IntoView {
    let live = use_news();
    view! {
        <div role="alert" aria-live="assertive" aria-label="Breaking news">
            <Suspense>
                {move || Suspend::new(async move {
                    let rendered = live.status().await.ok().and_then(|now| now.breaking);
                    view! { <Announcement rendered /> }
                })}
            </Suspense>
        </div>
    }
}

/// What is breaking now, if anything is.
#[component]
fn Announcement(rendered: Option<BreakingStory>) -> impl IntoView {
    let live = use_news();
    let breaking = Memo::new(move |_| live.breaking(rendered.as_ref()));
    move || breaking.get().map(|breaking| view! { <Banner breaking /> })
}

#[component]
fn Banner(breaking: BreakingStory) -> impl IntoView {
    let live = use_news();
    let story = breaking.id;
    let dismiss = move |_| {
        focus_main();
        live.dismiss(story);
    };
    view! {
        <div class="banner">
            <span class="banner-label">"Breaking"</span>
            // Who follows the link has seen it.
            <a href=format!("/news/{}", breaking.slug) on:click=move |_| live.dismiss(story)>
                {breaking.headline}
            </a>
            <button
                type="button"
                class="icon-button"
                aria-label="Dismiss"
                hidden=move || !live.is_started().get()
                on:click=dismiss
            >
                <Icon name=Glyph::Close />
            </button>
        </div>
    }
}

/// The button goes away with the banner; without this the keyboard would begin at the top of the page again.
fn focus_main() {
    let main = window()
        .document()
        .and_then(|document| document.get_element_by_id("main"));
    if let Some(main) = main.and_then(|main| main.dyn_into::<web_sys::HtmlElement>().ok()) {
        // An element that cannot be focused now is none to worry about.
        let _ = main.focus();
    }
}
