//! Metrics, request ids and the log.

use crate::{
    calls::CallClient,
    support::{Browser, HelloFrame, Server, eventually},
};
use rialto::model::{
    Cursor,
    call::{ClientAction, State},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
};

async fn start_with_metrics() -> Server {
    Server::start_with(|command| {
        command.args(["--metrics-addr", "127.0.0.1:0"]);
    })
    .await
}

/// In the `OpenMetrics` text format.
pub(crate) async fn scrape_metrics(server: &Server) -> String {
    let address = server.wait_for_line("metrics on ").await;
    let response = reqwest::get(address).await.unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"));
    let text = response.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

/// By name and labels.
fn sample_value(text: &str, sample: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {sample} in:\n{text}"));
    value.parse().unwrap()
}

pub(crate) async fn read_sample(server: &Server, sample: &str) -> u64 {
    sample_value(&scrape_metrics(server).await, sample)
}

/// An event may be counted after its effect is visible.
pub(crate) async fn wait_for_sample(server: &Server, sample: &str, is_right: impl Fn(u64) -> bool) {
    let is_so = async || is_right(sample_value(&scrape_metrics(server).await, sample));
    eventually(sample, is_so).await;
}

#[tokio::test]
async fn a_reader_of_the_older_text_format_gets_it() {
    let server = start_with_metrics().await;
    let address = server.wait_for_line("metrics on ").await;
    let browser = Browser::anonymous(&server, "Scraper");
    let request = browser.http().get(address).header("accept", "text/plain");
    let response = request.send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = response.text().await.unwrap();
    assert!(
        text.contains("# TYPE rialto_commit_failures_total counter\n"),
        "{text}"
    );
    assert!(!text.contains("# EOF"), "{text}");
}

#[tokio::test]
async fn what_happens_is_counted() {
    const PICKED: &str =
        r#"rialto_requests_total{method="POST",route="/fn/pick-name",status="302"}"#;
    const RESUMED: &str = r#"rialto_resumes_total{stream="room",recovered="true"}"#;
    const CANCELLED: &str = r#"rialto_calls_ended_total{outcome="cancelled"}"#;
    let server = start_with_metrics().await;
    let (mut ada, bob) = (
        CallClient::join(&server, "Ada").await,
        CallClient::join(&server, "Bob").await,
    );
    let general = ada.ws.general();
    let before = sample_value(&scrape_metrics(&server).await, "rialto_deliveries_total");
    ada.ws.send_message(general, "Good morning").await;
    wait_for_sample(&server, "rialto_deliveries_total", |n| n >= before + 2).await;
    wait_for_sample(&server, r#"rialto_connections{kind="websocket"}"#, |n| {
        n == 2
    })
    .await;
    wait_for_sample(&server, "rialto_people", |n| n == 2).await;
    wait_for_sample(&server, "rialto_commit_seconds_count", |n| n >= 1).await;
    wait_for_sample(&server, PICKED, |n| n == 2).await;

    let cursor = Cursor {
        epoch: ada.ws.room("general").epoch.clone(),
        seq: 0,
    };
    assert_eq!(sample_value(&scrape_metrics(&server).await, RESUMED), 0);
    let _bob_ws = bob
        .browser
        .connect_with(HelloFrame::with_cursor(general, cursor))
        .await;
    wait_for_sample(&server, RESUMED, |n| n == 1).await;

    let call = ada.start_call(&bob).await;
    assert_eq!(ada.next_state().await, State::Dialing);
    wait_for_sample(&server, "rialto_calls", |n| n == 1).await;
    ada.send_action(call, ClientAction::HangUp).await;
    ada.next_outcome().await;
    ada.next_state().await;
    wait_for_sample(&server, "rialto_calls", |n| n == 0).await;
    wait_for_sample(&server, CANCELLED, |n| n == 1).await;
}

fn metric_names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("rialto_"))
        .collect()
}

fn collect_queries(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            if let Some(query) = fields.get("expr") {
                found.push(query.as_str().unwrap().to_owned());
            }
            fields
                .values()
                .for_each(|value| collect_queries(value, found));
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_queries(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_shows_what_is_counted_and_nothing_that_is_not() {
    let server = start_with_metrics().await;
    Browser::join(&server, "Ada").await;
    let text = scrape_metrics(&server).await;
    let samples: BTreeSet<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut queries = Vec::new();
    collect_queries(&dashboard, &mut queries);
    assert!(queries.len() > 15, "{queries:?}");
    let queries = queries.join(" ");
    let unknown: Vec<_> = metric_names(&queries)
        .difference(&samples)
        .copied()
        .collect();
    assert!(unknown.is_empty(), "the server has no metric {unknown:?}");
    let described = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for metric in described {
        assert!(queries.contains(metric), "{metric} is on no panel");
    }
}

#[tokio::test]
async fn a_request_has_one_id_in_its_answer_and_in_the_log_and_its_secrets_in_neither() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let file = File::create(&log).unwrap();
    let server = Server::start_with(move |command| {
        command.args(["--log-format", "json"]);
        command.env("RIALTO_LOG", "rialto=debug");
        command.stderr(file.try_clone().unwrap());
    })
    .await;
    let browser = Browser::anonymous(&server, "Nobody");
    let response = browser.get("/signin?claim=open-sesame").await;
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let other = browser.get("/signin").await;
    assert_ne!(other.headers()["x-request-id"], id.as_str());

    let written = fs::read_to_string(&log).unwrap();
    let lines = written.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("every line is JSON");
        line
    });
    let request_lines: Vec<_> = lines.filter(|line| line["span"]["id"] == *id).collect();
    let answered = request_lines
        .iter()
        .find(|line| line["message"] == "answered");
    let answered = answered.unwrap_or_else(|| panic!("no {id} in {written}"));
    assert_eq!(
        (&answered["span"]["path"], &answered["status"]),
        (&Value::from("/signin"), &Value::from(200))
    );
    assert!(!written.contains("open-sesame"), "{written}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_is_not_taken_in_huge_pages() {
    let server = Server::start().await;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(
        status.lines().any(|line| line == "THP_enabled:\t0"),
        "{status}"
    );
}
