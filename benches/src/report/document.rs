//! `docs/performance.md`.

use std::fmt::{self, Write as _};

use super::{
    results::{Metric, Results},
    table::{format_number, markdown_table},
    targets,
};
use crate::{
    options::Options,
    proc,
    servers::{MeasuredServer, ServerKind, Transport},
};

/// The whole document.
pub fn markdown(options: &Options, results: &Results) -> String {
    let mut text = String::from(
        "# What Rialto costs\n\nWritten by `make bench`; see [benches/README.md](../benches/README.md) for what is measured and how.\n\n",
    );
    if options.scale() > 1 {
        text += "**A quick look, with a tenth of the subscribers: to see that everything works, not how fast it is.**\n\n";
    }
    text += "![The most important figures as bars](performance.svg)\n\n## Targets\n\n";
    let head = ["what", "over", "target", "that is", "Rialto", ""].map(str::to_owned);
    text += &markdown_table(&head, &targets::rows(results));
    let shortfalls = targets::shortfalls(results);
    if !shortfalls.is_empty() {
        text += "\nMissed, and why:\n\n";
        for shortfall in shortfalls {
            append(&mut text, format_args!("- {shortfall}\n"));
        }
    }
    for transport in [Transport::Sse, Transport::Ws] {
        let subjects: Vec<MeasuredServer> = MeasuredServer::all()
            .into_iter()
            .filter(|subject| {
                subject.transport == transport && results.versions.contains_key(&subject.kind)
            })
            .collect();
        if subjects.is_empty() {
            continue;
        }
        let name = targets::transport_name(transport);
        append(&mut text, format_args!("\n## {name}\n\n"));
        text += &values(results, &subjects);
        for base in [ServerKind::Nchan, ServerKind::Floor] {
            let base = MeasuredServer {
                transport,
                kind: base,
            };
            if results.has(base) {
                append(
                    &mut text,
                    format_args!("\n### {name}, relative to {}\n\n", base.kind.name()),
                );
                text += &ratios(results, &subjects, base);
            }
        }
    }
    text += &circumstances(options, results);
    text
}

fn head(subjects: &[MeasuredServer]) -> Vec<String> {
    std::iter::once("what".to_owned())
        .chain(
            subjects
                .iter()
                .map(|subject| subject.kind.name().to_owned()),
        )
        .collect()
}

/// A row for every measure that at least one of these servers has.
fn rows(
    results: &Results,
    subjects: &[MeasuredServer],
    measures: impl Iterator<Item = Metric>,
    cell: impl Fn(Metric, MeasuredServer) -> String,
) -> String {
    let rows: Vec<Vec<String>> = measures
        .filter(|measure| {
            subjects
                .iter()
                .any(|subject| results.get(*measure, *subject).is_some())
        })
        .map(|measure| {
            std::iter::once(measure.title().to_owned())
                .chain(subjects.iter().map(|subject| cell(measure, *subject)))
                .collect()
        })
        .collect();
    markdown_table(&head(subjects), &rows)
}

fn values(results: &Results, subjects: &[MeasuredServer]) -> String {
    rows(
        results,
        subjects,
        Metric::ALL.into_iter(),
        |measure, subject| match (
            results.get(measure, subject),
            &results.versions[&subject.kind],
        ) {
            (Some(value), _) => format_number(value),
            (None, Err(_)) => "not installed".to_owned(),
            (None, Ok(_)) => "–".to_owned(),
        },
    )
}

fn ratios(results: &Results, subjects: &[MeasuredServer], base: MeasuredServer) -> String {
    let measures = Metric::ALL
        .into_iter()
        .filter(|measure| measure.is_comparable());
    rows(results, subjects, measures, |measure, subject| {
        match (results.get(measure, subject), results.get(measure, base)) {
            (Some(value), Some(base)) if base > 0.0 => format!("{} ×", format_number(value / base)),
            _ => "–".to_owned(),
        }
    })
}

fn circumstances(options: &Options, results: &Results) -> String {
    let mut text = format!(
        "\n## How this was measured\n\n\
         {}. The server runs on core {}, the generator on core {}, over loopback. Medians of {} runs, interleaved over the \
         servers; of what is lost, doubled or out of order, the worst run.\n\n",
        proc::describe_machine(),
        crate::servers::process::SERVER_CORE,
        crate::servers::process::GENERATOR_CORE,
        options.runs
    );
    for (peer, version) in &results.versions {
        match version {
            Ok(version) => append(&mut text, format_args!("- {}: {version}\n", peer.name())),
            Err(why) => append(
                &mut text,
                format_args!("- {}: not installed ({why})\n", peer.name()),
            ),
        }
    }
    if !results.failures.is_empty() {
        text += "\nCould not be measured:\n\n";
        for failure in &results.failures {
            append(
                &mut text,
                format_args!("- {}\n", failure.lines().next().unwrap_or_default()),
            );
        }
    }
    text
}

fn append(text: &mut String, more: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _done = text.write_fmt(more);
}
