//! `/`: the latest stories, of one topic or all, and older pages.

use super::{
    api::{NewsPageInfo, find_page_info, list_stories},
    headline_list::HeadlineList,
    links::{PublishLink, news_url},
};
use crate::{
    model::Seq,
    ui::{page_failure::set_page_status, refetch::FetchFailure},
};
use leptos::{either::Either, prelude::*};
use leptos_meta::{Meta, Title};
use leptos_router::hooks::use_query_map;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct NewsQuery {
    topic: Option<String>,
    before: Option<Seq>,
}

/// The news page.
#[component]
pub fn NewsPageView() -> impl IntoView {
    let query = use_query_map();
    let asked = Memo::new(move |_| {
        query.with(|query| NewsQuery {
            topic: query.get("topic").filter(|topic| !topic.trim().is_empty()),
            before: query.get("before").and_then(|before| before.parse().ok()),
        })
    });
    let topic = Memo::new(move |_| asked.with(|asked| asked.topic.clone()));
    let page_info = Resource::new(
        || (),
        |()| async {
            let info = find_page_info().await.inspect_err(set_page_status);
            info.unwrap_or_default()
        },
    );
    let page = Resource::new(
        move || asked.get(),
        |asked| list_stories(asked.topic, asked.before),
    );
    // An `ArcMemo`, resolved now: another request, whose arena lacks an arena-allocated memo, may read the title.
    let title = ArcMemo::new(move |_| topic.get().unwrap_or_else(|| "News".to_owned()));
    title.with_untracked(|_| ());
    view! {
        <Title text=move || title.get() />
        <Meta name="description" content="The latest news, live." />
        <div class="page news">
            <header class="page-header">
                <h1>{move || topic.get().unwrap_or_else(|| "Latest news".to_owned())}</h1>
                <Suspense>
                    {move || Suspend::new(async move {
                        page_info.await.can_publish.then(|| view! { <PublishLink /> })
                    })}
                </Suspense>
            </header>
            <Suspense>
                {move || Suspend::new(async move {
                    let topics = page_info.await.topics;
                    view! { <Topics topics topic /> }
                })}
            </Suspense>
            <Transition>
                {move || Suspend::new(async move {
                    let NewsPageInfo { can_publish, .. } = page_info.await;
                    match page.await {
                        Ok(found) => {
                            let is_newest = asked.with_untracked(|asked| asked.before.is_none());
                            Either::Left(view! { <HeadlineList listing=found can_publish is_newest /> })
                        }
                        Err(failure) => Either::Right(view! { <FetchFailure failure resource=page /> }),
                    }
                })}
            </Transition>
        </div>
    }
}

#[component]
fn Topics(topics: Vec<String>, topic: Memo<Option<String>>) -> impl IntoView {
    let is_worth_it = topics.len() > 1;
    let all = std::iter::once(None).chain(topics.into_iter().map(Some));
    let links = all
        .map(|to| {
            let href = news_url(to.as_deref(), None);
            let name = to.clone().unwrap_or_else(|| "All".to_owned());
            let current = move || (topic.get() == to).then_some("page");
            view! {
                <li>
                    <a class="topic" href=href aria-current=current>
                        {name}
                    </a>
                </li>
            }
        })
        .collect_view();
    is_worth_it.then(|| {
        view! {
            <nav class="topics" aria-label="Topics">
                <ul role="list">{links}</ul>
            </nav>
        }
    })
}
