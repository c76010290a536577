//! Links in plain text.

use super::user::is_default_ignorable;
use linkify::{LinkFinder, LinkKind};

/// A span of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSpan {
    Plain(String),
    /// An `http` or `https` URL as it is.
    Link(String),
}

/// Punctuation that ends a link, though a URL may hold it percent-encoded: text without spaces around links has it.
const LINK_ENDS: [char; 32] = [
    '。', '、', '，', '．', '！', '？', '：', '；', '…', '‥', '「', '」', '『', '』', '（', '）',
    '《', '》', '〈', '〉', '【', '】', '〔', '〕', '“', '”', '‘', '’', '«', '»', '،', '؟',
];

/// Only `http://` and `https://` become links, never a `javascript:` URL.
#[must_use]
pub fn split_links(text: &str) -> Vec<TextSpan> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    let mut spans = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = take_spans(&finder, rest, &mut spans);
    }
    spans
}

/// Returns the text after a link that ends before the span that the finder found.
fn take_spans<'a>(finder: &LinkFinder, text: &'a str, spans: &mut Vec<TextSpan>) -> &'a str {
    for span in finder.spans(text) {
        let found = span.as_str();
        let link = web_link(found).filter(|_| span.kind().is_some());
        let Some(link) = link else {
            spans.push(TextSpan::Plain(found.to_owned()));
            continue;
        };
        spans.push(TextSpan::Link(link.to_owned()));
        if link.len() < found.len() {
            return &text[span.start() + link.len()..];
        }
    }
    ""
}

/// Also a space of any width: French has one that does not break before an exclamation mark.
fn ends_link(c: char) -> bool {
    LINK_ENDS.contains(&c) || c.is_whitespace() || c.is_control() || is_default_ignorable(c)
}

fn web_link(found: &str) -> Option<&str> {
    let link = found.split(ends_link).next().unwrap_or_default();
    let scheme = ["https://", "http://"].into_iter().find(|scheme| {
        link.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })?;
    (link.len() > scheme.len()).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        split_links(text)
            .into_iter()
            .filter_map(|piece| match piece {
                TextSpan::Link(link) => Some(link),
                TextSpan::Plain(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_full_stop_after_an_address_is_not_part_of_it() {
        assert_eq!(
            links("see https://example.org/a_(b). Or not"),
            ["https://example.org/a_(b)"]
        );
    }

    #[test]
    fn punctuation_of_any_script_ends_a_link() {
        assert_eq!(
            links("見て「https://example.org/a」。次はhttps://b.example。https://c.example/é…"),
            [
                "https://example.org/a",
                "https://b.example",
                "https://c.example/é"
            ]
        );
        assert_eq!(
            links("“https://example.org/a”, «https://b.example»"),
            ["https://example.org/a", "https://b.example"]
        );
        assert_eq!(
            links("https://example.org/李小龍"),
            ["https://example.org/李小龍"]
        );
        assert!(links("https://。 http://”").is_empty());
        assert_eq!(
            links("Voir https://example.org/a\u{a0}! https://b.example/\u{202e}gpj.exe"),
            ["https://example.org/a", "https://b.example/"]
        );
    }

    #[test]
    fn nothing_but_web_addresses_becomes_a_link() {
        assert!(
            links("javascript:alert(1) data:text/html,x ftp://example.org mail@example.org")
                .is_empty()
        );
    }

    #[test]
    fn the_spans_are_the_text() {
        for text in [
            "a http://b.example/?q=1&r=\u{e9} c\nhttps://d.example",
            "「https://example.org/a」。https://。HTTPS://B.example…",
            "。",
            "",
        ] {
            let whole: String = split_links(text)
                .into_iter()
                .map(|piece| match piece {
                    TextSpan::Plain(text) | TextSpan::Link(text) => text,
                })
                .collect();
            assert_eq!(whole, text);
        }
    }
}
