//! The safety code lets two people detect interception of their call.
//!
//! Media and data are encrypted end to end (DTLS-SRTP, RFC 5764), but the key fingerprints pass through the server (RFC
//! 8122). The code, a hash of both fingerprints, differs between the two people if a server replaces a fingerprint. Its 30 digits
//! are about 100 bits, too many to find colliding keys during call setup.

use crate::ui::browser;

/// Six groups of five digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyCode(String);

impl SafetyCode {
    /// The code as displayed: `12345 67890 …`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` without a fingerprint in a description (RFC 8866) or without Web Crypto. Browser only.
    pub(super) async fn from_descriptions(local: &str, remote: &str) -> Option<Self> {
        let text = hash_input(local, remote)?;
        let hash = browser::sha256(js_sys::Uint8Array::from(text.as_bytes()).as_ref()).await?;
        Some(Self(digit_groups(&hash)))
    }
}

/// Identical on both sides.
fn hash_input(local: &str, remote: &str) -> Option<String> {
    let mut both = [fingerprints(local)?, fingerprints(remote)?];
    both.sort();
    Some(format!("rialto safety code 1\n{}\n{}", both[0], both[1]))
}

fn fingerprints(sdp: &str) -> Option<String> {
    let mut all: Vec<String> = sdp
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("a=fingerprint:"))
        .map(str::to_ascii_uppercase)
        .collect();
    all.sort();
    all.dedup();
    (!all.is_empty()).then(|| all.join(" "))
}

fn digit_groups(hash: &[u8]) -> String {
    let groups: Vec<String> = hash
        .chunks_exact(5)
        .take(6)
        .map(|bytes| {
            let number = bytes
                .iter()
                .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        })
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str =
        "v=0\r\na=fingerprint:sha-256 AA:01\r\nm=audio\r\na=fingerprint:sha-256 AA:01\r\n";
    const GRACE: &str = "v=0\r\na=fingerprint:sha-256 bb:02\r\n";
    const EVE: &str = "v=0\r\na=fingerprint:sha-256 EE:03\r\n";

    #[test]
    fn both_sides_compare_the_same_and_somebody_between_them_is_seen() {
        assert_eq!(hash_input(ADA, GRACE), hash_input(GRACE, ADA));
        assert_ne!(hash_input(ADA, EVE), hash_input(EVE, GRACE));
        assert_eq!(hash_input(ADA, "v=0\r\n"), None, "no key, no code");
    }

    #[test]
    fn a_code_is_six_groups_of_five_digits() {
        assert_eq!(
            digit_groups(&[0xff; 32]),
            "27775 27775 27775 27775 27775 27775"
        );
        assert_eq!(
            digit_groups(&[0; 32]),
            "00000 00000 00000 00000 00000 00000"
        );
    }
}
