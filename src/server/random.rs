//! Random ids, epochs and tokens.

use crate::model::Epoch;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;
use uuid::Uuid;

/// A new UUID version 7 (RFC 9562), which sorts by creation time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn new_id() -> Uuid {
    #[cfg(test)]
    if let Some(id) = super::simulation::node::new_id() {
        return id;
    }
    Uuid::now_v7()
}

/// A new epoch: 64 random bits.
#[must_use]
pub fn new_epoch() -> Epoch {
    Epoch(random_hex::<8>())
}

/// A new token: 256 random bits as 64 hexadecimal digits.
#[must_use]
pub fn new_token() -> String {
    random_hex::<32>()
}

/// A random number in `0.0..1.0`.
#[must_use]
pub fn fraction() -> f64 {
    generator().random()
}

/// A random number of a range that is not empty.
#[must_use]
pub fn in_range(range: RangeInclusive<u16>) -> u16 {
    generator().random_range(range)
}

/// SHA-256 in hexadecimal. A slow hash would add nothing to 256 random bits.
#[must_use]
pub fn sha256_hex(token: &str) -> String {
    hex::encode(sha256(token))
}

/// SHA-256.
#[must_use]
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn generator() -> StdRng {
    StdRng::from_seed(random_bytes())
}

fn random_hex<const N: usize>() -> String {
    hex::encode(random_bytes::<N>())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[cfg(test)]
    if super::simulation::node::fill_bytes(&mut bytes) {
        return bytes;
    }
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
