//! The program as cargo-leptos and a person at a terminal start it.

use crate::support::{
    server::{rialto_command, run_cli},
    with_timeout,
};
use rialto::server::tls;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn without_a_command_it_serves_on_the_address_of_cargo_leptos() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = rialto_command()
        .arg("--data")
        .arg(folder.path())
        .env("LEPTOS_SITE_ADDR", "127.0.0.2:0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().expect("it listens");
        if let Some(url) = line.strip_prefix("listening on ") {
            break url.to_owned();
        }
    };
    assert!(url.starts_with("http://127.0.0.2:"), "{url}");
    tls::install_crypto_provider();
    let response = reqwest::get(format!("{url}/healthz")).await;
    assert_eq!(response.unwrap().text().await.unwrap(), "ok");
}

#[tokio::test]
async fn help_and_version_are_of_the_program_and_a_wrong_command_is_named() {
    let help = run_cli(["--help"]).await;
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("migrate-store"), "{help}");
    assert!(run_cli(["--version"]).await.status.success());
    let wrong = run_cli(["sreve"]).await;
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success());
    assert!(error.contains("unrecognized subcommand 'sreve'"), "{error}");
}

/// Of a server that must not start.
async fn startup_error(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = rialto_command();
    command.args(["serve", "--data"]).arg(folder.path());
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(arguments).envs(variables.iter().copied());
    let ended = with_timeout("the program ends", command.output())
        .await
        .unwrap();
    assert!(!ended.status.success(), "{arguments:?} {variables:?}");
    String::from_utf8(ended.stderr).unwrap()
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_is_refused_in_words() {
    for (arguments, words) in [
        (
            ["--public-url", "rialto.example.org"],
            "Use the form https://",
        ),
        (
            ["--public-url", "https://example.org/rialto"],
            "root of a host",
        ),
        (["--public-url", "https://a:b@example.org"], "password"),
        (["--turn-urls", "https://x"], "turn:turn.example.org"),
        (["--heartbeat-seconds", "0"], "1..=3600"),
        (["--ring-seconds", "0"], "1..=3600"),
        (["--upload-bytes", "0"], "1.."),
        (["--queue-bytes", "0"], "at least 4096"),
        (["--limits", "messages=0"], "would allow nothing"),
        (["--limits", "posts=1"], "The limits are: "),
    ] {
        let error = startup_error(&arguments, &[("RIALTO_TURN_SECRET", "a secret")]).await;
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn a_variable_that_sets_nothing_is_named() {
    let error = startup_error(
        &[],
        &[("RIALTO_SEND_BURST", "5"), ("RIALTO_UPLOAD_BYTE", "5")],
    )
    .await;
    assert!(
        error.contains("RIALTO_SEND_BURST") && error.contains("RIALTO_UPLOAD_BYTE"),
        "{error}"
    );
    assert!(error.contains("rialto serve --help"), "{error}");
    let error = startup_error(&[], &[("RIALTO_LOG", "rialto=loud")]).await;
    assert!(
        error.contains("RIALTO_LOG is \"rialto=loud\", which is no filter"),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_that_is_not_this_machines_is_told_from_one_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = startup_error(&["--listen", "192.0.2.1:3000"], &[]).await;
    assert!(
        error.contains("No network interface of this machine has that address"),
        "{error}"
    );
    let error = startup_error(&["--listen", &address], &[]).await;
    assert!(
        error.contains("perhaps Rialto is already running"),
        "{error}"
    );
    drop(taken);
}
