//! Findings about a server or a network: one verdict per row.

use super::icon::{Glyph, Icon};
use crate::model::finding::{Finding, Verdict};
use leptos::prelude::*;

/// A list of findings, in the given order.
#[component]
pub fn Findings(findings: Vec<Finding>) -> impl IntoView {
    view! { <ul class="findings">{findings.into_iter().map(|finding| view! { <Row finding /> }).collect_view()}</ul> }
}

#[component]
fn Row(finding: Finding) -> impl IntoView {
    let (class, glyph) = match finding.verdict {
        Verdict::Ok => ("finding good", Glyph::Ok),
        Verdict::Warning => ("finding doubtful", Glyph::Info),
        Verdict::Problem => ("finding wrong", Glyph::Warn),
    };
    view! {
        <li class=class>
            <Icon name=glyph />
            <div>
                <p>
                    <strong>{finding.subject}</strong>
                    " "
                    <span class="finding-verdict">{finding.verdict.label()}</span>
                </p>
                <p>{finding.observation}</p>
                {finding.advice.map(|todo| view! { <p class="finding-todo">{todo}</p> })}
            </div>
        </li>
    }
}
