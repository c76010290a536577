//! TLS (RFC 8446) toward other servers.

/// Makes ring the process's crypto provider. Must run before the first https request; repeatable.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
