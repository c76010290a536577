//! `docs/performance.svg`: bar charts, legible in light and dark themes.

use std::fmt::Write as _;

use super::{
    results::{Metric, Results},
    table::format_number,
    targets,
};
use crate::servers::{MeasuredServer, ServerKind, Transport};

/// With the better direction.
const PLOTTED_METRICS: [(Metric, &str); 4] = [
    (Metric::Flat1000, "higher is better"),
    (Metric::PacedCpu, "lower is better"),
    (Metric::PacedP99, "lower is better"),
    (Metric::IdleBytes, "lower is better"),
];

const PLOT_WIDTH: usize = 860;
const LABEL_WIDTH: usize = 200;
const BAR_HEIGHT: usize = 18;
/// The number is printed to the right of the bar.
const MAX_BAR_LENGTH: f64 = 540.0;

/// The plot.
pub fn svg(results: &Results) -> String {
    let (mut body, mut y) = (String::new(), 10);
    for (metric, better) in PLOTTED_METRICS {
        for transport in [Transport::Sse, Transport::Ws] {
            let bars: Vec<(ServerKind, f64)> = MeasuredServer::all()
                .into_iter()
                .filter(|server| server.transport == transport)
                .filter_map(|server| Some((server.kind, results.get(metric, server)?)))
                .filter(|(_, value)| value.is_finite())
                .collect();
            let longest = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
            if longest <= 0.0 {
                continue;
            }
            y += 22;
            line(
                &mut body,
                format_args!(
                    "<text x=\"0\" y=\"{y}\" class=\"title\">{}: {} <tspan class=\"quiet\">({better})</tspan></text>",
                    targets::transport_name(transport),
                    metric.title()
                ),
            );
            y += 10;
            for (kind, value) in bars {
                let class = if kind == ServerKind::Rialto {
                    "ours"
                } else {
                    "bar"
                };
                let (middle, length) = (
                    y + BAR_HEIGHT - 5,
                    (value.max(0.0) / longest * MAX_BAR_LENGTH).max(1.0),
                );
                line(
                    &mut body,
                    format_args!(
                        "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
                     <rect x=\"{LABEL_WIDTH}\" y=\"{y}\" width=\"{length:.0}\" height=\"{}\" rx=\"2\" class=\"{class}\"/>\
                     <text x=\"{:.0}\" y=\"{middle}\">{}</text>",
                        LABEL_WIDTH - 8,
                        kind.name(),
                        BAR_HEIGHT - 3,
                        LABEL_WIDTH as f64 + length + 8.0,
                        format_number(value)
                    ),
                );
                y += BAR_HEIGHT;
            }
            y += 12;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {PLOT_WIDTH} {y}\" width=\"{PLOT_WIDTH}\" height=\"{y}\" \
         role=\"img\" aria-label=\"Rialto compared with other servers\">\n\
         <style>\n\
         text {{ font: 13px system-ui, sans-serif; fill: #1c2330; }}\n\
         .title {{ font-weight: 600; }}\n\
         .quiet {{ font-weight: 400; fill: #5b6575; }}\n\
         .bar {{ fill: #98a3b3; }}\n\
         .ours {{ fill: #c2410c; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6e9ef; }}\n\
         .quiet {{ fill: #9aa5b5; }}\n\
         .bar {{ fill: #657185; }}\n\
         .ours {{ fill: #fb923c; }}\n\
         }}\n\
         </style>\n{body}</svg>\n"
    )
}

fn line(body: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _done = writeln!(body, "{text}");
}
