//! A certificate of a test's own, which nobody believes who is not told to.

use std::path::PathBuf;
use tempfile::TempDir;

/// A certificate that issued itself, and its key, in files.
pub(crate) struct Certificate {
    pub(crate) cert: rcgen::Certificate,
    folder: TempDir,
}

impl Certificate {
    /// One for a server of this name.
    pub(crate) fn self_signed(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = Self {
            cert: made.cert,
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(certificate.chain(), certificate.cert.pem()).unwrap();
        std::fs::write(certificate.key(), made.signing_key.serialize_pem()).unwrap();
        certificate
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
