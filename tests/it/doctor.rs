//! `rialto doctor`: findings for servers that work and that do not.

use crate::support::{
    Certificate, Server,
    http_proxy::{HttpProxy, ProxyFault},
    server::run_cli,
};
use std::process::Output;

/// Its doctor contacts no other machine.
async fn start_offline(settings: &'static [(&'static str, &'static str)]) -> Server {
    Server::start_with(|command| {
        command
            .env("RIALTO_TIME_SERVER", "off")
            .env("RIALTO_STUN_SERVER", "off")
            .envs(settings.iter().copied());
    })
    .await
}

fn stdout_and_stderr(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn it_says_of_each_thing_how_it_is_and_sends_through_the_relay() {
    let server = start_offline(&[]).await;
    let output = server.run_cli(&["doctor"]).await;
    let (stdout, stderr) = stdout_and_stderr(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    for line in [
        "Store: Working.",
        "Relay over UDP: turn:127.0.0.1",
        "Relay over TCP: turn:127.0.0.1",
    ] {
        let line = stdout
            .lines()
            .find(|stdout| stdout.contains(line))
            .unwrap_or_else(|| panic!("{stdout}"));
        assert!(line.starts_with("OK"), "{line}");
    }
    assert!(
        stdout.contains("20 packets made the round trip"),
        "{stdout}"
    );
    assert!(stdout.contains("HTTPS: Only this machine"), "{stdout}");
}

/// With a TURN relay over TLS. Returns the output and its line on TLS.
async fn check_tls_relay(is_trusted: bool) -> (Output, String) {
    let certificate = Certificate::self_signed("localhost");
    let (chain, key) = (certificate.chain(), certificate.key());
    let server = Server::start_with(move |command| {
        command
            .env("RIALTO_TIME_SERVER", "off")
            .env("RIALTO_STUN_SERVER", "off")
            .env("RIALTO_TURN_ADDRESS", "127.0.0.1")
            .env("RIALTO_TURN_LISTEN", "127.0.0.1:0")
            .env("RIALTO_TURN_TLS_LISTEN", "127.0.0.1:0")
            .env("RIALTO_TURN_CERTIFICATE", &chain)
            .env("RIALTO_TURN_KEY", &key)
            .env("RIALTO_PUBLIC_URL", "https://localhost");
        if is_trusted {
            command.env("SSL_CERT_FILE", &chain);
        }
    })
    .await;
    let output = server.run_cli(&["doctor"]).await;
    let (stdout, _) = stdout_and_stderr(&output);
    let line = stdout.lines().find(|line| line.contains("Relay over TLS"));
    let line = line.unwrap_or_else(|| panic!("{stdout}")).to_owned();
    (output, line)
}

#[tokio::test]
async fn the_relay_is_reached_by_tls_as_browsers_would() {
    let (output, line) = check_tls_relay(true).await;
    assert!(output.status.success(), "{line}");
    assert!(line.starts_with("OK"), "{line}");
    assert!(line.contains("turns:localhost:"), "{line}");
    assert!(line.contains("20 packets made the round trip"), "{line}");
}

#[tokio::test]
async fn a_certificate_that_browsers_would_refuse_is_found_out() {
    let (output, line) = check_tls_relay(false).await;
    assert!(!output.status.success(), "{line}");
    assert!(line.contains("UnknownIssuer"), "{line}");
    let (stdout, _) = stdout_and_stderr(&output);
    assert!(
        stdout.contains("unexpired certificate for that name"),
        "{stdout}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do_and_fails_the_command() {
    let server = start_offline(&[
        ("RIALTO_TURN_LISTEN", "off"),
        ("RIALTO_PUBLIC_URL", "http://rialto.invalid"),
    ])
    .await;
    let output = server.run_cli(&["doctor"]).await;
    let (stdout, stderr) = stdout_and_stderr(&output);
    assert!(!output.status.success());
    assert!(stderr.contains("2 problems found"), "{stdout}{stderr}");
    assert!(
        stdout.contains("block camera and microphone on pages without https"),
        "{stdout}"
    );
    assert!(
        stdout.contains("set --public-url to its https URL"),
        "{stdout}"
    );
    assert!(
        stdout.contains("Leave --turn-listen at its default"),
        "{stdout}"
    );
    assert!(
        stdout.contains("rialto.invalid cannot be reached from this machine"),
        "{stdout}"
    );
}

#[tokio::test]
async fn a_proxy_is_tried_with_a_websocket_and_what_it_breaks_is_said_with_what_to_configure() {
    let proxy = HttpProxy::start().await;
    let url = proxy.url();
    let server = Server::start_with(move |command| {
        command
            .env("RIALTO_TIME_SERVER", "off")
            .env("RIALTO_STUN_SERVER", "off")
            .env("RIALTO_PUBLIC_URL", &url);
    })
    .await;
    proxy.pass_to(server.address());
    // The findings about the public URL, with what to do.
    let check = async |fault| {
        proxy.set_fault(fault);
        let (stdout, _) = stdout_and_stderr(&server.run_cli(&["doctor"]).await);
        let lines = stdout
            .lines()
            .skip_while(|line| !line.contains(" Public URL: "));
        let lines = lines.take_while(|line| !line.contains(" Clock: "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let findings = check(ProxyFault::None).await;
    assert!(
        findings.contains("/ws opens, as from a page."),
        "{findings}"
    );
    assert_eq!(findings.matches("OK").count(), 2, "{findings}");
    for (fault, observation, advice) in [
        (
            ProxyFault::ForeignHost,
            "does not pass on Host, so this server refuses every page",
            "proxy_set_header Host $http_host;",
        ),
        (
            ProxyFault::ForeignHostOfWebSocket,
            "does not pass on Host for /ws",
            "proxy_set_header Host $http_host;",
        ),
        (
            ProxyFault::ForeignOrigin,
            "changes Origin, so this server refuses chat, calls and forms",
            "no proxy_set_header Origin",
        ),
        (
            ProxyFault::NoUpgrade,
            "does not pass on the upgrade",
            "proxy_set_header Upgrade $http_upgrade;",
        ),
        (
            ProxyFault::ForbiddenWebSocket,
            "answers /ws with status 403",
            "The log of the proxy says why",
        ),
        (
            ProxyFault::SilentWebSocket,
            "/ws does not answer",
            "The log of the proxy says why",
        ),
    ] {
        let findings = check(fault).await;
        assert_eq!(findings.matches("Problem").count(), 1, "{findings}");
        assert!(findings.contains(observation), "{fault:?}: {findings}");
        assert!(findings.contains(advice), "{fault:?}: {findings}");
    }
}

#[tokio::test]
async fn another_turn_server_that_does_not_answer_is_found_out() {
    let server = start_offline(&[
        ("RIALTO_TURN_URLS", "turn:127.0.0.1:9?transport=tcp"),
        ("RIALTO_TURN_SECRET", "shared"),
    ])
    .await;
    let output = server.run_cli(&["doctor"]).await;
    let (stdout, _) = stdout_and_stderr(&output);
    assert!(!output.status.success());
    assert!(
        stdout.contains("turn:127.0.0.1:9?transport=tcp does not work"),
        "{stdout}"
    );
    assert!(
        stdout.contains("Open its TCP port in the firewall."),
        "{stdout}"
    );
}

#[tokio::test]
async fn nobody_but_the_command_line_of_this_machine_may_ask() {
    let server = start_offline(&[]).await;
    rialto::server::tls::install_crypto_provider();
    let address = format!("http://{}/api/v1/doctor", server.address());
    let response = reqwest::get(&address).await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(response.text().await.unwrap().contains("rialto doctor"));
}

#[tokio::test]
async fn without_a_server_it_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let output = run_cli(["doctor", "--data", data]).await;
    let (_, stderr) = stdout_and_stderr(&output);
    assert!(!output.status.success());
    assert!(
        stderr.contains("Start one with \"rialto serve\""),
        "{stderr}"
    );
    let mut server = Server::start().await;
    server.kill().await;
    let (_, stderr) = stdout_and_stderr(&server.run_cli(&["doctor"]).await);
    assert!(stderr.contains("no server responds"), "{stderr}");
}
