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
        "# Performance\n\nWritten by `make bench`; [benches/README.md](../benches/README.md) describes what is measured and how.\n\n",
    );
    if options.scale() > 1 {
        text += "**A quick run with a tenth of the subscribers: it shows that everything works, not how fast it is.**\n\n";
    }
    text += "![Bar charts of the main figures](performance.svg)\n\n## Targets\n\n";
    let head = ["metric", "transport", "target", "limit", "Rialto", ""].map(str::to_owned);
    text += &markdown_table(&head, &targets::rows(results));
    let shortfalls = targets::shortfalls(results);
    if !shortfalls.is_empty() {
        text += "\nMissed targets:\n\n";
        for shortfall in shortfalls {
            append(&mut text, format_args!("- {shortfall}\n"));
        }
    }
    for transport in [Transport::Sse, Transport::Ws] {
        let servers: Vec<MeasuredServer> = MeasuredServer::all()
            .into_iter()
            .filter(|server| {
                server.transport == transport && results.versions.contains_key(&server.kind)
            })
            .collect();
        if servers.is_empty() {
            continue;
        }
        let name = targets::transport_name(transport);
        append(&mut text, format_args!("\n## {name}\n\n"));
        text += &values(results, &servers);
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
                text += &ratios(results, &servers, base);
            }
        }
    }
    text += &circumstances(options, results);
    text
}

fn head(servers: &[MeasuredServer]) -> Vec<String> {
    std::iter::once("metric".to_owned())
        .chain(servers.iter().map(|server| server.kind.name().to_owned()))
        .collect()
}

/// For every metric that at least one of these servers has.
fn rows(
    results: &Results,
    servers: &[MeasuredServer],
    metrics: impl Iterator<Item = Metric>,
    cell: impl Fn(Metric, MeasuredServer) -> String,
) -> String {
    let rows: Vec<Vec<String>> = metrics
        .filter(|metric| {
            servers
                .iter()
                .any(|server| results.get(*metric, *server).is_some())
        })
        .map(|metric| {
            std::iter::once(metric.title().to_owned())
                .chain(servers.iter().map(|server| cell(metric, *server)))
                .collect()
        })
        .collect();
    markdown_table(&head(servers), &rows)
}

fn values(results: &Results, servers: &[MeasuredServer]) -> String {
    rows(
        results,
        servers,
        Metric::ALL.into_iter(),
        |metric, server| match (results.get(metric, server), &results.versions[&server.kind]) {
            (Some(value), _) => format_number(value),
            (None, Err(_)) => "not installed".to_owned(),
            (None, Ok(_)) => "–".to_owned(),
        },
    )
}

fn ratios(results: &Results, servers: &[MeasuredServer], base: MeasuredServer) -> String {
    let metrics = Metric::ALL
        .into_iter()
        .filter(|metric| metric.is_comparable());
    rows(results, servers, metrics, |metric, server| {
        match (results.get(metric, server), results.get(metric, base)) {
            (Some(value), Some(base)) if base > 0.0 => format!("{} ×", format_number(value / base)),
            _ => "–".to_owned(),
        }
    })
}

fn circumstances(options: &Options, results: &Results) -> String {
    let mut text = format!(
        "\n## How this was measured\n\n\
         {}. The server runs on core {}, the generator on core {}, over loopback. Medians of {} runs, interleaved over the \
         servers; for lost, duplicated and out-of-order messages, the worst run.\n\n",
        proc::describe_machine(),
        crate::servers::process::SERVER_CORE,
        crate::servers::process::GENERATOR_CORE,
        options.runs
    );
    for (kind, version) in &results.versions {
        match version {
            Ok(version) => append(&mut text, format_args!("- {}: {version}\n", kind.name())),
            Err(why) => append(
                &mut text,
                format_args!("- {}: not installed ({why})\n", kind.name()),
            ),
        }
    }
    if !results.failures.is_empty() {
        text += "\nFailed measurements:\n\n";
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
