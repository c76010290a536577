//! The program as cargo-leptos and a person at a terminal start it.

use crate::support::server::{rialto_command, run_cli};
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
