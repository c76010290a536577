//! Dependencies in `src/` point one way, as in `docs/architecture.md`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("protocol", &["model"]),
    ("server", &["protocol", "model"]),
    ("ui", &["protocol", "model"]),
    ("people", &["ui", "server", "protocol", "model"]),
    ("news", &["people", "ui", "server", "protocol", "model"]),
    ("chat", &["people", "ui", "server", "protocol", "model"]),
    ("calls", &["people", "ui", "server", "protocol", "model"]),
    (
        "app",
        &[
            "calls", "chat", "news", "people", "ui", "server", "protocol", "model",
        ],
    ),
    (
        "serve",
        &[
            "app", "calls", "chat", "news", "people", "ui", "server", "protocol", "model",
        ],
    ),
    (
        "fuzzing",
        &[
            "serve", "app", "calls", "chat", "news", "people", "ui", "server", "protocol", "model",
        ],
    ),
    ("lib", &["app", "ui"]),
    ("main", &[]),
];

/// No path of the first may lead into the second.
const FORBIDDEN_DEPENDENCIES: [(&str, &str); 15] = [
    ("server::live", "model::call"),
    ("server::bus", "model::call"),
    ("calls::client", "calls::view"),
    ("calls::client", "calls::chunk"),
    ("calls::client::state", "ui"),
    ("chat::client::state", "ui"),
    ("calls::client::devices", "calls::client::peer"),
    // Only durations: somebody may set the wall clock meanwhile.
    ("server::live", "server::clock"),
    ("server::rate_limit", "server::clock"),
    ("serve", "server::clock"),
    ("ui::socket", "ui::browser::now"),
    ("calls::client", "ui::browser::now"),
    ("calls::view::stage", "ui::browser::now"),
    ("chat::composer", "ui::browser::now"),
    ("news::reconnect_policy", "ui::browser::now"),
];

/// Plain functions over plain data.
const PURE_MODULES: [&str; 6] = [
    "model",
    "protocol",
    "chat::client::state",
    "calls::client::state",
    "calls::client::peer::state",
    "calls::client::transfer::state",
];
const IMPURE_CRATES: [&str; 9] = [
    "axum",
    "js_sys",
    "leptos",
    "sqlx",
    "tokio",
    "wasm_bindgen",
    "wasm_bindgen_futures",
    "web_sys",
    "reqwest",
];

/// Their files must not depend on one another in a circle.
const ACYCLIC_MODULES: [&str; 8] = [
    "model", "protocol", "ui", "people", "news", "chat", "calls", "app",
];

/// `["crate", "model", "Seq"]`.
type Segments = Vec<String>;

/// Every path in a source, `use` trees spelt out, except in `mod tests`.
#[derive(Default)]
struct Paths {
    used: Vec<Segments>,
    inline: Vec<Segments>,
}

impl Paths {
    fn of(source: &str) -> Self {
        let tokens: TokenStream = source.parse().expect("the sources are Rust");
        let mut paths = Self::default();
        paths.collect(tokens);
        paths
    }

    fn collect(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let is_after_path = at > 1 && is_colon(&tokens[at - 1]) && is_colon(&tokens[at - 2]);
            match &tokens[at] {
                TokenTree::Ident(word) if *word == "use" => {
                    let end = end_of_statement(&tokens, at);
                    use_tree(&tokens[at + 1..end], &[], &mut self.used);
                    at = end;
                }
                TokenTree::Ident(word) if *word == "mod" && is_ident(&tokens, at + 1, "tests") => {
                    // The body, or the semicolon.
                    at += 3;
                }
                // `pub(in crate::a)` is no dependency.
                TokenTree::Ident(word) if *word == "pub" => {
                    let is_restricted = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    at += if is_restricted { 2 } else { 1 };
                }
                TokenTree::Ident(_) if !is_after_path => {
                    let (path, next) = path_at(&tokens, at);
                    if path.len() > 1 {
                        self.inline.push(path);
                    }
                    at = next;
                }
                TokenTree::Group(group) => {
                    self.collect(group.stream());
                    at += 1;
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
            }
        }
    }
}

fn is_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':')
}

fn is_ident(tokens: &[TokenTree], at: usize, word: &str) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Ident(ident)) if ident == word)
}

fn end_of_statement(tokens: &[TokenTree], from: usize) -> usize {
    let is_end =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    let end = tokens[from..].iter().position(is_end);
    end.map_or(tokens.len(), |offset| from + offset)
}

/// The identifiers joined by `::`, and where they end.
fn path_at(tokens: &[TokenTree], mut at: usize) -> (Segments, usize) {
    let mut path = Vec::new();
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        path.push(ident.to_string());
        at += 1;
        let is_joined =
            tokens.get(at).is_some_and(is_colon) && tokens.get(at + 1).is_some_and(is_colon);
        if !is_joined {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// `a::{b, c::d as e}` is `a::b` and `a::c::d`.
fn use_tree(tokens: &[TokenTree], prefix: &[String], found: &mut Vec<Segments>) {
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    for branch in tokens.split(is_comma) {
        let Some(start) = branch
            .iter()
            .position(|token| matches!(token, TokenTree::Ident(_) | TokenTree::Group(_)))
        else {
            continue;
        };
        let (path, next) = path_at(branch, start);
        let path: Segments = prefix.iter().cloned().chain(path).collect();
        match branch.get(next) {
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                use_tree(&inner, &path, found);
            }
            _ => found.push(path),
        }
    }
}

/// By module path: `calls/client/mod.rs` is `["calls", "client"]`.
struct Sources(BTreeMap<Segments, String>);

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut sources = BTreeMap::new();
        collect_sources(&root, &root, &mut sources);
        assert!(sources.len() > 50, "these are not the sources");
        Self(sources)
    }

    fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        let files = files.into_iter();
        Self(
            files
                .map(|(module, source)| (segments(module), source.to_owned()))
                .collect(),
        )
    }

    /// Absolute paths below the crate, and first segments of paths into other crates.
    fn dependencies(&self, module: &Segments) -> (Vec<Segments>, Vec<String>) {
        let paths = Paths::of(&self.0[module]);
        let mut inner = Vec::new();
        let mut outer = Vec::new();
        let mut names = BTreeMap::new();
        for path in &paths.used {
            match self.resolve(module, path) {
                Some(mut absolute) => {
                    if absolute.last().is_some_and(|last| last == "self") {
                        absolute.pop();
                    }
                    if let Some(last) = absolute.last() {
                        names.insert(last.clone(), absolute.clone());
                    }
                    inner.push(absolute);
                }
                None => outer.extend(path.first().cloned()),
            }
        }
        for path in &paths.inline {
            let imported = names.get(&path[0]);
            if let Some(imported) = imported {
                let rest = path[1..].iter().cloned();
                inner.push(imported.iter().cloned().chain(rest).collect());
            } else if let Some(absolute) = self.resolve(module, path) {
                inner.push(absolute);
            } else {
                outer.push(path[0].clone());
            }
        }
        (inner, outer)
    }

    /// `None` for a path into another crate.
    fn resolve(&self, module: &Segments, path: &Segments) -> Option<Segments> {
        let mut at = module.clone();
        let mut rest = path.as_slice();
        match rest.first().map(String::as_str) {
            Some("crate") => {
                at.clear();
                rest = &rest[1..];
            }
            Some("self") => rest = &rest[1..],
            Some("super") => {
                while rest.first().is_some_and(|first| first == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            Some(first) => {
                let child: Segments = at.iter().cloned().chain([first.to_owned()]).collect();
                if !self.0.contains_key(&child) {
                    return None;
                }
            }
            None => return None,
        }
        Some(at.into_iter().chain(rest.iter().cloned()).collect())
    }

    /// The longest beginning of a path that is a file.
    fn file_of(&self, path: &Segments) -> Option<Segments> {
        (1..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|beginning| self.0.contains_key(beginning))
    }

    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for module in self.0.keys() {
            let (inner, outer) = self.dependencies(module);
            let top = &module[0];
            let allowed = ALLOWED_DEPENDENCIES.iter().find(|(name, _)| name == top);
            let Some((_, allowed)) = allowed else {
                found.push(format!("{top}: add it to ALLOWED_DEPENDENCIES"));
                continue;
            };
            for path in &inner {
                let Some(to) = path.first() else { continue };
                let is_module = ALLOWED_DEPENDENCIES.iter().any(|(name, _)| name == to);
                if is_module && to != top && !allowed.contains(&to.as_str()) {
                    found.push(arrow(module, path));
                }
                for (from, to) in FORBIDDEN_DEPENDENCIES {
                    if is_below(module, from) && is_below(path, to) {
                        found.push(arrow(module, path));
                    }
                }
            }
            let is_pure = PURE_MODULES.iter().any(|pure| is_below(module, pure));
            for name in outer {
                if is_pure && IMPURE_CRATES.contains(&name.as_str()) {
                    found.push(arrow(module, &vec![name]));
                }
            }
        }
        found
    }

    /// Between files of one system, each as the files on it.
    fn circles(&self) -> Vec<Vec<String>> {
        let mut arrows: BTreeMap<Segments, BTreeSet<Segments>> = BTreeMap::new();
        for module in self.0.keys() {
            if !ACYCLIC_MODULES.contains(&module[0].as_str()) {
                continue;
            }
            let (inner, _) = self.dependencies(module);
            let targets = inner.iter().filter_map(|path| self.file_of(path));
            let targets = targets.filter(|to| to != module && to[0] == module[0]);
            arrows.insert(module.clone(), targets.collect());
        }
        // What is on a circle reaches itself.
        let reaches = |from: &Segments| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&Segments> = arrows[from].iter().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next.clone()) {
                    open.extend(arrows.get(next).into_iter().flatten());
                }
            }
            seen
        };
        let reach: BTreeMap<&Segments, BTreeSet<Segments>> =
            arrows.keys().map(|from| (from, reaches(from))).collect();
        let mut circles = BTreeSet::new();
        for (from, reached) in &reach {
            if reached.contains(*from) {
                let circle = reached
                    .iter()
                    .filter(|to| reach.get(to).is_some_and(|back| back.contains(*from)));
                circles.insert(circle.map(|module| module.join("::")).collect::<Vec<_>>());
            }
        }
        circles.into_iter().collect()
    }
}

fn segments(path: &str) -> Segments {
    path.split("::").map(str::to_owned).collect()
}

fn is_below(path: &Segments, ancestor: &str) -> bool {
    path.starts_with(&segments(ancestor))
}

fn arrow(from: &Segments, to: &Segments) -> String {
    format!("{} -> {}", from.join("::"), to.join("::"))
}

fn collect_sources(folder: &Path, root: &Path, found: &mut BTreeMap<Segments, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            collect_sources(&entry, root, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let module = entry.strip_prefix(root).unwrap().with_extension("");
            let mut module: Segments = module
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            // Tests may use everything.
            if !module
                .iter()
                .any(|part| ["tests", "testing", "simulation"].contains(&part.as_str()))
            {
                found.insert(module, fs::read_to_string(&entry).unwrap());
            }
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let violations = Sources::read().violations();
    assert!(
        violations.is_empty(),
        "forbidden (docs/architecture.md):\n{}",
        violations.join("\n")
    );
}

#[test]
fn what_a_browser_may_lack_is_looked_up_in_one_module() {
    const FORBIDDEN: [&str; 11] = [
        ".navigator()",
        ".local_storage()",
        ".session_storage()",
        ".crypto()",
        "AbortSignal::timeout",
        "AudioContext::new",
        "DateTimeFormat::new",
        "Notification::permission",
        "Notification::request_permission",
        "Reflect::has",
        "RtcPeerConnection::new(",
    ];
    // `navigator.userAgent` is everywhere; a date format is made where its support was asked for.
    const ALLOWED: [(&str, &str); 2] = [
        ("ui::browser", ".navigator()"),
        ("ui::time", "DateTimeFormat::new"),
    ];
    let Sources(sources) = Sources::read();
    for (module, source) in sources {
        let module = module.join("::");
        let is_allowed =
            |lookup| module == "ui::browser_apis" || ALLOWED.contains(&(module.as_str(), lookup));
        for lookup in FORBIDDEN.into_iter().filter(|lookup| !is_allowed(lookup)) {
            assert!(!source.contains(lookup), "{lookup} in {module}");
        }
    }
}

#[test]
fn no_circle_between_files_of_one_system() {
    assert_eq!(Sources::read().circles(), Vec::<Vec<String>>::new());
}

#[test]
fn every_kind_of_forbidden_dependency_is_found() {
    let planted = |module: &str, source: &str| Sources::of([(module, source)]).violations();
    for (module, source, expected) in [
        (
            "model::room",
            "//! Rooms.\nuse crate::protocol::ws;\n",
            "model::room -> protocol::ws",
        ),
        (
            "chat::room",
            "use crate::{\n    model::{Seq, message::Message},\n    calls::server::Calls,\n};",
            "chat::room -> calls::server::Calls",
        ),
        (
            "server::event_log",
            "fn a() {\n    crate::news::server::publish()\n}",
            "server::event_log -> news::server::publish",
        ),
        (
            "app::document",
            "use crate::serve::Assets;",
            "app::document -> serve::Assets",
        ),
        (
            "server::live::state",
            "use crate::model::{RoomId, call::group::GroupCallView};",
            "server::live::state -> model::call::group::GroupCallView",
        ),
        (
            "server::bus::message",
            "use crate::model; fn a(_: model::call::Media) {}",
            "server::bus::message -> model::call::Media",
        ),
        (
            "calls::client::peers",
            "use super::super::view::dock::Dock;",
            "calls::client::peers -> calls::view::dock::Dock",
        ),
        (
            "server::live::connection",
            "use crate::server::{bus, clock};",
            "server::live::connection -> server::clock",
        ),
        (
            "chat::composer",
            "use crate::ui::browser; fn a() { browser::now(); }",
            "chat::composer -> ui::browser::now",
        ),
        (
            "model::story",
            "use web_sys::Window;",
            "model::story -> web_sys",
        ),
        (
            "calls::client::state::recovery",
            "fn a() { leptos::prelude::Effect::new(|| {}); }",
            "calls::client::state::recovery -> leptos",
        ),
        (
            "chat::client::state::frames",
            "use leptos::prelude::RwSignal;",
            "chat::client::state::frames -> leptos",
        ),
        (
            "chat::client::state::frames",
            "use crate::ui::socket::Socket;",
            "chat::client::state::frames -> ui::socket::Socket",
        ),
    ] {
        assert_eq!(planted(module, source), [expected], "{module}");
    }
    for (module, source) in [
        (
            "news::page",
            "//! See [`crate::chat`].\nuse crate::{people::Viewer, server::App};\nconst A: &str = \"crate::chat\"; // crate::chat\n",
        ),
        ("serve::router", "use crate::{chat, news, calls};"),
        (
            "chat",
            "use crate::chat::api; pub(in crate::chat) fn a() {}",
        ),
        (
            "model::id",
            "#[cfg(test)]\nmod tests { use crate::server::random; }",
        ),
    ] {
        assert_eq!(planted(module, source), [""; 0], "{module}");
    }
}

#[test]
fn a_circle_is_found_however_its_paths_are_written() {
    let circles = Sources::of([
        ("news", "pub mod a; pub mod b; pub mod c;"),
        ("news::a", "use super::b::{self, B}; fn f(_: b::B) {}"),
        ("news::b", "fn f() { crate::news::c::g() }"),
        ("news::c", "use crate::news::{a::A};"),
        ("news::d", "use super::a;"),
    ])
    .circles();
    assert_eq!(circles, [["news::a", "news::b", "news::c"]]);
}
