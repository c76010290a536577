//! Why the server closes a WebSocket: the codes of RFC 6455 section 7.4 where one fits, and private ones (4000 to 4999)
//! where none does.

/// A close code that Rialto sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// 1001: the server is shutting down, or what it knows of this user (name, role) has changed. Reconnect with backoff.
    GoingAway,
    /// 1009: a message was larger than the connection takes. Do not send it again.
    TooBig,
    /// 4000: the same page connected again, and the newer connection goes on. Do not reconnect, unless nobody else can have the page's id.
    Replaced,
    /// 4001: the session ended (signed out, or removed). Do not reconnect; sign in.
    SignedOut,
    /// 4002: the first frame was no `hello`, none came in time, or it named somebody else's page. A client that does this has
    /// a bug.
    NoHello,
    /// 4003: too many frames that the server had to refuse. Reconnect with backoff.
    TooManyErrors,
    /// 4008: the client did not read for so long that its queue passed its bound. Reconnect and resume.
    TooSlow,
    /// 4009: nothing was heard from the client for longer than the heartbeat allows. Reconnect and resume.
    HeartbeatTimeout,
}

impl CloseCode {
    /// Every code, in order.
    pub const ALL: [Self; 8] = [
        Self::GoingAway,
        Self::TooBig,
        Self::Replaced,
        Self::SignedOut,
        Self::NoHello,
        Self::TooManyErrors,
        Self::TooSlow,
        Self::HeartbeatTimeout,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::TooBig => 1009,
            Self::Replaced => 4000,
            Self::SignedOut => 4001,
            Self::NoHello => 4002,
            Self::TooManyErrors => 4003,
            Self::TooSlow => 4008,
            Self::HeartbeatTimeout => 4009,
        }
    }

    /// The reason sent beside the number, at most 123 bytes (RFC 6455 section 5.5.1).
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "the server is restarting",
            Self::TooBig => "that message is too big",
            Self::Replaced => "this page connected again",
            Self::SignedOut => "the session has ended",
            Self::NoHello => "the first frame has to be hello",
            Self::TooManyErrors => "too many refused frames",
            Self::TooSlow => "the client reads too slowly; reconnect and resume",
            Self::HeartbeatTimeout => "nothing heard from the client",
        }
    }

    /// Whether a client should connect again by itself after this number.
    #[must_use]
    pub fn should_reconnect(code: u16) -> bool {
        let ours = Self::ALL.into_iter().find(|known| known.code() == code);
        !matches!(ours, Some(Self::Replaced | Self::SignedOut | Self::NoHello))
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
