//! Client frames and opening handshake of RFC 6455.

/// A masked text frame; a zero masking key costs nothing.
pub fn text_frame(payload: &str) -> Vec<u8> {
    let bytes = payload.as_bytes();
    let mut frame = Vec::with_capacity(bytes.len() + 14);
    // FIN and text opcode; then MASK and length.
    frame.push(0x81);
    if let Ok(short) = u8::try_from(bytes.len())
        && short < 126
    {
        frame.push(0x80 | short);
    } else if let Ok(length) = u16::try_from(bytes.len()) {
        frame.push(0xfe);
        frame.extend_from_slice(&length.to_be_bytes());
    } else {
        frame.push(0xff);
        frame.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(bytes);
    frame
}

/// The opening handshake; each of `headers` ends in `\r\n`. The response's `Sec-WebSocket-Accept` is not
/// checked.
pub fn request(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}
