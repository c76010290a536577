//! The archive: a tar file (GNU format) of `manifest.json`, `rialto.sqlite`, `files/ab/abcd…` and, at its end, `SHA256SUMS`, which
//! sha256sum(1) can check.

use crate::{
    model::{Epoch, Millis},
    server::error::{Error, Result},
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, Read, SeekFrom, Write},
    path::{Path, PathBuf},
    pin::pin,
};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt, BufWriter},
};

/// A program refuses archives of a later format.
pub(super) const FORMAT: u32 = 1;
const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = BLOCK as u64;
const COPY_BYTES: usize = 256 * 1024;
const MANIFEST: &str = "manifest.json";
const STORE: &str = "rialto.sqlite";
const SUMS: &str = "SHA256SUMS";
/// Bounds the manifest and the checksums in memory.
const MAX_TEXT_BYTES: u64 = 1024 * 1024 * 1024;

/// An archive's first entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Of the program.
    pub(super) version: String,
    /// Number of the store's newest migration.
    pub(super) schema: i64,
    /// Of the news; none in an unused store.
    pub(super) epoch: Option<Epoch>,
    pub(super) made_at: Millis,
    pub(super) store_sha256: String,
    /// Number of files that the store refers to; the archive may lack some.
    pub(super) files: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Manifest,
    Store,
    /// By its SHA-256.
    File(String),
    Sums,
}

impl Entry {
    pub(super) fn path(&self) -> String {
        match self {
            Self::Manifest => MANIFEST.to_owned(),
            Self::Store => STORE.to_owned(),
            Self::File(hash) => format!("files/{}/{hash}", hash.get(..2).unwrap_or_default()),
            Self::Sums => SUMS.to_owned(),
        }
    }

    pub(super) fn parse(path: &str) -> Option<Self> {
        match path {
            MANIFEST => Some(Self::Manifest),
            STORE => Some(Self::Store),
            SUMS => Some(Self::Sums),
            _ => {
                let (_, hash) = path.strip_prefix("files/")?.split_once('/')?;
                let is_hash = hash.len() == 64
                    && hash
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                let file = Self::File(hash.to_owned());
                (is_hash && file.path() == path).then_some(file)
            }
        }
    }
}

/// As sha256sum(1) writes and reads it.
fn sum_line(sha256: &str, entry: &Entry) -> String {
    format!("{sha256}  {}\n", entry.path())
}

#[derive(Debug)]
pub(super) enum AppendError {
    /// Wrong size or SHA-256; the archive is as before.
    Content(String),
    Failed(Error),
}

impl From<io::Error> for AppendError {
    fn from(why: io::Error) -> Self {
        Self::Failed(why.into())
    }
}

pub(super) struct ArchiveWriter {
    file: BufWriter<File>,
    /// Bytes written, a multiple of [`BLOCK_BYTES`].
    offset: u64,
    made_at: Millis,
    sums: String,
}

impl ArchiveWriter {
    pub(super) fn new(file: std::fs::File, made_at: Millis) -> Self {
        Self {
            file: BufWriter::with_capacity(COPY_BYTES, File::from_std(file)),
            offset: 0,
            made_at,
            sums: String::new(),
        }
    }

    /// Appends an entry of exactly `size` bytes and, if known, this SHA-256.
    pub(super) async fn append(
        &mut self,
        entry: &Entry,
        size: u64,
        sha256: Option<&str>,
        content: impl Stream<Item = io::Result<Bytes>>,
    ) -> std::result::Result<(), AppendError> {
        let start = self.offset;
        let header = self.header(entry, size)?;
        self.file.write_all(&header).await?;
        let (written, found) = self.copy(size, content).await?;
        let wrong = if written != size {
            Some(format!("it has {written} bytes instead of {size}"))
        } else if sha256.is_some_and(|sha256| sha256 != found) {
            Some(format!("its SHA-256 is {found}"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.rewind(start).await?;
            return Err(AppendError::Content(wrong));
        }
        let padding = (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES;
        self.file
            .write_all(&vec![0; usize::try_from(padding).unwrap_or_default()])
            .await?;
        self.offset = start + BLOCK_BYTES + size + padding;
        self.sums.push_str(&sum_line(&found, entry));
        Ok(())
    }

    pub(super) async fn append_bytes(&mut self, entry: &Entry, bytes: Vec<u8>) -> Result<()> {
        let size = bytes.len() as u64;
        let content = futures::stream::iter([Ok(Bytes::from(bytes))]);
        match self.append(entry, size, None, content).await {
            Ok(()) => Ok(()),
            Err(AppendError::Content(why)) => Err(Error::Internal(why)),
            Err(AppendError::Failed(why)) => Err(why),
        }
    }

    /// Writes the checksums and the end, waits until all is on disk, and returns the archive's size.
    pub(super) async fn finish(mut self) -> Result<u64> {
        let sums = std::mem::take(&mut self.sums).into_bytes();
        self.append_bytes(&Entry::Sums, sums).await?;
        let end = [0; 2 * BLOCK];
        self.file.write_all(&end).await?;
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        Ok(self.offset + 2 * BLOCK_BYTES)
    }

    fn header(&self, entry: &Entry, size: u64) -> io::Result<[u8; BLOCK]> {
        let mut header = tar::Header::new_gnu();
        header.set_path(entry.path())?;
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.made_at / 1_000).unwrap_or_default());
        header.set_cksum();
        Ok(*header.as_bytes())
    }

    /// Stops beyond `size` bytes.
    async fn copy(
        &mut self,
        size: u64,
        content: impl Stream<Item = io::Result<Bytes>>,
    ) -> io::Result<(u64, String)> {
        let mut content = pin!(content);
        let mut hasher = Sha256::new();
        let mut written = 0;
        while let Some(bytes) = content.next().await.transpose()? {
            written += bytes.len() as u64;
            if written > size {
                break;
            }
            hasher.update(&bytes);
            self.file.write_all(&bytes).await?;
        }
        Ok((written, hex::encode(hasher.finalize())))
    }

    async fn rewind(&mut self, offset: u64) -> io::Result<()> {
        self.file.flush().await?;
        let file = self.file.get_mut();
        file.set_len(offset).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        Ok(())
    }
}

/// An extracted archive whose checksums are right.
#[derive(Debug)]
pub(super) struct Extracted {
    pub(super) store: PathBuf,
    /// By SHA-256.
    pub(super) files: BTreeMap<String, PathBuf>,
}

/// Extracts an archive into an empty private folder and checks it. `accept` sees the manifest first. Blocks.
///
/// # Errors
/// [`Error::InvalidSetting`] when it is no archive, damaged, incomplete or not accepted.
pub(super) fn extract(
    archive: &std::fs::File,
    into: &Path,
    accept: impl FnOnce(&Manifest) -> Result<()>,
) -> Result<Extracted> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(|why| damaged(&why))?;
    let (entry, mut content) = next_entry(&mut entries)?.ok_or_else(|| damaged(&"it is empty"))?;
    if entry != Entry::Manifest {
        return Err(damaged(&"it has no manifest"));
    }
    let text = read_text(&mut content)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|why| damaged(&why))?;
    accept(&manifest)?;
    let mut sums = sum_line(&hex::encode(Sha256::digest(&text)), &entry);
    let mut files = BTreeMap::new();
    let store = into.join(STORE);
    while let Some((entry, mut content)) = next_entry(&mut entries)? {
        let (target, expected) = match &entry {
            Entry::Manifest => return Err(damaged(&"it has two manifests")),
            Entry::Sums => {
                if read_text(&mut content)? != sums.as_bytes() {
                    return Err(damaged(&"its checksums differ"));
                }
                if !store.exists() {
                    return Err(damaged(&"it has no store"));
                }
                return Ok(Extracted { store, files });
            }
            Entry::Store => (store.clone(), manifest.store_sha256.as_str()),
            Entry::File(hash) => (into.join(entry.path()), hash.as_str()),
        };
        let found = copy_to(&mut content, &target)?;
        if found != expected {
            return Err(damaged(&format!("the SHA-256 of {} differs", entry.path())));
        }
        sums.push_str(&sum_line(&found, &entry));
        if let Entry::File(hash) = entry {
            files.insert(hash, target);
        }
    }
    Err(damaged(&"its end is missing"))
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::InvalidSetting(format!(
        "this is not a whole backup of Rialto: {why}. Use another backup"
    ))
}

type TarEntry<'a> = tar::Entry<'a, &'a std::fs::File>;

fn next_entry<'a>(
    entries: &mut tar::Entries<'a, &'a std::fs::File>,
) -> Result<Option<(Entry, TarEntry<'a>)>> {
    let Some(content) = entries.next().transpose().map_err(|why| damaged(&why))? else {
        return Ok(None);
    };
    let path = content.path().map_err(|why| damaged(&why))?;
    let path = path.to_string_lossy().into_owned();
    let entry = Entry::parse(&path).ok_or_else(|| damaged(&format!("it contains {path:?}")))?;
    Ok(Some((entry, content)))
}

fn read_text(content: &mut impl Read) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    content
        .take(MAX_TEXT_BYTES)
        .read_to_end(&mut text)
        .map_err(|why| damaged(&why))?;
    Ok(text)
}

/// Returns the SHA-256.
fn copy_to(content: &mut impl Read, target: &Path) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = content.read(&mut buffer).map_err(|why| damaged(&why))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            file.sync_all()?;
            return Ok(hex::encode(hasher.finalize()));
        };
        hasher.update(bytes);
        file.write_all(bytes)?;
    }
}

#[cfg(test)]
mod tests;
