//! What `rialto check` finds.

use super::{
    Community, FILE_CONTENT, assert_success, backup_of, data_arguments, output_text, run_check,
    run_with_file,
};
use crate::support::{Server, TestStorage, test_storage::run_statement};
use std::fs;

fn database_url(server: &Server) -> String {
    match server.storage_arguments().get(3) {
        Some(url) => url.clone(),
        None => format!("sqlite://{}/rialto.sqlite", server.data_dir().display()),
    }
}

#[tokio::test]
async fn a_check_names_what_is_wrong_and_what_to_do() {
    let community = Community::new(TestStorage::new()).await;
    let server = &community.server;
    let url = database_url(server);
    let storage = server.storage_arguments();
    let room = format!("room:{}", community.general.id);
    for (damage, mend, found) in [
        (
            format!("UPDATE streams SET head = 7 WHERE name = '{room}'"),
            format!("UPDATE streams SET head = 2 WHERE name = '{room}'"),
            "events should be 1 to 7",
        ),
        (
            format!("UPDATE events SET seq = 9 WHERE stream = '{room}' AND seq = 2"),
            format!("UPDATE events SET seq = 2 WHERE stream = '{room}' AND seq = 9"),
            "has no event",
        ),
        (
            "UPDATE messages SET seq = 9 WHERE seq = 1".to_owned(),
            "UPDATE messages SET seq = 1 WHERE seq = 9".to_owned(),
            "has no message",
        ),
        (
            "UPDATE stories SET seq = 4".to_owned(),
            "UPDATE stories SET seq = 1".to_owned(),
            "has no story",
        ),
        (
            "UPDATE users SET role = 'doge' WHERE name = 'Ada'".to_owned(),
            "UPDATE users SET role = 'guest' WHERE name = 'Ada'".to_owned(),
            "doge",
        ),
        (
            "UPDATE users SET calls_from = 'friends'".to_owned(),
            "UPDATE users SET calls_from = 'everyone'".to_owned(),
            "friends",
        ),
        (
            "UPDATE files SET size = 5".to_owned(),
            format!("UPDATE files SET size = {}", FILE_CONTENT.len()),
            "has 23 bytes instead of 5",
        ),
        (
            "UPDATE events SET payload = '{' WHERE stream = 'news'".to_owned(),
            "SELECT 1".to_owned(),
            "news 1:",
        ),
    ] {
        run_statement(&url, damage.clone()).unwrap();
        let checked = run_check(&storage, |_| {}).await;
        let text = output_text(&checked);
        assert!(
            !checked.status.success() && text.contains(found),
            "{damage}: {text}"
        );
        let line = text.lines().find(|line| line.contains(found)).unwrap();
        assert!(line.starts_with("Problem: "), "{line}");
        assert!(line.contains("backup"), "it says what to do: {line}");
        run_statement(&url, mend).unwrap();
    }
}

#[tokio::test]
async fn a_check_compares_files_and_a_backup_goes_on_without_a_damaged_one() {
    let community = Community::new(TestStorage::new()).await;
    let storage = community.server.storage_arguments();
    assert_success(&run_check(&storage, |_| {}).await);
    let [file] = &community.server.stored_files()[..] else {
        panic!("one file was sent")
    };
    for (content, found) in [
        (Some(&b"the plans of the bridgf"[..]), "has another SHA-256"),
        (Some(b"short"), "has 5 bytes instead of 23"),
        (None, "is missing"),
    ] {
        match content {
            Some(content) => fs::write(file, content).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        let checked = run_check(&storage, |_| {}).await;
        assert!(
            !checked.status.success() && output_text(&checked).contains(found),
            "{checked:?}"
        );
        let (_folder, backup) = backup_of(&community).await;
        let data = tempfile::tempdir().unwrap();
        let restored = data_arguments(data.path());
        let done = run_with_file("restore", &backup, &restored, |_| {}).await;
        assert_success(&done);
        assert!(
            output_text(&done).contains("was missing when the backup was made"),
            "{done:?}"
        );
    }
}

#[tokio::test]
async fn a_damaged_database_is_found_by_a_check() {
    let mut community = Community::new(TestStorage::with_database(None)).await;
    community.server.stop().await;
    let store = community.server.data_dir().join("rialto.sqlite");
    let mut bytes = fs::read(&store).unwrap();
    // The page of an index: the tables can be read.
    let at = bytes.len() - 4_096;
    bytes[at..].fill(0);
    fs::write(&store, bytes).unwrap();
    let checked = run_check(&data_arguments(community.server.data_dir()), |_| {}).await;
    let text = output_text(&checked);
    assert!(!checked.status.success(), "{text}");
    assert!(text.contains("backup"), "it says what to do: {text}");
}
