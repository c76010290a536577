//! Checks a whole store for `rialto check`, in one reading transaction, also beside a running server.

mod rows;

use super::{
    DatabaseUrl, Engine, Error, Result, StorePosition, engine,
    epochs::find_position,
    opening,
    snapshot::{self, StoredFile},
    sqlite,
};
use crate::{
    model::finding::Finding,
    server::{
        config::StoreConfig,
        store_mark::{self, MarkHistory, Verdict},
    },
};
use sqlx::{AnyConnection, Connection};

const MAX_FINDINGS_EACH: usize = 20;

/// What a check found.
#[derive(Debug)]
pub struct StoreCheck {
    pub findings: Vec<Finding>,
    pub streams: usize,
    pub events: i64,
    /// To be compared with the stored ones.
    pub files: Vec<StoredFile>,
}

/// Checks the database, its streams and the decoding of every row.
///
/// # Errors
/// [`Error::InvalidSetting`] when there is no store, or it is newer than this program or unreadable.
pub async fn check_store(config: &StoreConfig) -> Result<StoreCheck> {
    // Read first: a running server moves both.
    let mark = store_mark::read(&config.data);
    let (mut checked, position) = if let Some(url) = &config.database_url {
        check_postgres(url, config).await?
    } else {
        let (file, store) = snapshot::connect_existing(config).await?;
        let checked = check_embedded(store, config).await;
        checked.map_err(|error| sqlite::in_words(&file, error))?
    };
    if let Some(position) = position
        && let Verdict::WentBack { marked } =
            store_mark::compare(&mark, &position, MarkHistory::Unknown)
    {
        checked.findings.push(Finding::problem(
            "Store",
            format!(
                "It has {} events, and had {marked} before: an older copy was put in its place.",
                position.events
            ),
            "If that was intended, start the server: pages then fetch everything anew.",
        ));
    }
    Ok(checked)
}

async fn check_postgres(
    url: &DatabaseUrl,
    config: &StoreConfig,
) -> Result<(StoreCheck, Option<StorePosition>)> {
    let mut store = engine::connect_postgres(url).await?;
    let mut tx = store
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let checked = check_tables(&mut tx, Engine::PostgreSQL, config).await?;
    Ok((checked, find_position(&mut *tx).await?))
}

async fn check_embedded(
    mut store: AnyConnection,
    config: &StoreConfig,
) -> Result<(StoreCheck, Option<StorePosition>)> {
    let mut tx = store.begin().await?;
    let checked = check_tables(&mut tx, Engine::SQLite, config).await?;
    if !checked.findings.is_empty() {
        // It may be too damaged for more.
        return Ok((checked, None));
    }
    Ok((checked, find_position(&mut *tx).await?))
}

async fn check_tables(
    store: &mut AnyConnection,
    engine: Engine,
    config: &StoreConfig,
) -> Result<StoreCheck> {
    let place = config.location();
    let Some(schema) = opening::find_schema(store, engine).await? else {
        return Err(Error::InvalidSetting(format!(
            "there is no Rialto data in {place}. Start \"rialto serve\" once, or set its folder with --data or its database with \
             --database-url"
        )));
    };
    opening::check_schema(schema, &place)?;
    if schema < super::migrations::newest() {
        return Err(Error::InvalidSetting(format!(
            "the store in {place} was not upgraded yet: its schema is version {schema}. Check it with the program that last used it, or \
             start this one's \"rialto serve\" first"
        )));
    }
    let mut findings = Vec::new();
    if engine == Engine::SQLite {
        check_pages(store, &mut findings).await;
        if !findings.is_empty() {
            // A damaged database's answers mean nothing.
            return Ok(StoreCheck {
                findings,
                streams: 0,
                events: 0,
                files: Vec::new(),
            });
        }
        check_references(store, &mut findings).await?;
    }
    let (streams, events) = check_streams(store, &mut findings).await?;
    for rule in RULES {
        check_rule(store, rule, &mut findings).await?;
    }
    rows::check_rows(store, &mut findings).await?;
    Ok(StoreCheck {
        findings,
        streams,
        events,
        files: snapshot::list_files(store).await?,
    })
}

const DAMAGE_ADVICE: &str = "Stop the server, keep a copy of the data, and restore a backup.";

async fn check_pages(store: &mut AnyConnection, findings: &mut Vec<Finding>) {
    let lines: Result<Vec<(String,)>, sqlx::Error> = sqlx::query_as("PRAGMA integrity_check(20)")
        .fetch_all(store)
        .await;
    let lines = lines.unwrap_or_else(|error| vec![(error.to_string(),)]);
    let lines = lines.into_iter().filter(|(line,)| line != "ok");
    findings
        .extend(lines.map(|(line,)| Finding::problem("Database", one_line(&line), DAMAGE_ADVICE)));
}

async fn check_references(store: &mut AnyConnection, findings: &mut Vec<Finding>) -> Result<()> {
    let broken: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT \"table\", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY \"table\", parent",
    )
    .fetch_all(store)
    .await?;
    findings.extend(broken.into_iter().map(|(table, parent, rows)| {
        let says = format!("{rows} rows of {table} refer to rows of {parent} that do not exist.");
        Finding::problem("Database", says, DAMAGE_ADVICE)
    }));
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the numbers of streams and of events ever appended.
async fn check_streams(
    store: &mut AnyConnection,
    findings: &mut Vec<Finding>,
) -> Result<(usize, i64)> {
    let streams: Vec<(String, i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT streams.name, streams.head, streams.oldest, COUNT(events.seq),
             CAST(COALESCE(MIN(events.seq), 0) AS BIGINT), CAST(COALESCE(MAX(events.seq), 0) AS BIGINT)
         FROM streams LEFT JOIN events ON events.stream = streams.name
         GROUP BY streams.name, streams.head, streams.oldest ORDER BY streams.name",
    )
    .fetch_all(store)
    .await?;
    let events = streams.iter().map(|(_, head, ..)| head).sum();
    let count = streams.len();
    let wrong = streams
        .into_iter()
        .filter_map(|(name, head, oldest, count, first, last)| {
            let expected = head - oldest + 1;
            let is_whole =
                count == expected && (count == 0 || first == oldest && last == head);
            (!is_whole).then(|| {
                let says = format!(
                    "Its events should be {oldest} to {head}, and there are {count} of them, from {first} to {last}."
                );
                Finding::problem(format!("Stream {name}"), says, DAMAGE_ADVICE)
            })
        });
    extend_bounded(findings, wrong, "Streams");
    Ok((count, events))
}

/// At most [`MAX_FINDINGS_EACH`], then the number of others.
fn extend_bounded(
    findings: &mut Vec<Finding>,
    mut more: impl Iterator<Item = Finding>,
    subject: &str,
) {
    findings.extend(more.by_ref().take(MAX_FINDINGS_EACH));
    match more.count() {
        0 => {}
        rest => findings.push(Finding::problem(
            subject,
            format!("{rest} more findings of this kind."),
            DAMAGE_ADVICE,
        )),
    }
}

struct Rule {
    subject: &'static str,
    /// Selects the ids of rows that break the rule.
    sql: &'static str,
    /// Follows the id.
    says: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        subject: "Room",
        sql: "SELECT rooms.id FROM rooms LEFT JOIN streams ON streams.name = 'room:' || rooms.id
              WHERE streams.name IS NULL",
        says: "has no stream",
    },
    Rule {
        subject: "Message",
        sql: "SELECT messages.id FROM messages
              JOIN streams ON streams.name = 'room:' || messages.room_id
              LEFT JOIN events ON events.stream = streams.name AND events.seq = messages.seq
              WHERE events.seq IS NULL AND messages.seq >= streams.oldest",
        says: "has no event",
    },
    Rule {
        subject: "Event",
        sql: "SELECT events.stream || ' ' || CAST(events.seq AS TEXT) FROM events
              LEFT JOIN messages ON 'room:' || messages.room_id = events.stream AND messages.seq = events.seq
              WHERE events.kind = 'message' AND messages.id IS NULL",
        says: "has no message",
    },
    Rule {
        subject: "Story",
        sql: "SELECT stories.id FROM stories JOIN streams ON streams.name = 'news'
              LEFT JOIN events ON events.stream = 'news' AND events.seq = stories.seq
              WHERE events.seq IS NULL AND stories.seq >= streams.oldest",
        says: "has no event",
    },
    Rule {
        subject: "Event",
        sql: "SELECT events.stream || ' ' || CAST(events.seq AS TEXT) FROM events
              LEFT JOIN stories ON stories.seq = events.seq
              WHERE events.stream = 'news' AND events.kind = 'story' AND stories.id IS NULL",
        says: "has no story",
    },
    Rule {
        subject: "Attachment",
        sql: "SELECT attachments.message_id FROM attachments
              LEFT JOIN messages ON messages.id = attachments.message_id AND messages.room_id = attachments.room_id
              LEFT JOIN files ON files.hash = attachments.hash
              WHERE messages.id IS NULL OR files.hash IS NULL",
        says: "has no message or no file",
    },
];

async fn check_rule(
    store: &mut AnyConnection,
    rule: Rule,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let broken: Vec<(String,)> = sqlx::query_as(rule.sql).fetch_all(store).await?;
    let broken = broken.into_iter().map(|(id,)| {
        let says = format!("{id} {}.", rule.says);
        Finding::problem(rule.subject, says, DAMAGE_ADVICE)
    });
    extend_bounded(findings, broken, rule.subject);
    Ok(())
}
