//! TLS (RFC 8446) towards other servers.

/// Chooses the cryptography of the whole program: ring, which is what the store and the bus use as well. Before anything asks by
/// https; more than once does no harm.
pub fn install_crypto_provider() {
    // Somebody was faster: it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
