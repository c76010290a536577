//! Why no path was found, in words that say what to do: plain data, no browser in it.

use crate::model::call::{IceServer, SignalingMessage};

/// What is known of how the two could reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct PathDiagnosis {
    relay: RelayStatus,
    /// What was heard of the other one.
    remote: RemoteStatus,
}

/// What is known of the site's relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum RelayStatus {
    #[default]
    None,
    /// There is one.
    Configured,
    /// This browser reached it.
    Reached,
}

/// What is known of the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum RemoteStatus {
    #[default]
    NoSignal,
    SignalReceived,
    /// They reached the relay.
    RelayReached,
}

/// What every candidate at a relay says of itself (RFC 8839 section 5.1).
const RELAY_CANDIDATE_TYPE: &str = " typ relay";

impl PathDiagnosis {
    /// What was told to find a path with.
    pub(in crate::calls::client) fn record_ice_servers(&mut self, servers: &[IceServer]) {
        let mut urls = servers.iter().flat_map(|server| &server.urls);
        self.relay = match (self.relay, urls.any(|url| url.starts_with("turn"))) {
            (_, false) => RelayStatus::None,
            (RelayStatus::None, true) => RelayStatus::Configured,
            (known, true) => known,
        };
    }

    /// What this browser says to the other one.
    pub(in crate::calls::client) fn record_sent_signal(&mut self, signal: &SignalingMessage) {
        if has_relay_candidate(signal) {
            self.relay = RelayStatus::Reached;
        }
    }

    /// What the other one says.
    pub(in crate::calls::client) fn record_received_signal(&mut self, signal: &SignalingMessage) {
        let remote = if has_relay_candidate(signal) {
            RemoteStatus::RelayReached
        } else {
            RemoteStatus::SignalReceived
        };
        self.remote = self.remote.max(remote);
    }

    /// Why there is no path, and what to do.
    pub(in crate::calls::client) fn explanation(self) -> &'static str {
        match (self.remote, self.relay) {
            (RemoteStatus::NoSignal, _) => {
                "Nothing was heard of the other person's browser yet. Trying again…"
            }
            (_, RelayStatus::None) => {
                "No way to the other person's network was found, and this site has no relay for such calls. Try it from another \
                 network, or ask who runs this site to turn the relay on."
            }
            (_, RelayStatus::Configured) => {
                "No way to the other person's network was found: your network lets nothing through to the relay of this site. Try it \
                 from another network, such as that of a phone."
            }
            (RemoteStatus::SignalReceived, RelayStatus::Reached) => {
                "No way to the other person's network was found: theirs lets nothing through to the relay of this site. They could try \
                 it from another network, such as that of a phone."
            }
            (RemoteStatus::RelayReached, RelayStatus::Reached) => {
                "No way to the other person's network was found, although both of you reach the relay of this site. Trying again…"
            }
        }
    }
}

fn has_relay_candidate(signal: &SignalingMessage) -> bool {
    match signal {
        SignalingMessage::Offer { sdp }
        | SignalingMessage::Answer { sdp }
        | SignalingMessage::Pranswer { sdp } => sdp.contains(RELAY_CANDIDATE_TYPE),
        SignalingMessage::Candidate { candidate, .. } => candidate.contains(RELAY_CANDIDATE_TYPE),
        SignalingMessage::RestartIce => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: &str) -> SignalingMessage {
        SignalingMessage::Candidate {
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
        let mut diagnosis = PathDiagnosis::default();
        assert!(diagnosis.explanation().contains("Nothing was heard"));
        diagnosis.record_received_signal(&candidate("host"));
        diagnosis.record_ice_servers(&[server("stun:stun.example.org")]);
        assert!(
            diagnosis.explanation().contains("has no relay"),
            "STUN relays nothing"
        );
        diagnosis.record_ice_servers(&[server("turn:turn.example.org")]);
        assert!(
            diagnosis
                .explanation()
                .contains("your network lets nothing through")
        );
        diagnosis.record_sent_signal(&candidate("srflx"));
        assert!(
            diagnosis
                .explanation()
                .contains("your network lets nothing through")
        );
        diagnosis.record_sent_signal(&candidate("relay"));
        assert!(
            diagnosis
                .explanation()
                .contains("theirs lets nothing through")
        );
        diagnosis.record_received_signal(&SignalingMessage::Offer {
            sdp: "a=candidate:1 1 udp 1 192.0.2.1 9 typ relay".to_owned(),
        });
        assert!(diagnosis.explanation().contains("although both"));
    }
}
