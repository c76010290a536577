//! Client frames of RFC 6455, and the request that opens a WebSocket.

/// A text frame from a client. The mask is all zeros, which RFC 6455 allows and costs the generator nothing.
pub fn text_frame(payload: &str) -> Vec<u8> {
    let bytes = payload.as_bytes();
    let mut frame = Vec::with_capacity(bytes.len() + 14);
    // Whole, and text; then the length, with the bit that says that a mask follows.
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

/// The request that opens a WebSocket; `headers` are more lines, each ended by `\r\n`. The answer's
/// `Sec-WebSocket-Accept` is not looked at: every peer here is one that the benchmark started itself.
pub fn request(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}
