//! One HTTP/1.1 connection, byte by byte: for what no client library sends, and for what they hide.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An open connection.
pub struct Connection(BufReader<TcpStream>);

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// The status line and the headers as they came.
    lines: Vec<String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
}

impl Head {
    /// The status line and the headers as they came.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// A header's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// The code of an error body of the distribution specification.
    pub fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let body: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        body["errors"][0]["code"].as_str().unwrap_or_else(|| panic!("no code: {text}")).to_owned()
    }
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// One that is open.
    pub fn over(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.0.get_mut().write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends as much of these bytes as the other side takes before it closes the connection.
    pub async fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) {
        // Refusing the rest is the other side's right; what it answers is looked at.
        let _refused = within(self.0.get_mut().write_all(bytes.as_ref())).await;
    }

    /// Sends a request without a body. `lines` are further headers, each ended by CR LF.
    pub async fn request(&mut self, method: &str, target: &str, lines: &str) {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: door.example\r\n{lines}\r\n")).await;
    }

    /// Sends a request and reads the answer.
    pub async fn ask(&mut self, method: &str, target: &str, lines: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() && matches!(method, "GET" | "HEAD" | "DELETE") {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.request(method, target, &format!("{lines}{length}")).await;
        self.send_what_is_taken(body).await;
        self.answer(method).await
    }

    /// Reads the head of the next answer, an interim one included.
    pub async fn head(&mut self) -> Head {
        let line = self.line().await;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let (mut headers, mut lines) = (Vec::new(), vec![line]);
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return Head { status, headers, lines };
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            lines.push(line);
        }
    }

    /// Reads the final answer to a request of this method, with its body.
    pub async fn answer(&mut self, method: &str) -> Answer {
        let mut head = self.head().await;
        while head.status / 100 == 1 {
            head = self.head().await;
        }
        let mut body = Vec::new();
        if method == "HEAD" || matches!(head.status, 204 | 304) {
            return Answer { head, body };
        }
        if head.get("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.line().await;
                let size =
                    u64::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
                self.read(size, &mut body).await;
                assert_eq!(self.line().await, "", "the end of a chunk");
                if size == 0 {
                    return Answer { head, body };
                }
            }
        }
        match head.get("content-length").map(|length| length.parse().unwrap()) {
            Some(length) => self.read(length, &mut body).await,
            None => {
                within(self.0.read_to_end(&mut body)).await.unwrap();
            }
        }
        Answer { head, body }
    }

    /// Reads this many bytes.
    pub async fn read(&mut self, length: u64, into: &mut Vec<u8>) {
        let read = within((&mut self.0).take(length).read_to_end(into)).await.unwrap();
        assert_eq!(read as u64, length, "the connection ended within a body");
    }

    /// Reads one line, without its end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        within(self.0.read_line(&mut line)).await.unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended within a head, after {line:?}");
        line.truncate(line.len() - 2);
        line
    }

    /// Waits for the other side to close the connection, and answers what it sent until then.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _reset = within(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("nothing came within {LIMIT:?}"))
}
