//! TLS (RFC 8446) towards other servers.

/// Makes ring the crypto provider of the process, also for store and bus. Must run before the first https request;
/// repeated calls are harmless.
pub fn install_crypto_provider() {
    // The same one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
