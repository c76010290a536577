//! Separates candidates from a description: a ringing page applies the caller's capabilities, but not its addresses.

/// W3C `RTCIceCandidateInit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::calls::client) struct IceCandidate {
    /// `candidate:…` (RFC 8839), or empty at the end of candidates.
    pub(in crate::calls::client) candidate: String,
    pub(in crate::calls::client) sdp_mid: Option<String>,
    pub(in crate::calls::client) sdp_m_line_index: Option<u16>,
}

/// RFC 8839 section 5.1.
const CANDIDATE_ATTRIBUTE: &str = "a=candidate:";
/// RFC 8840 section 8.2.
const END_OF_CANDIDATES_ATTRIBUTE: &str = "a=end-of-candidates";

pub(super) fn split_candidates(sdp: &str) -> (String, Vec<IceCandidate>) {
    let (rest, found) = split_candidate_lines(sdp);
    let candidates = found.into_iter().map(|(index, candidate)| IceCandidate {
        candidate: candidate.to_owned(),
        sdp_mid: None,
        sdp_m_line_index: Some(index),
    });
    (rest, candidates.collect())
}

/// Candidates come with the index of their media section (RFC 8866 section 5.14).
fn split_candidate_lines(sdp: &str) -> (String, Vec<(u16, &str)>) {
    let mut rest = String::with_capacity(sdp.len());
    let mut found = Vec::new();
    let mut sections = 0_u16;
    for line in sdp.split_inclusive('\n') {
        if line.starts_with("m=") {
            sections = sections.saturating_add(1);
        }
        if line.starts_with(CANDIDATE_ATTRIBUTE) {
            let candidate = line.trim_end().trim_start_matches("a=");
            found.push((sections.saturating_sub(1), candidate));
        } else if !line.starts_with(END_OF_CANDIDATES_ATTRIBUTE) {
            rest.push_str(line);
        }
    }
    (rest, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_the_same_without_the_addresses_in_it() {
        let sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 2 192.0.2.1 9 typ host\r\na=mid:0\r\n\
                   m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=candidate:2 1 udp 1 192.0.2.1 9 typ srflx\r\na=end-of-candidates\r\n";
        let (rest, found) = split_candidate_lines(sdp);
        assert_eq!(
            rest,
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n"
        );
        assert_eq!(
            found,
            [
                (0, "candidate:1 1 udp 2 192.0.2.1 9 typ host"),
                (1, "candidate:2 1 udp 1 192.0.2.1 9 typ srflx"),
            ]
        );
    }

    #[test]
    fn a_description_without_any_is_left_as_it_is() {
        for sdp in ["", "v=0", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"] {
            assert_eq!(split_candidate_lines(sdp), (sdp.to_owned(), Vec::new()));
        }
    }
}
