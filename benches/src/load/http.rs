//! Minimal HTTP/1.1.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use memchr::memmem;

/// A POST request; each of `headers` ends in `\r\n`.
pub fn post_request(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A GET request; each of `headers` ends in `\r\n`.
pub fn get_request(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Head and body, with invalid UTF-8 replaced.
    pub text: String,
}

impl Response {
    /// A header's value; the case of its name does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        let body = self.text.split_once("\r\n\r\n").map_or("", |parts| parts.1);
        Ok(serde_json::from_str(body)?)
    }
}

/// Collects the bytes of a response.
#[derive(Debug, Default)]
pub struct ResponseReader {
    bytes: Vec<u8>,
}

impl ResponseReader {
    /// Returns the response once it is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Response> {
        self.bytes.extend_from_slice(bytes);
        let end = self.end()?;
        if self.bytes.len() < end {
            return None;
        }
        let text = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.bytes.drain(..end);
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Some(Response { status, text })
    }

    fn end(&self) -> Option<usize> {
        let head = memmem::find(&self.bytes, b"\r\n\r\n")? + 4;
        let lines = String::from_utf8_lossy(&self.bytes[..head]).to_ascii_lowercase();
        let length = lines
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse::<usize>().ok());
        if let Some(length) = length {
            return Some(head + length);
        }
        if lines.contains("transfer-encoding: chunked") {
            return memmem::find(&self.bytes[head - 2..], b"\r\n0\r\n\r\n").map(|at| head + at + 5);
        }
        Some(head)
    }
}

/// A blocking client with one connection.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
}

impl Client {
    /// Connects. Reads time out after 30 s.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { socket })
    }

    /// Sends a request and waits for its response.
    pub fn send(&mut self, request: &[u8]) -> Result<Response> {
        self.socket.write_all(request)?;
        let (mut reader, mut buffer) = (ResponseReader::default(), [0; 16 * 1024]);
        loop {
            let count = self.socket.read(&mut buffer).context("no response")?;
            if count == 0 {
                bail!("the connection was closed before the response was complete");
            }
            if let Some(response) = reader.feed(&buffer[..count]) {
                return Ok(response);
            }
        }
    }

    /// As [`Self::send`]; a status other than 2xx is an error.
    pub fn expect_success(&mut self, request: &[u8]) -> Result<Response> {
        let response = self.send(request)?;
        if !(200..300).contains(&response.status) {
            bail!("status {}: {}", response.status, response.text);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_whole_when_its_length_is_there() {
        let mut reader = ResponseReader::default();
        assert!(reader.feed(b"HTTP/1.1 201 Created\r\nContent-Le").is_none());
        assert!(reader.feed(b"ngth: 4\r\n\r\nab").is_none());
        let response = reader.feed(b"cdHTTP").expect("a complete response");
        assert_eq!(
            (response.status, response.header("content-length")),
            (201, Some("4"))
        );
        assert_eq!(reader.bytes, b"HTTP");
    }

    #[test]
    fn a_chunked_response_ends_with_the_empty_chunk() {
        let mut reader = ResponseReader::default();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(reader.feed(head).is_none());
        assert!(reader.feed(b"2\r\nab\r\n").is_none());
        assert!(reader.feed(b"0\r\n\r\n").is_some());
        assert!(reader.bytes.is_empty());
    }
}
