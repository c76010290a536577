//! `docs/performance.svg`: bars, legible on a light and on a dark page.

use std::fmt::Write as _;

use super::{
    results::{Measure, Results},
    table::number,
    targets,
};
use crate::peers::{Peer, Subject, Transport};

/// What is drawn, and what a bar's end means.
const DRAWN: [(Measure, &str); 4] = [
    (Measure::Flat1000, "more is better"),
    (Measure::PacedCpu, "less is better"),
    (Measure::PacedP99, "less is better"),
    (Measure::IdleBytes, "less is better"),
];

const WIDTH: usize = 860;
const LEFT: usize = 200;
const BAR: usize = 18;
/// The longest bar; beside it there is room for its number.
const LONGEST: f64 = 540.0;

/// The plot.
pub fn svg(results: &Results) -> String {
    let (mut body, mut y) = (String::new(), 10);
    for (measure, better) in DRAWN {
        for transport in [Transport::Sse, Transport::Ws] {
            let bars: Vec<(Peer, f64)> = Subject::all()
                .into_iter()
                .filter(|subject| subject.transport == transport)
                .filter_map(|subject| Some((subject.peer, results.get(measure, subject)?)))
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
                    targets::name(transport),
                    measure.title()
                ),
            );
            y += 10;
            for (peer, value) in bars {
                let class = if peer == Peer::Rialto { "ours" } else { "bar" };
                let (middle, length) = (y + BAR - 5, (value.max(0.0) / longest * LONGEST).max(1.0));
                line(
                    &mut body,
                    format_args!(
                        "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
                     <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.0}\" height=\"{}\" rx=\"2\" class=\"{class}\"/>\
                     <text x=\"{:.0}\" y=\"{middle}\">{}</text>",
                        LEFT - 8,
                        peer.name(),
                        BAR - 3,
                        LEFT as f64 + length + 8.0,
                        number(value)
                    ),
                );
                y += BAR;
            }
            y += 12;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         role=\"img\" aria-label=\"Rialto beside other servers\">\n\
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
