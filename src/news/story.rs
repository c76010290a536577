//! `/news/{slug}`: one story.

use super::{api::find_story, headline_list::is_breaking, links::news_url};
use crate::{
    model::story::Story,
    protocol::failure::Failure,
    ui::{
        page_failure::{UnavailablePage, set_page_status},
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{either::EitherOf3, prelude::*};
use leptos_meta::{Meta, Title};
use leptos_router::hooks::use_params_map;

/// The story page.
#[component]
pub fn StoryPage() -> impl IntoView {
    let params = use_params_map();
    let slug = Memo::new(move |_| params.with(|params| params.get("slug").unwrap_or_default()));
    let found = Resource::new(move || slug.get(), find_story);
    view! {
        <div class="page">
            <Transition>
                {move || Suspend::new(async move {
                    match found.await {
                        Ok(story) => EitherOf3::A(view! { <WholeStory story /> }),
                        Err(failure @ Failure::NotFound { .. }) => {
                            set_page_status(&failure);
                            EitherOf3::B(view! { <NoStory /> })
                        }
                        Err(failure) => {
                            EitherOf3::C(
                                view! {
                                    <Title text="Story unavailable" />
                                    <UnavailablePage heading="This story could not be loaded" failure resource=found />
                                },
                            )
                        }
                    }
                })}
            </Transition>
        </div>
    }
}

#[component]
fn WholeStory(story: Story) -> impl IntoView {
    let topic = news_url(Some(&story.topic), None);
    // Many stories have only a headline.
    let description = if story.summary.is_empty() {
        story.headline.clone()
    } else {
        story.summary
    };
    view! {
        <Title text=story.headline.clone() />
        <Meta name="description" content=description.clone() />
        <Meta property="og:type" content="article" />
        <Meta property="og:title" content=story.headline.clone() />
        <Meta property="og:description" content=description />
        <article class="whole-story">
            <header>
                <p class="story-facts">
                    {is_breaking(story.urgency).then(|| view! { <span class="tag breaking">"Breaking"</span> })}
                    <a class="tag" href=topic dir="auto">
                        {story.topic}
                    </a>
                </p>
                <h1 dir="auto">{story.headline}</h1>
                <p class="story-facts">
                    <span>"By "{story.byline}</span>
                    <LocalTime at=story.at style=TimeStyle::DayTime />
                </p>
            </header>
            // Sanitised by `server::markdown`.
            <div class="story-body" dir="auto" inner_html=story.html></div>
        </article>
        <p class="story-end">
            <a href="/">"All news"</a>
        </p>
    }
}

#[component]
fn NoStory() -> impl IntoView {
    view! {
        <Title text="Story not found" />
        <section class="empty">
            <h1>"Story not found"</h1>
            <p>"The address may be mistyped, or the story was never published."</p>
            <a class="button primary" href="/">
                "Go to the latest news"
            </a>
        </section>
    }
}
