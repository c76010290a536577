//! URL of a PostgreSQL database, which may contain a password.

use super::{Error, Result};
use sqlx::postgres::PgConnectOptions;
use std::{convert::Infallible, fmt, str::FromStr};

const URL_FORMAT_HINT: &str = "Use the form postgres://user:password@host:5432/database, percent-encoding special characters (%40 for @)";

const EMBEDDED_STORE_HINT: &str = "--database-url is for PostgreSQL. For the SQLite store, leave it out and set the folder with --data";

/// A URL as given. Only `options` validates it, so no other error shows the password; `Debug` and `Display` omit user, password and query.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self(url.trim().to_owned()))
    }
}

impl DatabaseUrl {
    pub(super) fn expose_secret(&self) -> &str {
        &self.0
    }

    /// [`Error::InvalidSetting`] unless it is a PostgreSQL URL.
    pub(super) fn options(&self) -> Result<PgConnectOptions> {
        // Anything after the scheme may be a password.
        let scheme = self.0.split(':').next().unwrap_or_default();
        let wrong = match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" => match self.0.parse() {
                Ok(options) => return Ok(options),
                Err(_) => "it is not a valid URL".to_owned(),
            },
            "sqlite" | "file" => return Err(Error::InvalidSetting(EMBEDDED_STORE_HINT.to_owned())),
            known @ ("mysql" | "mariadb" | "mssql" | "mongodb" | "redis") => {
                format!("Rialto cannot use {known}")
            }
            _ => "it does not begin with postgres://".to_owned(),
        };
        Err(Error::InvalidSetting(format!(
            "--database-url (RIALTO_DATABASE_URL) cannot be used: {wrong}. {URL_FORMAT_HINT}"
        )))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = self.options() else {
            return f.write_str("an invalid database URL");
        };
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => write!(f, "postgres://{}/{database}", socket.display()),
            None => write!(
                f,
                "postgres://{}:{}/{database}",
                options.get_host(),
                options.get_port()
            ),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        url(text).options().unwrap_err().to_string()
    }

    #[test]
    fn an_address_is_shown_without_its_user_and_password() {
        let url = url("postgres://shylock:ducats@db.example:6000/rialto?sslmode=require");
        assert_eq!(url.to_string(), "postgres://db.example:6000/rialto");
        assert_eq!(
            format!("{url:?}"),
            "DatabaseUrl(postgres://db.example:6000/rialto)"
        );
    }

    #[test]
    fn what_is_no_postgresql_is_refused_in_words_and_without_its_password() {
        assert!(refused("sqlite://data/rialto.sqlite").contains("leave it out"));
        assert!(refused("sqlite:data/rialto.sqlite").contains("leave it out"));
        assert!(refused("mysql://a:ducats@b/c").contains("cannot use mysql"));
        for wrong in [
            "ducats",
            "postgres://a:ducats@b:port/c",
            "postgres://a:du#cats/@b/c",
            "mysql://a:ducats@b/c",
        ] {
            let refused = refused(wrong);
            assert!(
                refused.contains("postgres://user:password@host:5432/database"),
                "{refused}"
            );
            assert!(
                !refused.contains("ducats") && !format!("{:?}", url(wrong)).contains("ducats"),
                "{refused}"
            );
        }
    }
}
