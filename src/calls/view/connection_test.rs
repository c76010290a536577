//! The connection test in Settings: direct, and through the relay over UDP or TCP.

use crate::{
    calls::{
        api::list_ice_servers,
        client::{
            connection_test::{RelayTimings, find_reflexive_address, test_relay},
            state::machine::NO_WEBRTC_REASON,
        },
    },
    model::{
        call::IceServer,
        finding::{Finding, Verdict},
    },
    ui::{
        browser_apis,
        findings::Findings,
        loading::Spinner,
        notice::{Notice, NoticeKind},
    },
};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum TestState {
    #[default]
    NotStarted,
    Running(&'static str),
    Done,
    Failed(String),
}

/// The test's button and findings.
#[component]
pub fn ConnectionTest() -> impl IntoView {
    let state = RwSignal::new(TestState::default());
    let findings = RwSignal::new(Vec::<Finding>::new());
    let is_hydrated = RwSignal::new(false);
    Effect::new(move || is_hydrated.set(true));
    let running = move || state.with(|test| matches!(test, TestState::Running(_)));
    let begin = move |_| {
        findings.set(Vec::new());
        state.set(TestState::Running("Requesting relay credentials…"));
        spawn_local(async move {
            let outcome = run_test(state, findings).await;
            let _ = state.try_set(outcome);
        });
    };
    view! {
        <section class="card stack" aria-labelledby="connection-test">
            <h2 id="connection-test">"Call connection test"</h2>
            <p class="quiet-text">
                "Tests the routes that calls can take from this browser. Takes a few seconds and calls nobody."
            </p>
            <div class="stack" role="status">
                {move || match state.get() {
                    TestState::Running(what) => {
                        Some(
                            view! {
                                <div class="wait">
                                    <Spinner />
                                    <span>{what}</span>
                                </div>
                            }
                                .into_any(),
                        )
                    }
                    TestState::Failed(why) => Some(view! { <Notice kind=NoticeKind::Error>{why}</Notice> }.into_any()),
                    TestState::NotStarted | TestState::Done => None,
                }}
                {move || (!findings.read().is_empty()).then(|| view! { <Findings findings=findings.get() /> })}
            </div>
            <button type="button" class="button" disabled=move || !is_hydrated.get() || running() on:click=begin>
                {move || if state.get() == TestState::Done { "Test again" } else { "Test my connection" }}
            </button>
        </section>
    }
}

async fn run_test(state: RwSignal<TestState>, findings: RwSignal<Vec<Finding>>) -> TestState {
    if !browser_apis::supports_calls() {
        return TestState::Failed(NO_WEBRTC_REASON.to_owned());
    }
    let servers = match list_ice_servers().await {
        Ok(servers) => servers,
        Err(why) => return TestState::Failed(why.to_string()),
    };
    let show_progress = move |what| drop(state.try_set(TestState::Running(what)));
    let add = move |finding| {
        let _ = findings.try_update(|findings| findings.push(finding));
    };
    show_progress("Testing the direct route…");
    let public_address = find_reflexive_address(&stun_servers(&servers)).await;
    show_progress("Testing the relay over UDP…");
    let by_udp = relay_finding(&servers, "udp", "Relay over UDP").await;
    add(direct_finding(
        public_address.as_deref(),
        by_udp.verdict == Verdict::Ok,
    ));
    add(by_udp);
    show_progress("Testing the relay over TCP…");
    add(relay_finding(&servers, "tcp", "Relay over TCP").await);
    add(findings.with_untracked(|findings| overall_finding(findings)));
    TestState::Done
}

/// A browser with a public address reports no server-reflexive candidate (RFC 8445 section 5.1.3).
fn direct_finding(public_address: Option<&str>, udp_gets_out: bool) -> Finding {
    const FINDING_NAME: &str = "Direct";
    match public_address {
        Some(address) => Finding::ok(
            FINDING_NAME,
            format!(
                "UDP works; your public address is {address}. Calls connect directly if the other network allows it."
            ),
        ),
        None if udp_gets_out => Finding::ok(
            FINDING_NAME,
            "UDP works, and this device has a public address. Calls connect directly if the other network allows it.",
        ),
        None => Finding::warning(
            FINDING_NAME,
            "Your network blocks UDP. Calls to other networks need the relay.",
            "No action needed as long as a relay route works.",
        ),
    }
}

async fn relay_finding(servers: &[IceServer], transport: &str, name: &'static str) -> Finding {
    let Some(relay) = turn_server(servers, transport) else {
        return Finding::warning(
            name,
            "This site has no relay of this kind.",
            "If calls do not connect, ask the administrator of this site.",
        );
    };
    match test_relay(&relay).await {
        Some(RelayTimings {
            connect_time: after,
            round_trip_time: round_trip,
        }) => Finding::ok(
            name,
            format!("Connected after {after} ms; round trip {round_trip} ms."),
        ),
        None => Finding::warning(
            name,
            "Blocked: no connection within ten seconds.",
            "No action needed as long as another route works.",
        ),
    }
}

fn overall_finding(findings: &[Finding]) -> Finding {
    const FINDING_NAME: &str = "Calls from here";
    let is_good = |at: usize| {
        findings
            .get(at)
            .is_some_and(|finding| finding.verdict == Verdict::Ok)
    };
    match (is_good(1), is_good(2), is_good(0)) {
        (true, _, _) => Finding::ok(FINDING_NAME, "Calls will connect."),
        (false, true, _) => Finding::ok(
            FINDING_NAME,
            "Calls will connect through the relay over TCP. Video may stutter on a busy network.",
        ),
        (false, false, true) => Finding::warning(
            FINDING_NAME,
            "Calls will connect only with people whose network allows direct connections.",
            "Ask the administrator of this site to run \"rialto doctor\", or try another network.",
        ),
        (false, false, false) => Finding::problem(
            FINDING_NAME,
            "Calls will not connect outside your own network.",
            "Try another network, such as mobile data, or ask your network administrator to allow UDP and TCP to this site's relay.",
        ),
    }
}

fn stun_servers(servers: &[IceServer]) -> Vec<IceServer> {
    let urls = servers.iter().flat_map(|server| &server.urls);
    let urls: Vec<_> = urls
        .filter(|url| url.starts_with("stun:"))
        .cloned()
        .collect();
    let server = IceServer {
        urls,
        username: None,
        credential: None,
    };
    // Browsers reject a server without URLs.
    Some(server)
        .filter(|server| !server.urls.is_empty())
        .into_iter()
        .collect()
}

/// UDP is the default transport (RFC 7065).
fn turn_server(servers: &[IceServer], transport: &str) -> Option<IceServer> {
    servers.iter().find_map(|server| {
        let fits = |url: &&String| {
            let explicit_transport = url.split("transport=").nth(1);
            url.starts_with("turn:") && explicit_transport.unwrap_or("udp") == transport
        };
        let urls: Vec<_> = server.urls.iter().filter(fits).cloned().collect();
        (!urls.is_empty()).then(|| IceServer {
            urls,
            ..server.clone()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> Vec<IceServer> {
        let urls = [
            "stun:192.0.2.1:3478",
            "turn:192.0.2.1:3478?transport=udp",
            "turn:192.0.2.1:3478?transport=tcp",
            "turn:198.51.100.1",
        ];
        vec![IceServer {
            urls: urls.map(str::to_owned).to_vec(),
            username: Some("ada".to_owned()),
            credential: Some("secret".to_owned()),
        }]
    }

    #[test]
    fn each_route_is_tested_with_its_own_servers() {
        assert_eq!(stun_servers(&servers())[0].urls, ["stun:192.0.2.1:3478"]);
        let udp = turn_server(&servers(), "udp").unwrap();
        assert_eq!(
            udp.urls,
            ["turn:192.0.2.1:3478?transport=udp", "turn:198.51.100.1"]
        );
        assert_eq!(udp.username.as_deref(), Some("ada"));
        let tcp = turn_server(&servers(), "tcp").unwrap();
        assert_eq!(tcp.urls, ["turn:192.0.2.1:3478?transport=tcp"]);
        assert_eq!(turn_server(&[], "udp"), None);
    }

    #[test]
    fn a_client_without_a_nat_is_not_taken_for_blocked() {
        assert!(
            direct_finding(Some("203.0.113.9"), true)
                .observation
                .contains("203.0.113.9")
        );
        assert_eq!(direct_finding(None, true).verdict, Verdict::Ok);
        assert_eq!(direct_finding(None, false).verdict, Verdict::Warning);
    }

    #[test]
    fn the_overall_finding_is_what_a_call_would_do() {
        let good = || Finding::ok("", "");
        let not = || Finding::warning("", "", "");
        let overall = |findings: [Finding; 3]| overall_finding(&findings);
        assert_eq!(overall([good(), good(), good()]).verdict, Verdict::Ok);
        assert!(
            overall([not(), not(), good()])
                .observation
                .contains("over TCP")
        );
        assert_eq!(overall([good(), not(), not()]).verdict, Verdict::Warning);
        assert_eq!(overall([not(), not(), not()]).verdict, Verdict::Problem);
    }
}
