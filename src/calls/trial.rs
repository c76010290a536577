//! Testing one's own connection, in Settings: whether a call can go directly, through the relay by UDP, by TCP; measured, not guessed.

use super::{
    api::list_ice_servers,
    client::trial::{Open, seen_from, through},
};
use crate::{
    model::{
        call::IceServer,
        finding::{Finding, Verdict},
    },
    ui::{
        findings::Findings,
        notice::{Notice, NoticeKind},
        wait::Spinner,
    },
};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// Where a test stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Trial {
    #[default]
    NotYet,
    Running(&'static str),
    Done,
    Failed(String),
}

/// The card with the button, and what was found.
#[component]
pub fn ConnectionTest() -> impl IntoView {
    let trial = RwSignal::new(Trial::default());
    let findings = RwSignal::new(Vec::<Finding>::new());
    // A button that does nothing is worse than none.
    let live = RwSignal::new(false);
    Effect::new(move || live.set(true));
    let running = move || trial.with(|trial| matches!(trial, Trial::Running(_)));
    let begin = move |_| {
        findings.set(Vec::new());
        trial.set(Trial::Running("Asking for the relay…"));
        spawn_local(async move {
            let outcome = run(trial, findings).await;
            // The page may show something else by now.
            let _ = trial.try_set(outcome);
        });
    };
    view! {
        <section class="card stack" aria-labelledby="connection-test">
            <h2 id="connection-test">"Connection for calls"</h2>
            <p class="quiet-text">
                "Tries the ways that sound and pictures can take from this browser. It takes some seconds, and nobody is called."
            </p>
            <div class="stack" role="status">
                {move || match trial.get() {
                    Trial::Running(what) => {
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
                    Trial::Failed(why) => {
                        Some(view! { <Notice kind=NoticeKind::Error>{why}</Notice> }.into_any())
                    }
                    Trial::NotYet | Trial::Done => None,
                }} {move || (!findings.read().is_empty()).then(|| view! { <Findings findings=findings.get() /> })}
            </div>
            <button type="button" class="button" disabled=move || !live.get() || running() on:click=begin>
                {move || if trial.get() == Trial::Done { "Test again" } else { "Test my connection" }}
            </button>
        </section>
    }
}

async fn run(trial: RwSignal<Trial>, findings: RwSignal<Vec<Finding>>) -> Trial {
    let servers = match list_ice_servers().await {
        Ok(servers) => servers,
        Err(why) => return Trial::Failed(why.to_string()),
    };
    let say = move |what| drop(trial.try_set(Trial::Running(what)));
    let add = move |finding| {
        // The page may show something else by now.
        let _ = findings.try_update(|findings| findings.push(finding));
    };
    say("Trying the direct way…");
    let seen = seen_from(&stun(&servers)).await;
    say("Trying the relay by UDP…");
    let by_udp = relayed(&servers, "udp", "Through the relay by UDP").await;
    add(direct(seen.as_deref(), by_udp.verdict == Verdict::Good));
    add(by_udp);
    say("Trying the relay by TCP…");
    add(relayed(&servers, "tcp", "Through the relay by TCP").await);
    add(findings.with_untracked(|findings| verdict(findings)));
    Trial::Done
}

/// From where one is seen, and whether UDP gets out at all: whoever is seen from their own address is told of none
/// (RFC 8445 section 5.1.3).
fn direct(seen: Option<&str>, udp_gets_out: bool) -> Finding {
    const WHAT: &str = "Direct";
    match seen {
        Some(address) => Finding::good(
            WHAT,
            format!(
                "UDP gets out; you are seen from {address}. Where the other person's network lets it, a call goes directly."
            ),
        ),
        None if udp_gets_out => Finding::good(
            WHAT,
            "UDP gets out, and you are seen from an address of your own. Where the other person's network lets it, a call goes directly.",
        ),
        None => Finding::doubtful(
            WHAT,
            "No UDP gets out of your network, or nothing comes back. Calls beyond it need the relay.",
            "You need do nothing as long as a way through the relay works.",
        ),
    }
}

async fn relayed(servers: &[IceServer], transport: &str, name: &'static str) -> Finding {
    let Some(relay) = by(servers, transport) else {
        return Finding::doubtful(
            name,
            "This site has no such relay.",
            "Ask who runs it, if calls do not connect.",
        );
    };
    match through(&relay).await {
        Some(Open { after, round_trip }) => Finding::good(
            name,
            format!("It was open after {after} ms, and there and back takes {round_trip} ms."),
        ),
        None => Finding::doubtful(
            name,
            "Blocked: it did not open within ten seconds.",
            "You need do nothing as long as another way works.",
        ),
    }
}

/// What it comes to.
fn verdict(findings: &[Finding]) -> Finding {
    const WHAT: &str = "Calls from here";
    let is_good = |at: usize| {
        findings
            .get(at)
            .is_some_and(|finding| finding.verdict == Verdict::Good)
    };
    match (is_good(1), is_good(2), is_good(0)) {
        (true, _, _) => Finding::good(WHAT, "They will connect."),
        (false, true, _) => Finding::good(
            WHAT,
            "They will connect, through the relay by TCP: pictures may stutter where the network is busy.",
        ),
        (false, false, true) => Finding::doubtful(
            WHAT,
            "They will connect with some people only: those whose network lets you through.",
            "Ask who runs this site to run \"rialto doctor\"; or try another network.",
        ),
        (false, false, false) => Finding::wrong(
            WHAT,
            "They will not connect beyond your own network.",
            "Try another network, such as that of a phone, or ask its administrator to let out UDP and TCP to this site's relay.",
        ),
    }
}

/// The servers that only say from where one is seen.
fn stun(servers: &[IceServer]) -> Vec<IceServer> {
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
    // A server without an address would be refused.
    Some(server)
        .filter(|server| !server.urls.is_empty())
        .into_iter()
        .collect()
}

/// The relay by one transport (RFC 7065; UDP is what is meant where nothing is said).
fn by(servers: &[IceServer], transport: &str) -> Option<IceServer> {
    servers.iter().find_map(|server| {
        let fits = |url: &&String| {
            let said = url.split("transport=").nth(1);
            url.starts_with("turn:") && said.unwrap_or("udp") == transport
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
    fn each_way_is_tried_with_its_own_servers() {
        assert_eq!(stun(&servers())[0].urls, ["stun:192.0.2.1:3478"]);
        let udp = by(&servers(), "udp").unwrap();
        assert_eq!(
            udp.urls,
            ["turn:192.0.2.1:3478?transport=udp", "turn:198.51.100.1"]
        );
        assert_eq!(udp.username.as_deref(), Some("ada"));
        let tcp = by(&servers(), "tcp").unwrap();
        assert_eq!(tcp.urls, ["turn:192.0.2.1:3478?transport=tcp"]);
        assert_eq!(by(&[], "udp"), None);
    }

    #[test]
    fn who_is_seen_from_their_own_address_is_not_taken_for_shut_in() {
        assert!(
            direct(Some("203.0.113.9"), true)
                .says
                .contains("203.0.113.9")
        );
        assert_eq!(direct(None, true).verdict, Verdict::Good);
        assert_eq!(direct(None, false).verdict, Verdict::Doubtful);
    }

    #[test]
    fn what_it_comes_to_is_what_a_call_would_do() {
        let good = || Finding::good("", "");
        let not = || Finding::doubtful("", "", "");
        let come = |ways: [Finding; 3]| verdict(&ways);
        assert_eq!(come([good(), good(), good()]).verdict, Verdict::Good);
        assert!(come([not(), not(), good()]).says.contains("by TCP"));
        assert_eq!(come([good(), not(), not()]).verdict, Verdict::Doubtful);
        assert_eq!(come([not(), not(), not()]).verdict, Verdict::Wrong);
    }
}
