//! `control.json` in the data folder: URL and token of the running server, for the same user's command line.

use super::{
    data_folder::{self, Action},
    error::{Error, Result},
    random,
};
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::Path};

/// Contents of `control.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ControlFile {
    /// `http://` and the listen address.
    #[serde(rename = "address")]
    pub base_url: String,
    /// Bearer token.
    pub token: String,
}

impl std::fmt::Debug for ControlFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlFile")
            .field("address", &self.base_url)
            .finish_non_exhaustive()
    }
}

fn control_path(data: &Path) -> std::path::PathBuf {
    data.join("control.json")
}

/// Whether a request has the control token as its bearer token (RFC 6750).
#[must_use]
pub fn is_authorized(control_token: &str, headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    // Hashing prevents a timing attack.
    random::sha256_hex(given) == random::sha256_hex(control_token)
}

/// Reads the control file; none if missing or invalid.
///
/// # Errors
/// A message for the user, when the file cannot be read.
pub async fn read(data: &Path) -> Result<Option<ControlFile>, String> {
    let path = control_path(data);
    match tokio::fs::read(&path).await {
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(data_folder::describe(&path, Action::Read, &why).to_string()),
    }
}

/// Replaces the control file by one that only this user can read. Creates a missing folder.
///
/// # Errors
/// When the file cannot be written.
pub async fn write(data: &Path, address: SocketAddr, token: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let control = ControlFile {
        base_url: format!("http://{address}"),
        token: token.to_owned(),
    };
    tokio::fs::create_dir_all(data).await?;
    let path = control_path(data);
    let write = move || {
        let new = path.with_extension("json.new");
        // The mode applies only to a new file.
        if let Err(why) = std::fs::remove_file(&new)
            && why.kind() != std::io::ErrorKind::NotFound
        {
            return Err(why);
        }
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        serde_json::to_writer(file, &control).map_err(std::io::Error::other)?;
        std::fs::rename(&new, &path)
    };
    Ok(tokio::task::spawn_blocking(write)
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))??)
}
