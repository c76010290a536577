//! Links between the news pages.

use crate::{
    model::Seq,
    ui::icon::{Glyph, Icon},
};
use leptos::prelude::*;
use leptos_router::location::Url;

pub(super) fn news_url(topic: Option<&str>, before: Option<Seq>) -> String {
    let topic = topic.map(|topic| format!("topic={}", Url::escape(topic)));
    let before = before.map(|before| format!("before={before}"));
    let query: Vec<String> = [topic, before].into_iter().flatten().collect();
    if query.is_empty() {
        "/".to_owned()
    } else {
        format!("/?{}", query.join("&"))
    }
}

#[component]
pub(super) fn PublishLink() -> impl IntoView {
    view! {
        <a class="button primary" href="/news/new">
            <Icon name=Glyph::Write />
            "Publish a story"
        </a>
    }
}

// Without `ssr`, leptos_router parses URLs with the browser.
#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::news_url;

    #[test]
    fn an_address_asks_for_what_is_wanted_and_no_more() {
        assert_eq!(news_url(None, None), "/");
        assert_eq!(news_url(Some("R&D"), None), "/?topic=R%26D");
        assert_eq!(news_url(None, Some(7)), "/?before=7");
        assert_eq!(news_url(Some("Sports"), Some(7)), "/?topic=Sports&before=7");
    }
}
