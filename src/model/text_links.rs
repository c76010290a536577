//! Links in plain text.

use linkify::{LinkFinder, LinkKind};

/// A span of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSpan {
    Plain(String),
    /// An `http` or `https` URL as it is.
    Link(String),
}

/// Only `http://` and `https://` become links, never a `javascript:` URL.
#[must_use]
pub fn split_links(text: &str) -> Vec<TextSpan> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    finder
        .spans(text)
        .map(|span| {
            let text = span.as_str();
            let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
            let web = lower.starts_with("http://") || lower.starts_with("https://");
            if span.kind().is_some() && web {
                TextSpan::Link(text.to_owned())
            } else {
                TextSpan::Plain(text.to_owned())
            }
        })
        .collect()
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
    fn nothing_but_web_addresses_becomes_a_link() {
        assert!(
            links("javascript:alert(1) data:text/html,x ftp://example.org mail@example.org")
                .is_empty()
        );
    }

    #[test]
    fn the_spans_are_the_text() {
        let text = "a http://b.example/?q=1&r=\u{e9} c\nhttps://d.example";
        let whole: String = split_links(text)
            .into_iter()
            .map(|piece| match piece {
                TextSpan::Plain(text) | TextSpan::Link(text) => text,
            })
            .collect();
        assert_eq!(whole, text);
    }
}
