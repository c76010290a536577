//! WebSocket close codes of RFC 6455 section 7.4, and private ones (4000 to 4999).

use std::time::Duration;

/// How long the server waits for the answer to a close frame (RFC 6455 section 7.1.1).
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A close code that the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// The server is shutting down, or the user changed.
    GoingAway,
    /// A message exceeded the size limit. Do not send it again.
    TooBig,
    /// Too many connections are open.
    TryAgainLater,
    /// The same client connected again. Do not reconnect, unless its id is certainly unique.
    Replaced,
    /// The session ended. Sign in instead of reconnecting.
    SignedOut,
    /// The first frame was no `hello`, or had another user's client id: a bug in the client.
    NoHello,
    /// Too many frames arrived, or too many were refused.
    TooManyErrors,
    /// The page is of another site, or a proxy changes the `Host` header.
    ForeignOrigin,
    /// The client read too slowly.
    TooSlow,
    /// Nothing arrived for too long, or no `hello` in time.
    HeartbeatTimeout,
}

impl CloseCode {
    /// All codes, ascending.
    pub const ALL: [Self; 10] = [
        Self::GoingAway,
        Self::TooBig,
        Self::TryAgainLater,
        Self::Replaced,
        Self::SignedOut,
        Self::NoHello,
        Self::TooManyErrors,
        Self::ForeignOrigin,
        Self::TooSlow,
        Self::HeartbeatTimeout,
    ];

    /// The status code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::TooBig => 1009,
            Self::TryAgainLater => 1013,
            Self::Replaced => 4000,
            Self::SignedOut => 4001,
            Self::NoHello => 4002,
            Self::TooManyErrors => 4003,
            Self::ForeignOrigin => 4004,
            Self::TooSlow => 4008,
            Self::HeartbeatTimeout => 4009,
        }
    }

    /// At most 123 bytes (RFC 6455 section 5.5.1).
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "the server is restarting",
            Self::TooBig => "that message is too big",
            Self::TryAgainLater => "too many connections; close other pages or try again later",
            Self::Replaced => "this page connected again",
            Self::SignedOut => "the session has ended",
            Self::NoHello => "the first frame must be hello",
            Self::TooManyErrors => "too many frames, or too many refused ones",
            Self::ForeignOrigin => {
                "the page's address is not this server's: set --public-url, and let the proxy pass on Host"
            }
            Self::TooSlow => "the client reads too slowly; reconnect and resume",
            Self::HeartbeatTimeout => "heartbeat timeout",
        }
    }

    /// Whether a client should reconnect; true for unknown codes.
    #[must_use]
    pub fn should_reconnect(code: u16) -> bool {
        let ours = Self::ALL.into_iter().find(|known| known.code() == code);
        !matches!(
            ours,
            Some(Self::Replaced | Self::SignedOut | Self::NoHello | Self::ForeignOrigin)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_close_frame() {
        assert!(
            CloseCode::ALL
                .into_iter()
                .all(|code| code.reason().len() <= 123)
        );
    }

    #[test]
    fn only_a_lasting_reason_ends_reconnecting() {
        assert!(CloseCode::should_reconnect(1006) && CloseCode::should_reconnect(4008));
        assert!(!CloseCode::should_reconnect(4000) && !CloseCode::should_reconnect(4001));
    }
}
