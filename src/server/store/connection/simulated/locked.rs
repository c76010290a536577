//! The error of a statement that waited too long for the write lock.

use sqlx::error::DatabaseError;
use std::{error, fmt};

/// `SQLITE_BUSY`.
#[derive(Debug)]
pub(super) struct Locked;

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("database is locked")
    }
}

impl error::Error for Locked {}

impl DatabaseError for Locked {
    fn message(&self) -> &'static str {
        "database is locked"
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("5".into())
    }

    fn as_error(&self) -> &(dyn error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}
