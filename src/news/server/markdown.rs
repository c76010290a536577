//! From what an editor types to what a browser may be given: CommonMark to HTML, cleaned with a list of what is allowed.
//!
//! Nothing here trusts the author: whatever comes out can be put into a page as it is. A hostile or broken text costs no more
//! than its length, because nesting is bounded before the HTML parser sees it.

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// A summary has about this many characters.
const SUMMARY_CHARS: usize = 200;
/// Lists and quotes inside one another: past this depth the inner ones are shown like the outer ones.
const DEPTH: usize = 12;

/// A story's body as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Sanitised HTML.
    pub html: String,
    /// The first 200 or so characters as plain text.
    pub summary: String,
}

/// Renders a body.
#[must_use]
pub fn render(body: &str) -> Written {
    let events = events(body);
    let summary = summary(&events);
    let mut dirty = String::with_capacity(body.len() * 2);
    html::push_html(&mut dirty, events.into_iter());
    let clean = CLEANER.clean(&dirty).to_string();
    Written {
        html: reachable(&clean),
        summary,
    }
}

/// What may be wider than the page scrolls by itself, and whoever has no mouse can reach it to do so (WCAG 2.1.1). The cleaner
/// leaves these tags without attributes, and a text that looks like them is escaped.
fn reachable(clean: &str) -> String {
    const SCROLL: &str =
        r#"<div class="table-scroll" role="region" aria-label="Table" tabindex="0">"#;
    clean
        .replace("<table>", &format!("{SCROLL}<table>"))
        .replace("</table>", "</table></div>")
        .replace("<pre>", r#"<pre tabindex="0">"#)
}

/// What a story's HTML may hold. Ids and classes are not in the list: a story must not be able to pass for a part of the page.
static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
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

/// The body's events, with headings below the page's own, without pictures and without deep nesting.
fn events(body: &str) -> Vec<Event<'_>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut depth = 0_usize;
    let mut shallow: Vec<Event<'_>> = Parser::new_ext(body, options)
        .filter(|event| match event {
            Event::Start(tag) if nests(tag.to_end()) => {
                depth += 1;
                depth <= DEPTH
            }
            Event::End(tag) if nests(*tag) => {
                depth = depth.saturating_sub(1);
                depth < DEPTH
            }
            Event::Start(Tag::Item) | Event::End(TagEnd::Item) => depth <= DEPTH,
            // The page's security policy shows pictures of our own only, so a picture's description stands for it.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => false,
            _ => true,
        })
        .collect();
    demote(&mut shallow);
    shallow
}

fn nests(tag: TagEnd) -> bool {
    use TagEnd::{BlockQuote, Emphasis, List, Strikethrough, Strong};
    matches!(
        tag,
        BlockQuote(_) | List(_) | Emphasis | Strong | Strikethrough
    )
}

/// The headline is the page's `h1`: the largest heading of the body becomes `h2`, and none skips a level.
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

/// The beginning of the text without its form, cut at a word.
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
        if text.len() > SUMMARY_CHARS * 8 {
            break;
        }
    }
    cut(&text)
}

fn is_inline(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image
    )
}

fn cut(text: &str) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = folded.char_indices().nth(SUMMARY_CHARS) else {
        return folded;
    };
    let whole = &folded[..end];
    // A word longer than a fifth of the summary (an address, or a script without spaces) is cut where it is.
    let at_word = whole
        .rfind(' ')
        .filter(|at| *at > end * 4 / 5)
        .unwrap_or(end);
    let words =
        whole[..at_word].trim_end_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    format!("{words}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn html(body: &str) -> String {
        render(body).html
    }

    fn summary(body: &str) -> String {
        render(body).summary
    }

    #[test]
    fn markdown_becomes_html() {
        assert_eq!(
            html("A *b* **c** `d` ~~e~~"),
            "<p>A <em>b</em> <strong>c</strong> <code>d</code> <del>e</del></p>\n"
        );
        assert_eq!(html("1. a\n2. b"), "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n");
        assert_eq!(html("5 < 6 & \"7\""), "<p>5 &lt; 6 &amp; \"7\"</p>\n");
        assert_eq!(html(""), "");
    }

    #[test]
    fn tables_are_kept_without_inline_styles() {
        let table = html("|a|b|\n|-|-:|\n|1|2|");
        assert!(
            table.contains("<thead><tr><th>a</th><th>b</th></tr></thead>"),
            "{table}"
        );
        assert!(
            table.contains("<td>2</td>") && !table.contains("style"),
            "{table}"
        );
        assert!(
            table.starts_with("<div class=\"table-scroll\" ")
                && table.trim_end().ends_with("</table></div>"),
            "{table}"
        );
        assert_eq!(
            html("    <table>"),
            "<pre tabindex=\"0\"><code>&lt;table&gt;</code></pre>\n"
        );
    }

    #[test]
    fn headings_begin_below_the_headline_and_skip_no_level() {
        assert_eq!(html("# A\n## B"), "<h2>A</h2>\n<h3>B</h3>\n");
        assert_eq!(
            html("### A\n#### B\n### C"),
            "<h2>A</h2>\n<h3>B</h3>\n<h2>C</h2>\n"
        );
        assert_eq!(
            html("# A\n###### B\n# C"),
            "<h2>A</h2>\n<h3>B</h3>\n<h2>C</h2>\n"
        );
        assert_eq!(html("<h1>A</h1>"), "A");
    }

    #[test]
    fn links_give_nothing_away() {
        let rel = "rel=\"noopener noreferrer nofollow\"";
        assert_eq!(
            html("[a](https://b.example/?c=d)"),
            format!("<p><a href=\"https://b.example/?c=d\" {rel}>a</a></p>\n")
        );
        assert!(
            html("<a href=\"https://b.example\" rel=\"opener\" target=\"_blank\">a</a>")
                .ends_with(&format!(" {rel}>a</a></p>\n"))
        );
        assert!(html("[a](/chat)").contains("href=\"/chat\""));
        assert!(html("<mail@b.example>").contains("href=\"mailto:mail@b.example\""));
    }

    #[test]
    fn pictures_are_told_in_words() {
        assert_eq!(
            html("![A *quiet* sea](https://b.example/sea.png)"),
            "<p>A <em>quiet</em> sea</p>\n"
        );
        assert_eq!(
            html("a <img src=x alt=b onerror=alert(1)> c"),
            "<p>a  c</p>\n"
        );
    }

    #[test]
    fn nothing_that_runs_gets_through() {
        for attempt in [
            "<script>alert(1)</script>",
            "a <script>alert(1)</script> b",
            "<scr<script>ipt>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert(1)>",
            "<svg><script>alert(1)</script></svg>",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "[a](javascript:alert(1))",
            "[a](JaVaScRiPt:alert(1))",
            "[a](java\nscript:alert(1))",
            "[a](&#106;avascript:alert(1))",
            "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
            "[a](vbscript:alert(1))",
            "<javascript:alert(1)>",
            "<a href=\" javascript:alert(1)\">a</a>",
            "<a href=\"java&Tab;script:alert(1)\">a</a>",
            "<a href=x style=\"position:fixed\" onclick=alert(1)>a</a>",
            "<iframe src=javascript:alert(1)></iframe>",
            "<object data=x></object><embed src=x><base href=//b.example>",
            "<form action=//b.example><input name=password><button>a</button></form>",
            "<meta http-equiv=refresh content=\"0;url=//b.example\"><link rel=stylesheet href=//b.example>",
            "<style>@import '//b.example';</style>",
            "<p id=main class=site-header name=body>a</p>",
            "[a]: javascript:alert(1) \"b\"\n\n[a]",
            "`<script>`alert(1)",
            "```html\n<script>alert(1)</script>\n```",
            "\\<script>alert(1)\\</script>",
        ] {
            let html = html(attempt).replace("<pre tabindex=\"0\">", "<pre>");
            let tags: String = html
                .split('<')
                .skip(1)
                .filter_map(|rest| rest.split_once('>'))
                .map(|(tag, _)| tag)
                .collect();
            let tags = tags.to_lowercase();
            for forbidden in [
                "script", "style", "on", "svg", "math", "img", "iframe", "object", "embed", "base",
                "form", "input", "meta", "link", "id=", "class=", "name=", "data:", "button",
                "noscript",
            ] {
                // "on" stands for every event handler; the only word of ours that holds it is the links' rel.
                let tags = tags.replace("noopener noreferrer nofollow", "");
                assert!(!tags.contains(forbidden), "{attempt} became {html}");
            }
        }
    }

    #[test]
    fn a_hostile_text_costs_no_more_than_its_length() {
        // A quarter of the longest body: without optimisation the HTML parser is slow enough as it is.
        let most = crate::model::limits::BODY_CHARS / 4;
        for piece in [
            ">",
            "> ",
            "- ",
            "* ",
            "1. ",
            "[",
            "![",
            "*",
            "**a ",
            "*a _b ",
            "~~",
            "`",
            "<",
            "<b>",
            "<div>",
            "<em>",
            "<a>",
            "<li>",
            "<table>",
            "<blockquote>",
            "<p>",
            "<svg>",
            "<!--",
            "&",
            "|",
            "[a](",
            "[a]: b\n",
            "#",
            "# a\n",
            "<a href=",
            "\\",
            "|-",
        ] {
            let body = piece.repeat(most / piece.len());
            let start = Instant::now();
            let written = render(&body);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{piece:?} took {took:?}");
            assert!(
                written.html.len() < 40 * most,
                "{piece:?} became {} bytes",
                written.html.len()
            );
        }
    }

    #[test]
    fn a_summary_is_plain_text() {
        assert_eq!(
            summary("# Sea\n\nA *quiet* [sea](https://b.example)\nand `x < y`.\n\n- one\n- two"),
            "Sea A quiet sea and x < y. one two"
        );
        assert_eq!(summary("|a|b|\n|-|-|\n|1|2|"), "a b 1 2");
        assert_eq!(summary("<b>bold</b> &amp; ![alt](x)"), "bold & alt");
        assert_eq!(summary(""), "");
    }

    #[test]
    fn a_long_summary_is_cut_at_a_word() {
        let long = summary(&"word ".repeat(100));
        assert!(
            long.ends_with("word…") && long.chars().count() <= 201,
            "{long}"
        );
        let one_word = summary(&"あ".repeat(300));
        assert_eq!(one_word.chars().count(), 201);
        assert_eq!(summary(&"a".repeat(200)), "a".repeat(200));
        assert_eq!(
            summary(&format!("{}, {}", "a".repeat(190), "b".repeat(50))),
            format!("{}…", "a".repeat(190))
        );
    }
}
