//! The list of stories, and how many are pending.

use super::{
    api::list_stories,
    client::use_news,
    links::{PublishLink, news_url},
};
use crate::{
    model::{
        Seq,
        headlines::{Headlines, PendingCount},
        story::{Story, StoryListing, Urgency},
    },
    ui::{
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
        page_visibility::use_page_visibility,
        reconnect::ReconnectingClient,
        time::{LocalTime, TimeStyle},
    },
};
use leptos::{either::Either, prelude::*, task::spawn_local_scoped_with_cancellation};
use wasm_bindgen::JsCast;

#[component]
pub(super) fn HeadlineList(
    /// As the server rendered it.
    listing: StoryListing,
    can_publish: bool,
    /// The first page receives new stories.
    is_newest: bool,
) -> impl IntoView {
    let topic = listing.topic.clone();
    let rendered_head = listing.head;
    let list = RwSignal::new(Headlines::new(listing));
    let announcement = RwSignal::new(None);
    subscribe_to_stream(list, topic.clone(), is_newest.then_some(announcement));
    let (empty_topic, newest) = (topic.clone(), news_url(topic.as_deref(), None));
    let older = move || {
        let before = list.with(Headlines::next_before)?;
        let href = news_url(topic.as_deref(), Some(before));
        Some(view! {
            <a class="button" href=href rel="next">
                "Older stories"
            </a>
        })
    };
    let alone = move || is_newest && list.with(|list| list.next_before().is_none());
    view! {
        <StoryListStatus list newest=newest.clone() is_newest announcement />
        {move || {
            if list.with(|list| list.shown().is_empty()) {
                Either::Left(view! { <NoStories topic=empty_topic.clone() can_publish is_newest /> })
            } else {
                Either::Right(
                    view! {
                        <ol class="stories" role="list">
                            <For each=move || list.with(|list| list.shown().to_vec()) key=|story| story.id let:story>
                                <HeadlineItem story rendered_head />
                            </For>
                        </ol>
                    },
                )
            }
        }}
        <nav class="toolbar pages" aria-label="Pages of stories" hidden=alone>
            {(!is_newest)
                .then(|| {
                    view! {
                        <a class="button" href=newest>
                            "Newest stories"
                        </a>
                    }
                })}
            {older}
        </nav>
    }
}

/// `announcement` says what was shown at once; `None` on older pages, whose readers ask for new stories.
fn subscribe_to_stream(
    list: RwSignal<Headlines>,
    topic: Option<String>,
    announcement: Option<RwSignal<Option<String>>>,
) {
    let live = use_news();
    let is_visible = use_page_visibility();
    let show = move || {
        if let Some(announcement) = announcement
            && is_visible.get_untracked()
            && is_at_top()
        {
            reveal_at_top(list, announcement);
        }
        reveal_if_empty(list);
    };
    Effect::new(move || live.resume_from(&list.with_untracked(Headlines::cursor)));
    Effect::new(move || {
        live.for_each_recent(|story| list.maybe_update(|list| list.receive(story)));
        show();
    });
    let resyncs = live.resyncs();
    Effect::new(move |seen: Option<u32>| {
        let resyncs = resyncs.get();
        if seen.is_none_or(|seen| seen == resyncs) {
            return resyncs;
        }
        let topic = topic.clone();
        // Cancelled by the next resync.
        spawn_local_scoped_with_cancellation(async move {
            let Ok(page) = list_stories(topic, None).await else {
                return live.retry_resync();
            };
            list.update(|list| list.refresh(page));
            show();
            live.resume_from(&list.with_untracked(Headlines::cursor));
        });
        resyncs
    });
}

fn reveal_if_empty(list: RwSignal<Headlines>) {
    if list.with_untracked(|list| list.shown().is_empty() && list.pending_count().count > 0) {
        list.update(|list| _ = list.reveal());
    }
}

/// Whoever has not scrolled sees new stories at once: nothing that is being read leaves the screen.
fn is_at_top() -> bool {
    window().scroll_y().is_ok_and(|offset| offset < 1.0)
}

fn reveal_at_top(list: RwSignal<Headlines>, announcement: RwSignal<Option<String>>) {
    let mut words = None;
    list.maybe_update(|list| {
        words = arrival_words(list.pending());
        words.is_some() && list.reveal() > 0
    });
    if words.is_some() {
        announcement.set(words);
    }
}

/// `None` without a story.
fn arrival_words(newest_first: &[Story]) -> Option<String> {
    match newest_first {
        [] => None,
        [story] => Some(format!("New story: {}", story.headline)),
        [newest, ..] => Some(format!(
            "{} new stories, the newest: {}",
            newest_first.len(),
            newest.headline
        )),
    }
}

/// The live regions are rendered from the start: screen readers announce what is inserted.
#[component]
fn StoryListStatus(
    list: RwSignal<Headlines>,
    newest: String,
    is_newest: bool,
    announcement: RwSignal<Option<String>>,
) -> impl IntoView {
    let waiting = Memo::new(move |_| list.with(Headlines::pending_count));
    let pill = move || {
        let words = pending_label(waiting.get())?;
        Some(if is_newest {
            let reveal = move |_| {
                list.update(|list| _ = list.reveal());
                request_animation_frame(move || focus_first_story(list));
            };
            Either::Left(view! {
                <button type="button" class="pill" on:click=reveal>
                    <Icon name=Glyph::Up />
                    {words}
                </button>
            })
        } else {
            Either::Right(view! {
                <a class="pill" href=newest.clone()>
                    <Icon name=Glyph::Up />
                    {words}
                </a>
            })
        })
    };
    let live = use_news();
    view! {
        <div class="news-live" class:below-banner=move || live.breaking(None).is_some()>
            <div aria-live="polite">{pill}</div>
            <div role="status">
                <InterruptionNotice />
            </div>
            <p class="visually-hidden" role="status">
                {announcement}
            </p>
        </div>
    }
}

fn pending_label(
    PendingCount {
        count,
        is_lower_bound: or_more,
    }: PendingCount,
) -> Option<String> {
    match (count, or_more) {
        (0, _) => None,
        (1, false) => Some("1 new story".to_owned()),
        (_, false) => Some(format!("{count} new stories")),
        (_, true) => Some(format!("{count} or more new stories")),
    }
}

fn focus_first_story(list: RwSignal<Headlines>) {
    window().scroll_to_with_x_and_y(0.0, 0.0);
    let Some(first) = list
        .try_with_untracked(|list| list.shown().first().map(element_id))
        .flatten()
    else {
        return;
    };
    let link = document()
        .query_selector(&format!("#{first} a[href^='/news/']"))
        .ok()
        .flatten();
    if let Some(link) = link.and_then(|link| link.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = link.focus();
    }
}

fn element_id(story: &Story) -> String {
    format!("story-{}", story.seq)
}

#[component]
fn InterruptionNotice() -> impl IntoView {
    let live = use_news();
    let since = live.interrupted_since();
    move || {
        since.get().map(|at| {
            view! {
                <Notice kind=NoticeKind::Warn>
                    <p>
                        "Live updates have been interrupted since " <LocalTime at style=TimeStyle::Time />
                        ". Reconnecting… "
                        <button type="button" class="link-button" on:click=move |_| live.retry_now()>
                            "Try now"
                        </button>
                    </p>
                </Notice>
            }
        })
    }
}

#[component]
fn HeadlineItem(
    story: Story,
    /// Of the page; later stories arrived since.
    rendered_head: Seq,
) -> impl IntoView {
    let id = element_id(&story);
    let is_new = story.seq > rendered_head;
    let topic = news_url(Some(&story.topic), None);
    view! {
        <li id=id class:arrived=is_new>
            <article class="story">
                <h2 dir="auto">
                    <a href=format!("/news/{}", story.slug)>{story.headline}</a>
                </h2>
                {(!story.summary.is_empty()).then(|| view! { <p dir="auto">{story.summary}</p> })}
                <p class="story-facts">
                    {is_breaking(story.urgency).then(|| view! { <span class="tag breaking">"Breaking"</span> })}
                    <a class="tag" href=topic dir="auto">
                        {story.topic}
                    </a> <span dir="auto">{story.byline}</span> <LocalTime at=story.at style=TimeStyle::DayTime />
                </p>
            </article>
        </li>
    }
}

pub(super) fn is_breaking(urgency: Urgency) -> bool {
    match urgency {
        Urgency::Breaking => true,
        Urgency::Normal => false,
    }
}

#[component]
fn NoStories(topic: Option<String>, can_publish: bool, is_newest: bool) -> impl IntoView {
    let title = match (&topic, is_newest) {
        (_, false) => "No older stories".to_owned(),
        (Some(topic), true) => format!("No stories about {topic} yet"),
        (None, true) => "No news yet".to_owned(),
    };
    let advice = if can_publish {
        "Publish the first story. It appears at once on every open page."
    } else {
        "New stories appear here as soon as they are published."
    };
    view! {
        <div class="empty">
            <Icon name=Glyph::News />
            <h2>{title}</h2>
            {is_newest.then(|| view! { <p>{advice}</p> })}
            {(can_publish && is_newest && topic.is_none()).then(|| view! { <PublishLink /> })}
            {topic
                .is_some()
                .then(|| {
                    view! {
                        <a class="button" href="/">
                            "See all topics"
                        </a>
                    }
                })}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StoryId;

    #[test]
    fn what_is_shown_at_once_is_told_with_the_newest_headline() {
        let story = |headline: &str| Story {
            id: StoryId(uuid::Uuid::nil()),
            slug: String::new(),
            headline: headline.to_owned(),
            summary: String::new(),
            html: String::new(),
            topic: String::new(),
            urgency: Urgency::Normal,
            byline: String::new(),
            at: 0,
            seq: 1,
        };
        let words = |headlines: &[&str]| {
            let stories: Vec<Story> = headlines.iter().copied().map(story).collect();
            arrival_words(&stories)
        };
        assert_eq!(words(&[]), None);
        assert_eq!(words(&["Flood"]).as_deref(), Some("New story: Flood"));
        assert_eq!(
            words(&["Ebb", "Flood"]).as_deref(),
            Some("2 new stories, the newest: Ebb")
        );
    }

    #[test]
    fn the_pill_counts_in_words() {
        let words = |count, or_more| {
            pending_label(PendingCount {
                count,
                is_lower_bound: or_more,
            })
        };
        assert_eq!(words(0, false), None);
        assert_eq!(words(1, false).as_deref(), Some("1 new story"));
        assert_eq!(words(3, false).as_deref(), Some("3 new stories"));
        assert_eq!(words(20, true).as_deref(), Some("20 or more new stories"));
    }
}
