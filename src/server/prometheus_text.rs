//! `OpenMetrics` 1.0 rewritten as Prometheus' text format 0.0.4, for readers that know only that one.

use std::collections::HashMap;

/// Content type of the text format.
pub const PROMETHEUS_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether an `Accept` header (RFC 9110 section 12.5.1) names `text/plain` and not `OpenMetrics`.
#[must_use]
pub fn is_requested(accept: &str) -> bool {
    let names = |media_type: &str| {
        accept.split(',').any(|range| {
            let range = range.split(';').next().unwrap_or_default();
            range.trim().eq_ignore_ascii_case(media_type)
        })
    };
    names("text/plain") && !names("application/openmetrics-text")
}

/// Rewrites metadata, which names a counter or an info without the suffix of its samples. Samples are the same in both.
#[must_use]
pub fn from_openmetrics(text: &str) -> String {
    let types: HashMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut rewritten = String::with_capacity(text.len());
    for line in text.lines() {
        if let Some(line) = rewrite_line(line, &types) {
            rewritten.push_str(&line);
            rewritten.push('\n');
        }
    }
    rewritten
}

fn rewrite_line(line: &str, types: &HashMap<&str, &str>) -> Option<String> {
    let Some(metadata) = line.strip_prefix("# ") else {
        return Some(line.to_owned());
    };
    let mut words = metadata.splitn(3, ' ');
    let (keyword, name) = (words.next()?, words.next()?);
    let rest = words.next().unwrap_or_default();
    let kind = types.get(name).copied().unwrap_or_default();
    let suffix = match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    match keyword {
        "HELP" => Some(format!("# HELP {name}{suffix} {rest}")),
        "TYPE" if kind == "info" => Some(format!("# TYPE {name}{suffix} gauge")),
        "TYPE" if kind == "unknown" => Some(format!("# TYPE {name} untyped")),
        "TYPE" => Some(format!("# TYPE {name}{suffix} {rest}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_is_for_readers_that_name_nothing_newer() {
        assert!(is_requested("text/plain"));
        assert!(is_requested("text/html, Text/Plain; version=0.0.4;q=0.5"));
        for newer in [
            "",
            "*/*",
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        ] {
            assert!(!is_requested(newer), "{newer}");
        }
    }

    #[test]
    fn metadata_has_the_names_of_the_samples() {
        let openmetrics = "# HELP requests Requests answered.\n# TYPE requests counter\nrequests_total{kind=\"page\"} 3\n\
             # HELP build Version.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
             # HELP commit_seconds Duration.\n# TYPE commit_seconds histogram\n# UNIT commit_seconds seconds\n\
             commit_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        assert_eq!(
            from_openmetrics(openmetrics),
            "# HELP requests_total Requests answered.\n# TYPE requests_total counter\nrequests_total{kind=\"page\"} 3\n\
             # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
             # HELP commit_seconds Duration.\n# TYPE commit_seconds histogram\ncommit_seconds_bucket{le=\"+Inf\"} 1\n"
        );
    }
}
