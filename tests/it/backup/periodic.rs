//! Backups of the running server, and what metrics and doctor say about them.

use super::{output_text, run_check, run_with_file};
use crate::{
    metrics::scrape_metrics,
    support::{Browser, Server, TestStorage, eventually, server::files_in},
};
use rialto::server::tls;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn backups_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = files_in(folder);
    files.retain(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("rialto-2") && name.ends_with("Z.tar")
    });
    files
}

async fn start(folder: &Path) -> Server {
    tls::install_crypto_provider();
    let folder = folder.to_owned();
    Server::start_with(move |command| {
        command
            .arg("--backup-folder")
            .arg(&folder)
            .args(["--backup-every", "1s", "--backup-keep", "2"])
            .args(["--metrics-addr", "127.0.0.1:0"])
            .env("RIALTO_TIME_SERVER", "off")
            .env("RIALTO_STUN_SERVER", "off");
    })
    .await
}

#[tokio::test]
async fn a_server_makes_backups_and_keeps_as_many_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("backups");
    let server = start(&folder).await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    ws.send_message(ws.general(), "kept").await;
    eventually("there is a backup", async || {
        !backups_in(&folder).is_empty()
    })
    .await;
    let first = backups_in(&folder)[0].clone();
    let mine = folder.join("rialto-of-mine.tar");
    fs::write(&mine, "").unwrap();
    eventually("the first is deleted", async || !first.exists()).await;
    eventually("two are left", async || backups_in(&folder).len() == 2).await;
    assert!(mine.exists(), "another file stays");

    let metrics = scrape_metrics(&server).await;
    let age = metrics
        .lines()
        .find(|line| line.starts_with("rialto_backup_age_seconds"));
    let age = age.unwrap_or_else(|| panic!("{metrics}"));
    let (_, seconds) = age.rsplit_once(' ').unwrap();
    assert!(seconds.parse::<u32>().unwrap() < 10, "{age}");
    let doctor = output_text(&server.run_cli(&["doctor"]).await);
    let line = doctor.lines().find(|line| line.contains("Backup:"));
    assert!(line.unwrap().starts_with("OK"), "{doctor}");

    let mut server = server;
    server.stop().await;
    let newest = backups_in(&folder).pop().unwrap();
    let restored = TestStorage::new();
    let done = run_with_file("restore", &newest, &restored.arguments(), |_| {}).await;
    assert!(done.status.success(), "{done:?}");
    let checked = run_check(&restored.arguments(), |_| {}).await;
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn a_backup_that_fails_is_said_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    fs::write(&backups, "").unwrap();
    let server = start(&backups).await;
    let is_said = async || {
        let doctor = output_text(&server.run_cli(&["doctor"]).await);
        doctor.lines().any(|line| {
            line.starts_with("Problem")
                && line.contains("Backup: There is none")
                && line.contains("is a file, where a folder is needed")
        })
    };
    eventually("the doctor says why", is_said).await;
    assert!(
        !scrape_metrics(&server)
            .await
            .contains("\nrialto_backup_age_seconds"),
        "absent before the first success"
    );
    fs::remove_file(&backups).unwrap();
    eventually("a backup is made after all", async || {
        !backups_in(&backups).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_restart_keeps_the_interval_of_backups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut server = Server::start_with(move |command| {
        command.arg("--backup-folder").arg(&path);
    })
    .await;
    eventually("there is a backup", async || {
        !backups_in(folder.path()).is_empty()
    })
    .await;
    let made = backups_in(folder.path());
    server.restart().await;
    Browser::join(&server, "Ada").await;
    let doctor = output_text(&server.run_cli(&["doctor"]).await);
    assert!(doctor.contains("Backup: The newest in"), "{doctor}");
    assert_eq!(backups_in(folder.path()), made, "a day has not passed");
}
