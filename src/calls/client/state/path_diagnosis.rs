//! Explains why no path was found, and what to do.

use crate::model::call::{IceServer, SignalingMessage};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct PathDiagnosis {
    relay: RelayStatus,
    remote: RemoteStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum RelayStatus {
    #[default]
    None,
    Configured,
    /// This browser reached the relay.
    Reached,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum RemoteStatus {
    #[default]
    NoSignal,
    SignalReceived,
    RelayReached,
}

/// RFC 8839 section 5.1.
const RELAY_CANDIDATE_TYPE: &str = " typ relay";

impl PathDiagnosis {
    pub(in crate::calls::client) fn record_ice_servers(&mut self, servers: &[IceServer]) {
        let mut urls = servers.iter().flat_map(|server| &server.urls);
        self.relay = match (self.relay, urls.any(|url| url.starts_with("turn"))) {
            (_, false) => RelayStatus::None,
            (RelayStatus::None, true) => RelayStatus::Configured,
            (known, true) => known,
        };
    }

    pub(in crate::calls::client) fn record_sent_signal(&mut self, signal: &SignalingMessage) {
        if has_relay_candidate(signal) {
            self.relay = RelayStatus::Reached;
        }
    }

    pub(in crate::calls::client) fn record_received_signal(&mut self, signal: &SignalingMessage) {
        let remote = if has_relay_candidate(signal) {
            RemoteStatus::RelayReached
        } else {
            RemoteStatus::SignalReceived
        };
        self.remote = self.remote.max(remote);
    }

    pub(in crate::calls::client) fn explanation(self) -> &'static str {
        match (self.remote, self.relay) {
            (RemoteStatus::NoSignal, _) => {
                "No response from the other person's browser yet. Trying again…"
            }
            (_, RelayStatus::None) => {
                "No route to the other person's network, and this site has no relay. Try another network, or ask the \
                 administrator of this site to enable the relay."
            }
            (_, RelayStatus::Configured) => {
                "No route to the other person's network: your network blocks this site's relay. Try another network, such as \
                 mobile data."
            }
            (RemoteStatus::SignalReceived, RelayStatus::Reached) => {
                "No route to the other person's network: their network blocks this site's relay. They can try another network, \
                 such as mobile data."
            }
            (RemoteStatus::RelayReached, RelayStatus::Reached) => {
                "No route to the other person's network, although both of you reach this site's relay. Trying again…"
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
        assert!(diagnosis.explanation().contains("No response"));
        diagnosis.record_received_signal(&candidate("host"));
        diagnosis.record_ice_servers(&[server("stun:stun.example.org")]);
        assert!(
            diagnosis.explanation().contains("has no relay"),
            "STUN relays nothing"
        );
        diagnosis.record_ice_servers(&[server("turn:turn.example.org")]);
        assert!(diagnosis.explanation().contains("your network blocks"));
        diagnosis.record_sent_signal(&candidate("srflx"));
        assert!(diagnosis.explanation().contains("your network blocks"));
        diagnosis.record_sent_signal(&candidate("relay"));
        assert!(diagnosis.explanation().contains("their network blocks"));
        diagnosis.record_received_signal(&SignalingMessage::Offer {
            sdp: "a=candidate:1 1 udp 1 192.0.2.1 9 typ relay".to_owned(),
        });
        assert!(diagnosis.explanation().contains("although both"));
    }
}
