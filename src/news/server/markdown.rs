//! Markdown to sanitized HTML.
//!
//! The author is not trusted. Nesting is bounded before the HTML parser sees it, so that hostile input costs linear time.

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// Approximate.
const MAX_SUMMARY_CHARS: usize = 200;
/// Of lists, quotes and emphasis; deeper levels are flattened.
const MAX_NESTING_DEPTH: usize = 12;

/// A rendered story body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedBody {
    /// Sanitized.
    pub html: String,
    /// About 200 characters of plain text.
    pub summary: String,
}

/// Renders and sanitizes a Markdown body.
#[must_use]
pub fn render(body: &str) -> RenderedBody {
    let events = events(body);
    let summary = summary(&events);
    let mut dirty = String::with_capacity(body.len() * 2);
    html::push_html(&mut dirty, events.into_iter());
    let clean = SANITIZER.clean(&dirty).to_string();
    RenderedBody {
        html: add_keyboard_scrolling(&clean),
        summary,
    }
}

/// For keyboard scrolling (WCAG 2.1.1). Replacement is safe: sanitized tags have no attributes, and text is escaped.
fn add_keyboard_scrolling(clean: &str) -> String {
    const SCROLL_REGION_TAG: &str =
        r#"<div class="table-scroll" role="region" aria-label="Table" tabindex="0">"#;
    clean
        .replace("<table>", &format!("{SCROLL_REGION_TAG}<table>"))
        .replace("</table>", "</table></div>")
        .replace("<pre>", r#"<pre tabindex="0">"#)
}

/// No ids and classes: a story cannot imitate parts of the page.
static SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let tags = [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
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
    let attributes = [
        ("a", HashSet::from(["href", "title"])),
        ("ol", HashSet::from(["start"])),
    ];
    let mut cleaner = Builder::empty();
    cleaner
        .tags(HashSet::from(tags))
        .tag_attributes(HashMap::from(attributes))
        .generic_attributes(HashSet::from(["lang"]))
        .clean_content_tags(HashSet::from([
            "script", "style", "title", "textarea", "noscript", "template",
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true);
    cleaner
});

fn events(body: &str) -> Vec<Event<'_>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut depth = 0_usize;
    let mut shallow: Vec<Event<'_>> = Parser::new_ext(body, options)
        .filter(|event| match event {
            Event::Start(tag) if is_nesting(tag.to_end()) => {
                depth += 1;
                depth <= MAX_NESTING_DEPTH
            }
            Event::End(tag) if is_nesting(*tag) => {
                depth = depth.saturating_sub(1);
                depth < MAX_NESTING_DEPTH
            }
            Event::Start(Tag::Item) | Event::End(TagEnd::Item) => depth <= MAX_NESTING_DEPTH,
            // The content security policy blocks foreign images: their description is shown.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => false,
            _ => true,
        })
        .collect();
    demote(&mut shallow);
    shallow
}

fn is_nesting(tag: TagEnd) -> bool {
    use TagEnd::{BlockQuote, Emphasis, List, Strikethrough, Strong};
    matches!(
        tag,
        BlockQuote(_) | List(_) | Emphasis | Strong | Strikethrough
    )
}

/// The largest heading becomes `h2`, and none skips a level.
fn demote(events: &mut [Event<'_>]) {
    let level = |event: &Event<'_>| match event {
        Event::Start(Tag::Heading { level, .. }) => Some(*level as usize),
        _ => None,
    };
    let Some(largest) = events.iter().filter_map(level).min() else {
        return;
    };
    let mut last = 1;
    for event in events {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                last = (*level as usize - largest + 2).min(last + 1).min(6);
                *level = heading(last);
            }
            Event::End(TagEnd::Heading(level)) => *level = heading(last),
            _ => {}
        }
    }
}

fn heading(level: usize) -> HeadingLevel {
    HeadingLevel::try_from(level).unwrap_or(HeadingLevel::H6)
}

fn summary(events: &[Event<'_>]) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Text(piece) | Event::Code(piece) => text.push_str(piece),
            Event::Start(Tag::CodeBlock(_) | Tag::Item)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule => text.push(' '),
            Event::End(end) if !is_inline(*end) => text.push(' '),
            _ => {}
        }
        if text.len() > MAX_SUMMARY_CHARS * 8 {
            break;
        }
    }
    truncate_at_word(&text)
}

fn is_inline(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image
    )
}

fn truncate_at_word(text: &str) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = folded.char_indices().nth(MAX_SUMMARY_CHARS) else {
        return folded;
    };
    let whole = &folded[..end];
    // A very long word is cut anywhere.
    let at_word = whole
        .rfind(' ')
        .filter(|at| *at > end * 4 / 5)
        .unwrap_or(end);
    let words =
        whole[..at_word].trim_end_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    format!("{words}…")
}

#[cfg(test)]
mod tests;
