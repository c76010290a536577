//! `rialto doctor`: prints the findings of the running server.

use crate::{
    model::finding::{Finding, Verdict},
    protocol::failure::Failure,
    server::{
        AppState, Result,
        config::StoreConfig,
        control::{self, ControlFile},
        doctor,
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use std::{sync::Arc, time::Duration};

/// Several checks may time out in sequence.
const DOCTOR_TIMEOUT: Duration = Duration::from_mins(1);
const DOCTOR_PATH: &str = "/api/v1/doctor";

/// `GET /api/v1/doctor`. Requires the control token.
pub(super) async fn get_findings(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Json<Vec<Finding>>> {
    if !control::is_authorized(&app.control_token, &headers) {
        let reason = "Only \"rialto doctor\" on this machine may request this. In a browser, open the Administration page.";
        let reason = reason.to_owned();
        return Err(Failure::NotAllowed { reason }.into());
    }
    Ok(Json(doctor::run_checks(&app).await))
}

/// Prints a line for each finding.
///
/// # Errors
/// A message for the user, if no server runs on this data folder or a check found a problem.
pub async fn run(config: &StoreConfig) -> std::result::Result<(), String> {
    let folder = config.data.display();
    let Some(control) = control::read(&config.data).await? else {
        return Err(format!(
            "no server has used {folder} yet. Start one with \"rialto serve\" and try again, or set another folder with --data"
        ));
    };
    let findings = request_findings(&control).await?;
    let mut wrong = 0;
    for finding in &findings {
        println!("{}", format_finding(finding));
        if let Some(todo) = &finding.advice {
            println!("              {todo}");
        }
        wrong += usize::from(finding.verdict == Verdict::Problem);
    }
    match wrong {
        0 => Ok(()),
        1 => Err("1 problem found".to_owned()),
        wrong => Err(format!("{wrong} problems found")),
    }
}

fn format_finding(finding: &Finding) -> String {
    let Finding {
        verdict,
        subject: what,
        observation: says,
        advice: _,
    } = finding;
    format!("{:<13} {what}: {says}", verdict.label())
}

async fn request_findings(control: &ControlFile) -> std::result::Result<Vec<Finding>, String> {
    let address = &control.base_url;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(DOCTOR_TIMEOUT)
        .build()
        .map_err(|why| why.to_string())?;
    let asked = client
        .get(format!("{address}{DOCTOR_PATH}"))
        .bearer_auth(&control.token)
        .send()
        .await;
    let answer = asked.map_err(|why| {
        format!(
            "no server responds at {address}: {why}. Start one with \"rialto serve\" and try again"
        )
    })?;
    match answer.status() {
        StatusCode::OK => answer
            .json()
            .await
            .map_err(|why| format!("the server at {address} sent an invalid response: {why}")),
        status => Err(format!(
            "the server at {address} rejected the request ({status}): another program may be using its address. Stop that program or \
             restart Rialto"
        )),
    }
}
