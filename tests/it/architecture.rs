//! Dependencies point one way: `docs/architecture.md` says which, and this reads every `crate::` path of `src/`.

use std::{fmt, fs, path::Path};

/// What each top-level module may use. Whoever is not in the list may use everything: `app` and `serve` put the systems
/// together, `main` and `lib` start them.
const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 8] = [
    ("model", &[]),
    ("protocol", &["model"]),
    ("server", &["protocol", "model"]),
    ("ui", &["protocol", "model"]),
    ("people", &["ui", "server", "protocol", "model"]),
    ("news", &["people", "ui", "server", "protocol", "model"]),
    ("chat", &["people", "ui", "server", "protocol", "model"]),
    ("calls", &["people", "ui", "server", "protocol", "model"]),
];
/// Who may use everything.
const UNRESTRICTED_MODULES: [&str; 4] = ["app", "serve", "main", "lib"];

/// An arrow that points back.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    from: String,
    to: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            from,
            to,
        } = self;
        let allowed = ALLOWED_DEPENDENCIES
            .iter()
            .find(|(module, _)| module == from)
            .map_or(&[][..], |(_, allowed)| allowed);
        let allowed = if allowed.is_empty() {
            "nothing else".to_owned()
        } else {
            format!("only {}", allowed.join(", "))
        };
        write!(
            f,
            "src/{file}:{line}: {from} uses {to}, but {from} may use {allowed} (docs/architecture.md)"
        )
    }
}

/// The top-level module that a file below `src/` belongs to.
fn module_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Every arrow of a file that points back.
fn violations_in(file: &str, source: &str) -> Vec<Violation> {
    let from = module_of(file);
    let Some((_, allowed)) = ALLOWED_DEPENDENCIES
        .iter()
        .find(|(module, _)| *module == from)
    else {
        return Vec::new();
    };
    let wrong = |(line, to): (usize, String)| {
        let known = ALLOWED_DEPENDENCIES.iter().any(|(module, _)| *module == to)
            || UNRESTRICTED_MODULES.contains(&to.as_str());
        let is_wrong = known && to != from && !allowed.contains(&to.as_str());
        is_wrong.then(|| Violation {
            file: file.to_owned(),
            line,
            from: from.to_owned(),
            to,
        })
    };
    used_modules(source).into_iter().filter_map(wrong).collect()
}

/// Every top-level module that a source names after `crate::`, with the line: `use crate::a::b`, `use crate::{a::b, c}` over as
/// many lines as it takes, and `crate::a::b()` in the middle of a function.
fn used_modules(source: &str) -> Vec<(usize, String)> {
    let code = without_comments(source);
    let mut used = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let is_longer_word = code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        if is_longer_word {
            continue;
        }
        let start = at + found.len();
        for offset in path_starts(&code[start..]) {
            let name: String = code[start + offset..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let line = code[..start + offset].matches('\n').count() + 1;
            used.push((line, name));
        }
    }
    used
}

/// Where the names begin that stand right after `crate::`: one, or each first one within the braces.
fn path_starts(rest: &str) -> Vec<usize> {
    if !rest.starts_with('{') {
        return vec![0];
    }
    let mut depth = 0;
    let mut expected = false;
    let mut heads = Vec::new();
    for (at, c) in rest.char_indices() {
        match c {
            '{' => {
                depth += 1;
                expected = depth == 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            ',' if depth == 1 => expected = true,
            c if expected && !c.is_whitespace() => {
                heads.push(at);
                expected = false;
            }
            _ => {}
        }
    }
    heads
}

/// The source with comments blanked, so that lines keep their numbers. What links in documentation is no dependency.
fn without_comments(source: &str) -> String {
    let lines = source.lines().map(|line| {
        let comment = line
            .match_indices("//")
            .map(|(at, _)| at)
            .find(|at| !line[..*at].ends_with(':'));
        comment.map_or(line, |at| &line[..at])
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn collect_sources(folder: &Path, found: &mut Vec<(String, String)>, root: &Path) {
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            collect_sources(&entry, found, root);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let file = entry
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.push((file, fs::read_to_string(&entry).unwrap()));
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect_sources(&root, &mut files, &root);
    assert!(
        files.len() > 50,
        "these are not the sources: {} files",
        files.len()
    );
    for (file, _) in &files {
        let module = module_of(file);
        let known = ALLOWED_DEPENDENCIES.iter().any(|(name, _)| *name == module)
            || UNRESTRICTED_MODULES.contains(&module);
        assert!(
            known,
            "src/{file}: nothing says what {module} may use; add it to MAY_USE"
        );
    }
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|(file, source)| violations_in(file, source))
        .map(|wrong| wrong.to_string())
        .collect();
    assert!(
        wrong.is_empty(),
        "arrows that point back:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_planted_violation_is_found() {
    let planted = |file: &str, source: &str| -> Vec<(usize, String)> {
        violations_in(file, source)
            .into_iter()
            .map(|wrong| (wrong.line, wrong.to))
            .collect()
    };
    let at = |line: usize, to: &str| vec![(line, to.to_owned())];
    assert_eq!(
        planted("model/room.rs", "//! Rooms.\nuse crate::protocol::ws;\n"),
        at(2, "protocol")
    );
    let nested = "use crate::{\n    model::{Seq, message::Message},\n    calls::server::Calls,\n    ui::Icon,\n};\n";
    assert_eq!(planted("chat/room.rs", nested), at(3, "calls"));
    assert_eq!(
        planted(
            "server/log.rs",
            "fn a() {\n    crate::news::server::publish()\n}"
        ),
        at(2, "news")
    );
    assert_eq!(
        planted("ui/icon.rs", "pub(in crate::ui) use crate::server::App;"),
        at(1, "server")
    );
    assert_eq!(planted("news/mod.rs", "use crate::app::App;"), at(1, "app"));

    let fine = "//! See [`crate::chat`].\nuse crate::{people::Viewer, server::App};\nlet a = \"http://b\"; // crate::chat\n";
    assert_eq!(planted("news/page.rs", fine), []);
    assert_eq!(
        planted("serve/router.rs", "use crate::{chat, news, calls};"),
        []
    );
    assert_eq!(
        planted(
            "chat/mod.rs",
            "use crate::chat::api; use my_crate::news::a;"
        ),
        []
    );

    let wrong = violations_in("news/page.rs", "use crate::chat::api;")
        .pop()
        .unwrap()
        .to_string();
    assert_eq!(
        wrong,
        "src/news/page.rs:1: news uses chat, but news may use only people, ui, server, protocol, model (docs/architecture.md)"
    );
}
