//! A self-signed certificate that only the test trusts.

use std::path::PathBuf;
use tempfile::TempDir;

/// In files, with its key.
pub(crate) struct Certificate {
    pub(crate) cert: rcgen::Certificate,
    folder: TempDir,
}

impl Certificate {
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
