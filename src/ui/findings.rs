//! What was found out about a server or a network: a verdict a row, in words, with what to do.

use super::icon::{Glyph, Icon};
use crate::model::finding::{Finding, Verdict};
use leptos::prelude::*;

/// Findings, in the order they are given.
#[component]
pub fn Findings(
    /// What was found.
    findings: Vec<Finding>,
) -> impl IntoView {
    view! { <ul class="findings">{findings.into_iter().map(|finding| view! { <Row finding /> }).collect_view()}</ul> }
}

#[component]
fn Row(finding: Finding) -> impl IntoView {
    let (class, glyph) = match finding.verdict {
        Verdict::Good => ("finding good", Glyph::Ok),
        Verdict::Doubtful => ("finding doubtful", Glyph::Info),
        Verdict::Wrong => ("finding wrong", Glyph::Warn),
    };
    view! {
        <li class=class>
            <Icon name=glyph />
            <div>
                <p>
                    <strong>{finding.what}</strong>
                    " "
                    <span class="finding-verdict">{finding.verdict.word()}</span>
                </p>
                <p>{finding.says}</p>
                {finding.todo.map(|todo| view! { <p class="finding-todo">{todo}</p> })}
            </div>
        </li>
    }
}
