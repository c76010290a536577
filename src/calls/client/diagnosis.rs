//! Why no path was found, in words that say what to do: plain data, no browser in it.

use crate::model::call::{IceServer, Signal};

/// What is known of how the two could reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Clues {
    relay: Relay,
    /// What was heard of the other one.
    them: Them,
}

/// What is known of the site's relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Relay {
    #[default]
    None,
    /// There is one.
    Known,
    /// This browser reached it.
    Reached,
}

/// What is known of the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Them {
    #[default]
    Unheard,
    Heard,
    /// They reached the relay.
    AtRelay,
}

/// What every candidate at a relay says of itself (RFC 8839 section 5.1).
const AT_RELAY: &str = " typ relay";

impl Clues {
    /// What was told to find a path with.
    pub(super) fn told(&mut self, servers: &[IceServer]) {
        let mut urls = servers.iter().flat_map(|server| &server.urls);
        self.relay = match (self.relay, urls.any(|url| url.starts_with("turn"))) {
            (_, false) => Relay::None,
            (Relay::None, true) => Relay::Known,
            (known, true) => known,
        };
    }

    /// What this browser says to the other one.
    pub(super) fn say(&mut self, signal: &Signal) {
        if names_relay(signal) {
            self.relay = Relay::Reached;
        }
    }

    /// What the other one says.
    pub(super) fn hear(&mut self, signal: &Signal) {
        let them = if names_relay(signal) {
            Them::AtRelay
        } else {
            Them::Heard
        };
        self.them = self.them.max(them);
    }

    /// Why there is no path, and what to do.
    pub(super) fn why(self) -> &'static str {
        match (self.them, self.relay) {
            (Them::Unheard, _) => {
                "Nothing was heard of the other person's browser yet. Trying again…"
            }
            (_, Relay::None) => {
                "No way to the other person's network was found, and this site has no relay for such calls. Try it from another \
                 network, or ask who runs this site to turn the relay on."
            }
            (_, Relay::Known) => {
                "No way to the other person's network was found: your network lets nothing through to the relay of this site. Try it \
                 from another network, such as that of a phone."
            }
            (Them::Heard, Relay::Reached) => {
                "No way to the other person's network was found: theirs lets nothing through to the relay of this site. They could try \
                 it from another network, such as that of a phone."
            }
            (Them::AtRelay, Relay::Reached) => {
                "No way to the other person's network was found, although both of you reach the relay of this site. Trying again…"
            }
        }
    }
}

fn names_relay(signal: &Signal) -> bool {
    match signal {
        Signal::Offer { sdp } | Signal::Answer { sdp } | Signal::Pranswer { sdp } => {
            sdp.contains(AT_RELAY)
        }
        Signal::Candidate { candidate, .. } => candidate.contains(AT_RELAY),
        Signal::Restart => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: &str) -> Signal {
        Signal::Candidate {
            candidate: format!("candidate:1 1 udp 1 192.0.2.1 9 typ {kind} raddr 0.0.0.0 rport 0"),
            sdp_mid: None,
            sdp_m_line_index: None,
        }
    }

    fn server(url: &str) -> IceServer {
        IceServer {
            urls: vec![url.to_owned()],
            username: None,
            credential: None,
        }
    }

    #[test]
    fn whose_network_is_in_the_way_is_said_and_what_to_do_about_it() {
        let mut clues = Clues::default();
        assert!(clues.why().contains("Nothing was heard"));
        clues.hear(&candidate("host"));
        clues.told(&[server("stun:stun.example.org")]);
        assert!(clues.why().contains("has no relay"), "STUN relays nothing");
        clues.told(&[server("turn:turn.example.org")]);
        assert!(clues.why().contains("your network lets nothing through"));
        clues.say(&candidate("srflx"));
        assert!(clues.why().contains("your network lets nothing through"));
        clues.say(&candidate("relay"));
        assert!(clues.why().contains("theirs lets nothing through"));
        clues.hear(&Signal::Offer {
            sdp: "a=candidate:1 1 udp 1 192.0.2.1 9 typ relay".to_owned(),
        });
        assert!(clues.why().contains("although both"));
    }
}
