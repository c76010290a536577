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
fn images_become_their_alt_text() {
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
            // "on" matches every event handler, and the `rel` value.
            let tags = tags.replace("noopener noreferrer nofollow", "");
            assert!(!tags.contains(forbidden), "{attempt} became {html}");
        }
    }
}

#[test]
fn a_hostile_text_costs_no_more_than_its_length() {
    // The HTML parser is slow in unoptimized builds.
    let most = crate::model::limits::MAX_BODY_CHARS / 4;
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
