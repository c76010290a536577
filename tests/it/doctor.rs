//! `rialto doctor`: what it says of a server that works, and of one that does not.

use crate::support::{Certificate, Server, server::run_cli};
use std::process::Output;

/// A server that asks nobody outside of this machine.
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
    let asked = server.run_cli(&["doctor"]).await;
    let (said, wrong) = stdout_and_stderr(&asked);
    assert!(asked.status.success(), "{said}{wrong}");
    for line in [
        "Store: It answers.",
        "Relay by UDP: turn:127.0.0.1",
        "Relay by TCP: turn:127.0.0.1",
    ] {
        let line = said
            .lines()
            .find(|said| said.contains(line))
            .unwrap_or_else(|| panic!("{said}"));
        assert!(line.starts_with("Good"), "{line}");
    }
    assert!(
        said.contains("20 packets came through it and back"),
        "{said}"
    );
    assert!(said.contains("Secure pages: Only this machine"), "{said}");
}

/// A relay by TLS, with a certificate of this machine's name that it believes or does not. What is said of it.
async fn check_tls_relay(is_believed: bool) -> (Output, String) {
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
        if is_believed {
            command.env("SSL_CERT_FILE", &chain);
        }
    })
    .await;
    let asked = server.run_cli(&["doctor"]).await;
    let (said, _) = stdout_and_stderr(&asked);
    let line = said.lines().find(|line| line.contains("Relay by TLS"));
    let line = line.unwrap_or_else(|| panic!("{said}")).to_owned();
    (asked, line)
}

#[tokio::test]
async fn the_relay_is_reached_by_tls_as_browsers_would() {
    let (asked, line) = check_tls_relay(true).await;
    assert!(asked.status.success(), "{line}");
    assert!(line.starts_with("Good"), "{line}");
    assert!(line.contains("turns:localhost:"), "{line}");
    assert!(line.contains("20 packets came through it"), "{line}");
}

#[tokio::test]
async fn a_certificate_that_browsers_would_refuse_is_found_out() {
    let (asked, line) = check_tls_relay(false).await;
    assert!(!asked.status.success(), "{line}");
    assert!(line.contains("UnknownIssuer"), "{line}");
    let (said, _) = stdout_and_stderr(&asked);
    assert!(
        said.contains("Give it a certificate of that name"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do_and_fails_the_command() {
    let server = start_offline(&[
        ("RIALTO_TURN_LISTEN", "off"),
        ("RIALTO_PUBLIC_URL", "http://rialto.invalid"),
    ])
    .await;
    let asked = server.run_cli(&["doctor"]).await;
    let (said, wrong) = stdout_and_stderr(&asked);
    assert!(!asked.status.success());
    assert!(wrong.contains("2 things are wrong"), "{said}{wrong}");
    assert!(
        said.contains("no camera and no microphone to a page without https"),
        "{said}"
    );
    assert!(
        said.contains("set --public-url to its https address"),
        "{said}"
    );
    assert!(
        said.contains("Leave --turn-listen at its default"),
        "{said}"
    );
    assert!(
        said.contains("rialto.invalid does not answer this machine"),
        "{said}"
    );
}

#[tokio::test]
async fn another_turn_server_that_does_not_answer_is_found_out() {
    let server = start_offline(&[
        ("RIALTO_TURN_URLS", "turn:127.0.0.1:9?transport=tcp"),
        ("RIALTO_TURN_SECRET", "shared"),
    ])
    .await;
    let asked = server.run_cli(&["doctor"]).await;
    let (said, _) = stdout_and_stderr(&asked);
    assert!(!asked.status.success());
    assert!(
        said.contains("turn:127.0.0.1:9?transport=tcp cannot be used"),
        "{said}"
    );
    assert!(said.contains("Let a firewall pass its TCP port."), "{said}");
}

#[tokio::test]
async fn nobody_but_the_command_line_of_this_machine_may_ask() {
    let server = start_offline(&[]).await;
    rialto::server::tls::install_crypto_provider();
    let address = format!("http://{}/api/v1/doctor", server.address());
    let answer = reqwest::get(&address).await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("rialto doctor"));
}

#[tokio::test]
async fn without_a_server_it_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let asked = run_cli(["doctor", "--data", data]).await;
    let (_, wrong) = stdout_and_stderr(&asked);
    assert!(!asked.status.success());
    assert!(wrong.contains("Start it with \"rialto serve\""), "{wrong}");
    let mut server = Server::start().await;
    server.kill().await;
    let (_, wrong) = stdout_and_stderr(&server.run_cli(&["doctor"]).await);
    assert!(wrong.contains("no server answers"), "{wrong}");
}
