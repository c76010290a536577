//! Makes a plan that fails as small as possible.

use super::{plan::Plan, run::run};

/// A run takes about half a second.
const MAX_RUNS: u32 = 400;

/// Leaves out steps while the plan fails: half of them first, single ones last.
pub(super) fn shrink(mut plan: Plan) -> Plan {
    let mut runs = 0;
    let mut size = plan.steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < plan.steps.len() && runs < MAX_RUNS {
            let mut smaller = plan.clone();
            let end = (at + size).min(plan.steps.len());
            smaller.steps.drain(at..end);
            runs += 1;
            if run(&smaller).violations.is_empty() {
                at = end;
            } else {
                plan = smaller;
            }
        }
        size /= 2;
    }
    plan
}
