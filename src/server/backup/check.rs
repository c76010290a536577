//! `rialto check`: whether store and files are whole.

use super::count;
use crate::{
    model::finding::Finding,
    server::{
        config::DataConfig,
        error::{Error, Result},
        files::Files,
        store::{
            check::{StoreCheck, check_store},
            snapshot::StoredFile,
        },
    },
};
use clap::Args;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

/// Options of `rialto check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on the type; a doc comment here would become the help text"
    )]
    pub data: DataConfig,
}

/// Prints one finding a line, with what to do.
///
/// # Errors
/// A message for the user when something is wrong or cannot be checked.
pub async fn run(args: &CheckArgs) -> std::result::Result<(), String> {
    let in_words = |why: Error| why.to_string();
    let mut checked = check_store(&args.data.store).await.map_err(in_words)?;
    check_files(&args.data, &mut checked)
        .await
        .map_err(in_words)?;
    for finding in &checked.findings {
        println!("{}", format_finding(finding));
    }
    match checked.findings.len() {
        0 => {
            let events = usize::try_from(checked.events).unwrap_or_default();
            println!(
                "OK: {} with {}, and {}",
                count(checked.streams, "stream"),
                count(events, "event"),
                count(checked.files.len(), "file")
            );
            Ok(())
        }
        wrong => Err(format!("{} found", count(wrong, "problem"))),
    }
}

fn format_finding(finding: &Finding) -> String {
    let Finding {
        verdict,
        subject,
        observation,
        advice,
    } = finding;
    let advice = advice.as_deref().unwrap_or_default();
    format!("{}: {subject}: {observation} {advice}", verdict.label())
}

async fn check_files(data: &DataConfig, checked: &mut StoreCheck) -> Result<()> {
    let files = Files::open_existing(&data.store.data, data.files.as_deref()).await?;
    for stored in &checked.files {
        if let Some(wrong) = check_file(files.as_ref(), stored).await? {
            checked.findings.push(Finding::problem(
                "File",
                format!("{} {wrong}.", stored.hash),
                "Copy it from a backup, where it is in files/ under this name, into the storage of files.",
            ));
        }
    }
    Ok(())
}

/// What is wrong, in words.
async fn check_file(files: Option<&Files>, stored: &StoredFile) -> Result<Option<String>> {
    const MISSING: &str = "is missing";
    let Some(files) = files else {
        return Ok(Some(MISSING.to_owned()));
    };
    let mut content = match files.read(&stored.hash, None).await {
        Ok(content) => content,
        Err(Error::Files(object_store::Error::NotFound { .. })) => {
            return Ok(Some(MISSING.to_owned()));
        }
        Err(why) => return Err(why),
    };
    let (mut size, mut hasher) = (0, Sha256::new());
    loop {
        match content.try_next().await {
            Ok(Some(bytes)) => {
                size += bytes.len() as u64;
                hasher.update(&bytes);
            }
            Ok(None) => break,
            Err(why) => return Ok(Some(format!("cannot be read: {why}"))),
        }
    }
    if size != stored.size {
        return Ok(Some(format!("has {size} bytes instead of {}", stored.size)));
    }
    let is_right = hex::encode(hasher.finalize()) == stored.hash;
    Ok((!is_right).then(|| "has another SHA-256".to_owned()))
}
