//! TLS (RFC 8446) towards other servers.

/// Installs ring as the crypto provider of the process; the store and the bus use it too. Must run before the first https request.
/// Repeated calls are harmless.
pub fn install_crypto_provider() {
    // Fails only if a provider is installed already, and that is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
