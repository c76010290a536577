//! Breaking-news banner of every page.

use super::client::use_news;
use crate::{
    model::headlines::BreakingStory,
    ui::icon::{Glyph, Icon},
};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// Rendered from the start: screen readers announce what is inserted.
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
            <a href=format!("/news/{}", breaking.slug) dir="auto" on:click=move |_| live.dismiss(story)>
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

/// The focused button is removed with the banner.
fn focus_main() {
    let main = window()
        .document()
        .and_then(|document| document.get_element_by_id("main"));
    if let Some(main) = main.and_then(|main| main.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = main.focus();
    }
}
