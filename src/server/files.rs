//! Contents of uploaded files by SHA-256, in the data folder or a shared object store.

use super::{Error, Result, config::Config};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::AmazonS3Builder, buffered::BufWriter, local::LocalFileSystem, path::Path,
};
use sha2::{Digest, Sha256};
use std::{io, ops::Range, path, result, sync::Arc, time::Duration};
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt},
};

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_RETRIES: usize = 4;

const COPY_BYTES: usize = 64 * 1024;

/// Storage of file contents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Files {
    /// Opens the data folder's `files`, or the bucket of [`Config::files`].
    ///
    /// # Errors
    /// When the folder cannot be created or the bucket not read.
    pub async fn open(config: &Config) -> Result<Self> {
        Self::open_at(&config.store.data, config.files.as_deref()).await
    }

    /// As [`Self::open`], of a data folder and perhaps a bucket.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_at(data: &path::Path, bucket: Option<&str>) -> Result<Self> {
        let Some(url) = bucket else {
            return Self::open_folder(&data.join("files")).await;
        };
        let files = Self::with_bucket(url).map_err(|why| bucket_error(url, &why))?;
        let first = files.store.list(Some(&files.prefix)).next().await;
        match first.transpose() {
            Ok(_) => Ok(files),
            Err(why) => Err(bucket_error(url, &why)),
        }
    }

    /// As [`Self::open_at`], but creates nothing; none without a folder.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_existing(data: &path::Path, bucket: Option<&str>) -> Result<Option<Self>> {
        if bucket.is_none() && !fs::try_exists(data.join("files")).await? {
            return Ok(None);
        }
        Self::open_at(data, bucket).await.map(Some)
    }

    async fn open_folder(folder: &path::Path) -> Result<Self> {
        fs::create_dir_all(folder).await?;
        // Acknowledged files survive a power failure.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            prefix: Path::default(),
        })
    }

    /// `AWS_…` variables set endpoint and credentials.
    fn with_bucket(url: &str) -> object_store::Result<Self> {
        let (bucket, prefix) = split_bucket_url(url);
        let retry = RetryConfig {
            max_retries: MAX_RETRIES,
            retry_timeout: RESPONSE_TIMEOUT,
            ..RetryConfig::default()
        };
        // No total timeout: a client may receive slowly.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(RESPONSE_TIMEOUT)
            .with_allow_http(std::env::var("AWS_ALLOW_HTTP").is_ok_and(|allow| allow == "true"));
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            .with_client_options(client)
            .build()?;
        Ok(Self {
            store: Arc::new(store),
            prefix: Path::parse(prefix)?,
        })
    }

    /// Stores a local file durably under its SHA-256 (64 hexadecimal digits), hashing what it copies.
    ///
    /// # Errors
    /// When the file cannot be stored, or changed meanwhile; the call can be retried.
    pub async fn put(&self, hash: &str, from: std::fs::File) -> Result<()> {
        let path = self.path_of(hash);
        match self.store.head(&path).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(why) => return Err(why.into()),
        }
        let mut into = BufWriter::new(self.store.clone(), path);
        let copied = copy_hashing(fs::File::from_std(from), &mut into).await;
        let why = match copied {
            Ok(copied) if copied == hash => return Ok(into.shutdown().await?),
            Ok(_) => io::Error::new(
                io::ErrorKind::InvalidData,
                "the file changed while it was copied",
            ),
            Err(why) => why,
        };
        // The store removes incomplete uploads by itself.
        let _ = into.abort().await;
        Err(why.into())
    }

    /// Reads a file or a range, at the consumer's pace.
    ///
    /// # Errors
    /// When the file is missing or the store does not answer. The stream fails if the rest is unavailable.
    pub async fn read(
        &self,
        hash: &str,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>> {
        let path = self.path_of(hash);
        let reading = ResumingReader::open(self.store.clone(), path, range).await?;
        Ok(stream::try_unfold(reading, ResumingReader::next_bytes).boxed())
    }

    fn path_of(&self, hash: &str) -> Path {
        let folder = hash.get(..2).unwrap_or_default();
        self.prefix.clone().join(folder).join(hash)
    }
}

/// Copies from the beginning; returns the SHA-256.
async fn copy_hashing(
    mut from: fs::File,
    into: &mut (impl AsyncWrite + Unpin),
) -> io::Result<String> {
    from.rewind().await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(hex::encode(hasher.finalize()));
        };
        hasher.update(bytes);
        into.write_all(bytes).await?;
    }
}

/// Survives slow consumers: stores close idle connections, and [`RESPONSE_TIMEOUT`] also runs while nobody reads.
struct ResumingReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    remaining: Range<u64>,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    /// Since the last request to the store.
    has_received: bool,
}

impl ResumingReader {
    async fn open(
        store: Arc<dyn ObjectStore>,
        path: Path,
        range: Option<Range<u64>>,
    ) -> object_store::Result<Self> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let found = store.get_opts(&path, options).await?;
        Ok(Self {
            store,
            path,
            remaining: found.range.clone(),
            bytes: found.into_stream(),
            has_received: false,
        })
    }

    /// Content under a hash never changes: the rest can be requested anytime.
    async fn next_bytes(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while !self.remaining.is_empty() {
            let why = match self.bytes.next().await {
                Some(Ok(bytes)) => {
                    self.remaining.start += bytes.len() as u64;
                    self.has_received = true;
                    return Ok(Some((bytes, self)));
                }
                Some(Err(why)) => io::Error::other(why),
                None => io::ErrorKind::UnexpectedEof.into(),
            };
            if !self.has_received {
                return Err(why);
            }
            tracing::debug!(path = %self.path, left = ?self.remaining, %why, "reading a file was interrupted; requesting the rest");
            let rest = Self::open(self.store, self.path, Some(self.remaining));
            self = rest.await.map_err(io::Error::other)?;
        }
        Ok(None)
    }
}

/// Free space of a folder's file system for this user (statvfs(3)); none if it cannot be read.
#[must_use]
pub fn available_bytes(folder: &path::Path) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return rustix::fs::statvfs(folder)
        .ok()
        .map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    #[cfg(not(target_os = "linux"))]
    return None;
}

fn split_bucket_url(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix(S3_SCHEME).unwrap_or(url);
    rest.split_once('/').unwrap_or((rest, ""))
}

const S3_SCHEME: &str = "s3://";

/// The error is for the user.
pub(super) fn parse_bucket_url(url: &str) -> result::Result<String, String> {
    if url.starts_with(S3_SCHEME) && !split_bucket_url(url).0.is_empty() {
        Ok(url.to_owned())
    } else {
        Err("expected s3://bucket or s3://bucket/folder".to_owned())
    }
}

fn bucket_error(url: &str, why: &object_store::Error) -> Error {
    Error::InvalidSetting(format!(
        "the bucket {url} cannot be used: {why}. --files (RIALTO_FILES) must name an existing bucket. \
         AWS_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set its location and credentials; \
         AWS_ALLOW_HTTP=true allows access without TLS"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    #[test]
    fn an_address_names_a_bucket_and_perhaps_a_folder_in_it() {
        assert_eq!(split_bucket_url("s3://bucket"), ("bucket", ""));
        assert_eq!(split_bucket_url("s3://bucket/a/b"), ("bucket", "a/b"));
        assert!(parse_bucket_url("s3://bucket").is_ok());
        for wrong in ["bucket", "s3://", "s3:///a", "https://example.org/bucket"] {
            assert!(parse_bucket_url(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_folder_keeps_the_same_bytes_once_and_gives_parts_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open_folder(&folder.path().join("files"))
            .await
            .unwrap();
        let from = folder.path().join("sent");
        std::fs::write(&from, b"Ponte di Rialto").unwrap();
        let hash = hex::encode(Sha256::digest(b"Ponte di Rialto"));
        for _ in 0..2 {
            let from = std::fs::File::open(&from).unwrap();
            files.put(&hash, from).await.unwrap();
        }
        let kept = folder.path().join("files").join(&hash[..2]).join(&hash);
        assert_eq!(std::fs::read(kept).unwrap(), b"Ponte di Rialto");
        let part = files.read(&hash, Some(9..12)).await.unwrap();
        let part: Vec<Bytes> = part.try_collect().await.unwrap();
        assert_eq!(part.concat(), b"Ria");
        assert!(files.read("000000", None).await.is_err());
    }

    #[tokio::test]
    async fn bytes_that_changed_since_they_were_hashed_are_kept_under_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open_folder(&folder.path().join("files"))
            .await
            .unwrap();
        let from = folder.path().join("sent");
        let hash = hex::encode(Sha256::digest(b"Ponte di Rialto"));
        std::fs::write(&from, b"Ponte di Rialtz").unwrap();
        let refused = files
            .put(&hash, std::fs::File::open(&from).unwrap())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("changed"), "{refused}");
        assert!(files.read(&hash, None).await.is_err());
    }
}
