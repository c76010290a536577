//! The tables of limits in `docs/operating.md`.

use rialto::{
    model::limits::format_count,
    server::rate_limit::{
        Bound,
        entry_points::{ENTRY_POINTS, EntryPointKind},
    },
};
use std::fmt::Write;

const OPERATING_DOC: &str = include_str!("../../docs/operating.md");

/// `10,000`.
fn grouped(word: &str) -> String {
    word.parse().map_or_else(|_| word.to_owned(), format_count)
}

#[test]
fn the_table_of_limits_is_true() {
    let mut table = "| limit | for each | default | what counts |\n|---|---|---|---|\n".to_owned();
    for bound in Bound::ALL {
        let spec = bound.spec();
        let (name, key, counts) = (spec.name, spec.key.name(), spec.counts.trim());
        let counts = counts.trim_end_matches('.');
        let words = spec.default.to_string();
        let words: Vec<String> = words.split(' ').map(grouped).collect();
        writeln!(
            table,
            "| `{name}` | {key} | {} | {counts} |",
            words.join(" ")
        )
        .unwrap();
    }
    assert!(
        OPERATING_DOC.contains(&table),
        "docs/operating.md lacks:\n{table}"
    );
}

#[test]
fn the_table_of_entry_points_is_true() {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for entry in ENTRY_POINTS {
        let bounds = entry.bounds();
        let bounds: Vec<String> = bounds
            .map(|bound| format!("`{}`", bound.spec().name))
            .collect();
        let kind = match entry.kind {
            EntryPointKind::Route => "route",
            EntryPointKind::Frame => "frame",
            EntryPointKind::Turn => "TURN",
        };
        let bounds = format!("{kind} | {}", bounds.join(", "));
        let name = format!("`{}`", entry.name);
        match rows.iter_mut().find(|(same, _)| *same == bounds) {
            Some((_, names)) => names.push(name),
            None => rows.push((bounds, vec![name])),
        }
    }
    let mut table = "| kind | limits | entry points |\n|---|---|---|\n".to_owned();
    for (bounds, names) in rows {
        writeln!(table, "| {bounds} | {} |", names.join(", ")).unwrap();
    }
    assert!(
        OPERATING_DOC.contains(&table),
        "docs/operating.md lacks:\n{table}"
    );
}
