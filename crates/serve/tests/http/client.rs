//! A client that says exactly what it is told to, and reads as slowly as it likes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A response, whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.split_once(": ").is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        self.head.lines().find(|l| line(l)).and_then(|l| Some(l.split_once(": ")?.1))
    }

    /// The documents of an event stream; `[DONE]` as a string.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data))).collect()
    }

    /// The documents of a stream of lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends these bytes and reads until the server closes.
pub(crate) fn raw(to: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = connect(to);
    // A server that has refused the beginning does not read the rest.
    let _ = stream.write_all(bytes);
    finish(stream)
}

/// Reads until the server closes.
pub(crate) fn finish(mut stream: TcpStream) -> Response {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let body = bytes.get(end + 4..).unwrap_or_default();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { dechunk(body) } else { body.to_vec() };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Response { status, head, body: String::from_utf8(body).unwrap() }
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let Some(size) =
            std::str::from_utf8(&body[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok())
        else {
            break;
        };
        let Some(chunk) = body.get(end + 2..end + 2 + size) else { break };
        whole.extend_from_slice(chunk);
        if size == 0 {
            break;
        }
        body = &body[end + 4 + size..];
    }
    whole
}

/// The text of a request with these additional header lines.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        text.push_str("Host: localhost\r\n");
    }
    headers.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}")
}

pub(crate) fn get(to: SocketAddr, path: &str) -> Response {
    raw(to, request("GET", path, &[], "").as_bytes())
}

pub(crate) fn post(to: SocketAddr, path: &str, body: &Value) -> Response {
    raw(to, request("POST", path, &[], &body.to_string()).as_bytes())
}

/// A response that is read line by line.
pub(crate) struct Streaming(BufReader<TcpStream>);

impl Streaming {
    /// Sends a request and does not wait for its response.
    pub(crate) fn post(to: SocketAddr, path: &str, body: &Value) -> Self {
        let mut stream = connect(to);
        stream.write_all(request("POST", path, &[], &body.to_string()).as_bytes()).unwrap();
        Streaming(BufReader::new(stream))
    }

    /// Reads until a line contains `text`.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended before {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }
}

/// A counter of `/metrics`.
pub(crate) fn metric(to: SocketAddr, name: &str) -> u64 {
    let text = get(to, "/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("medtune_{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

/// Waits until `holds`, for at most ten seconds.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}
