//! Targets of [`crate::fuzzing`].

use super::{
    events::{EventsQuery, LAST_EVENT_ID_HEADER, requested_cursor},
    markdown::render,
};
use crate::{
    model::{
        Cursor, Epoch, limits,
        story::{StoryDraft, Urgency},
        stream::{ResumeDecision, decide_resume},
    },
    protocol::sse::{self, LastEventId},
};
use axum::{
    extract::Query,
    http::{HeaderMap, HeaderValue, Uri},
};

/// A query of `GET /news/events` and, on a second line, a `Last-Event-ID`: a cursor within its bounds, which is continued or refused.
///
/// # Panics
/// If it is not.
pub fn cursors(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let Ok(uri) = format!("/news/events?{query}").parse::<Uri>() else {
        return;
    };
    let Ok(Query(query)) = Query::<EventsQuery>::try_from_uri(&uri) else {
        return;
    };
    let Ok(asked) = query.parse() else { return };
    if let Some(topic) = &asked.topic {
        assert!((1..=limits::MAX_TOPIC_CHARS).contains(&topic.chars().count()));
    }
    let mut headers = HeaderMap::new();
    if let Some(Ok(id)) = lines.next().map(HeaderValue::from_bytes) {
        headers.insert(LAST_EVENT_ID_HEADER, id);
    }
    if let Ok(Some(cursor)) = requested_cursor(&headers, &asked) {
        check_cursor(cursor);
    }
}

fn check_cursor(cursor: LastEventId) {
    const HEAD: i64 = 5_000;
    assert!(cursor.seq >= 0);
    let epoch = cursor.epoch.clone().unwrap_or(Epoch("1".to_owned()));
    assert!((1..=sse::MAX_EPOCH_BYTES).contains(&epoch.0.len()));
    if cursor.epoch.is_some() {
        let id = sse::event_id(&epoch, cursor.seq);
        assert_eq!(id.parse(), Ok(cursor.clone()));
    }
    let seq = cursor.seq;
    let (current, cursor) = (epoch.clone(), Cursor { epoch, seq });
    for oldest in [1, HEAD / 2, HEAD + 1] {
        let most = limits::MAX_REPLAY_EVENTS;
        match decide_resume(&current, HEAD, oldest, &cursor, most) {
            ResumeDecision::Recovered { after } => {
                assert!(after == seq && (0..=most).contains(&(HEAD - after)));
            }
            ResumeDecision::Resync => {}
        }
    }
}

/// As clients of every age send them.
pub(crate) fn cursor_examples() -> Vec<Vec<u8>> {
    [
        "",
        "topic=Sea&epoch=8f14e45fceea167a&after=4990&beat=true\n8f14e45fceea167a:4999",
        "epoch=a&after=4000\n4500",
        "topic=%E6%9D%B1%E4%BA%AC&after=+0\n8f14e45fceea167a:9223372036854775807",
    ]
    .map(Vec::from)
    .to_vec()
}

/// The body of a story: its HTML has the few tags and attributes that stories may have, and links to nothing that runs.
///
/// # Panics
/// If it has others.
pub fn markdown(data: &[u8]) {
    let body = String::from_utf8_lossy(data);
    let Ok(draft) = StoryDraft::new("Headline", &body, "", Urgency::Normal) else {
        return;
    };
    let again = StoryDraft::new("Headline", &draft.body, "", Urgency::Normal);
    assert_eq!(again, Ok(draft.clone()));
    let rendered = render(&draft.body);
    check_html(&rendered.html);
    assert!(rendered.html.len() <= 40 * draft.body.len() + 1_000);
    assert!(rendered.summary.chars().count() <= 201);
}

/// The sanitizer escapes `<` in text, and `"` in attributes.
fn check_html(html: &str) {
    const TAGS: [&str; 29] = [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "div",
        "em",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "kbd",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    const ATTRIBUTES: [&str; 9] = [
        "aria-label",
        "class",
        "href",
        "lang",
        "rel",
        "role",
        "start",
        "tabindex",
        "title",
    ];
    for tag in html.split('<').skip(1) {
        let name_end = tag.find([' ', '>']).expect("a tag ends");
        let (name, mut rest) = tag.split_at(name_end);
        let name = name.strip_prefix('/').unwrap_or(name);
        assert!(TAGS.contains(&name), "{name:?} in {html:?}");
        while let Some(attribute) = rest.strip_prefix(' ') {
            let (name, value) = attribute
                .split_once("=\"")
                .expect("an attribute has a value");
            let (value, after) = value.split_once('"').expect("a value ends");
            assert!(ATTRIBUTES.contains(&name), "{name:?} in {html:?}");
            assert!(name != "class" || value == "table-scroll", "{html:?}");
            assert!(name != "href" || leads_to_a_page(value), "{html:?}");
            rest = after;
        }
        assert!(rest.starts_with('>'), "{html:?}");
    }
}

/// As a browser reads it (WHATWG URL): a page of this site, a web page or a mail address.
fn leads_to_a_page(href: &str) -> bool {
    let href = href.replace("&amp;", "&");
    let base = reqwest::Url::parse("https://rialto.example.org/news/a").expect("a URL");
    base.join(&href)
        .is_ok_and(|url| ["http", "https", "mailto"].contains(&url.scheme()))
        // No browser follows what is no URL.
        || base.join(&href).is_err()
}

/// Everything that a story may have, and what it may not.
pub(crate) fn markdown_examples() -> Vec<Vec<u8>> {
    [
        "# A\n\n*b* **c** `d` ~~e~~ [f](https://g.example \"h\") ![i](j)\n\n> - k\n>   1. l\n\n---\n",
        "|a|b|\n|-|-:|\n|1|[2]|\n\n[2]: /news/a (b)\n\n```html\n<b>\n```\n\n    code\n",
        "<a href=\"java&Tab;script:alert(1)\" onclick=x>a</a> <svg/onload=alert(1)> <javascript:alert(1)>",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "[a](&#106;avascript:alert(1)) <mail@b.example> &lt;script&gt; \\<b>\r\n<p lang=\"de\">c\r\r\n",
        "<table><tr><td><ol start=\"3\"><li><kbd>a</kbd><sub>b</sub><noscript><p title=\"</noscript><img src=x>\">",
    ].map(Vec::from).to_vec()
}
