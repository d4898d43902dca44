//! The least of HTTP/1.1 that the load needs: the head of an answer, and a blocking client for set-up and large bodies.
//!
//! Used by the load and by whatever has to ask a server something. Written by hand because the load shares its cores
//! with what it measures: a request is bytes that were made beforehand, an answer is looked at for three headers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Fault;

/// How long a server may be silent before the run fails.
const SILENCE: Duration = Duration::from_secs(60);

/// The largest head of an answer.
const MAXIMUM_HEAD_BYTES: usize = 64 * 1024;

/// The largest body that is kept rather than read away.
const MAXIMUM_KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// How much is read at a time from a large body.
const READ_BYTES: usize = 256 * 1024;

/// The head of an answer, in the bytes it came in.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The status code.
    pub status: u16,
    /// How many bytes the head takes, its empty line included.
    pub length: usize,
    fields: &'a [u8],
}

impl<'a> Head<'a> {
    /// Finds a head at the beginning of these bytes; `None` while it is not complete.
    pub fn find(bytes: &'a [u8]) -> Result<Option<Self>, Fault> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            if bytes.len() > MAXIMUM_HEAD_BYTES {
                return Err("an answer's head is longer than 64 KiB".into());
            }
            return Ok(None);
        };
        let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match status {
            Some(status) if bytes.starts_with(b"HTTP/1.1 ") => {
                Ok(Some(Self { status, length: end + 4, fields: &bytes[..end] }))
            }
            _ => Err(format!("no HTTP/1.1 answer: {}", String::from_utf8_lossy(&bytes[..end])).into()),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.fields.split(|byte| *byte == b'\n').find_map(|line| {
            let (field, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            let value = field.eq_ignore_ascii_case(name.as_bytes()).then_some(value)?;
            std::str::from_utf8(value.trim_ascii()).ok()
        })
    }

    /// The length of the body that follows the answer to a request of this method.
    pub fn body_length(&self, method: &str) -> Result<u64, Fault> {
        if method == "HEAD" || self.status == 204 || self.status == 304 {
            return Ok(0);
        }
        match self.header("content-length").map(str::parse) {
            Some(Ok(length)) => Ok(length),
            _ => Err(format!("an answer {} to {method} without a length", self.status).into()),
        }
    }

    /// Whether the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// Whether the server closes the connection after this answer.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A body to send.
pub enum Body<'a> {
    /// None at all.
    Empty,
    /// With its length.
    Sized(&'a [u8]),
    /// In these pieces, which carry their chunk framing already.
    Chunked(Box<dyn Iterator<Item = &'a [u8]> + 'a>),
}

/// An answer of which the body was kept.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection, used for one request after the other.
pub struct Client {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Box<[u8]>,
    filled: usize,
}

impl Client {
    /// Opens a connection.
    pub fn connect(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect_timeout(&address, SILENCE)
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Self { address, stream, buffer: vec![0; READ_BYTES].into(), filled: 0 })
    }

    /// One request of which the answer is small and is kept.
    pub fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: Body<'_>,
    ) -> Result<Answer, Fault> {
        let mut kept = Vec::new();
        let (status, location) = self.request(method, path, headers, body, &mut |piece| {
            if (kept.len() + piece.len()) as u64 <= MAXIMUM_KEPT_BYTES {
                kept.extend_from_slice(piece);
            }
        })?;
        Ok(Answer { status, location, body: kept })
    }

    /// One request that must be answered with this status.
    pub fn expect(
        &mut self,
        status: u16,
        method: &str,
        path: &str,
        headers: &str,
        body: Body<'_>,
    ) -> Result<Answer, Fault> {
        let answer = self.exchange(method, path, headers, body)?;
        if answer.status != status {
            let text = String::from_utf8_lossy(&answer.body);
            return Err(
                format!("{method} {path} was answered {}, not {status}: {text}", answer.status).into()
            );
        }
        Ok(answer)
    }

    /// Gets a large body and gives each piece away as it comes; answers how many bytes there were.
    pub fn download(&mut self, path: &str, piece: &mut dyn FnMut(&[u8])) -> Result<u64, Fault> {
        let mut total = 0;
        let (status, _) = self.request("GET", path, "", Body::Empty, &mut |bytes| {
            total += bytes.len() as u64;
            piece(bytes);
        })?;
        if status != 200 {
            return Err(format!("GET {path} was answered {status}, not 200").into());
        }
        Ok(total)
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: Body<'_>,
        piece: &mut dyn FnMut(&[u8]),
    ) -> Result<(u16, Option<String>), Fault> {
        let framing = match &body {
            Body::Empty if method == "GET" || method == "HEAD" => String::new(),
            Body::Empty => "Content-Length: 0\r\n".to_owned(),
            Body::Sized(bytes) => format!("Content-Length: {}\r\n", bytes.len()),
            Body::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}{framing}\r\n", self.address);
        self.send(head.as_bytes(), body)
            .and_then(|()| self.receive(method, piece))
            .map_err(|error| format!("{method} {path} at {}: {error}", self.address).into())
    }

    fn send(&mut self, head: &[u8], body: Body<'_>) -> Result<(), Fault> {
        self.stream.write_all(head)?;
        match body {
            Body::Empty => {}
            Body::Sized(bytes) => self.stream.write_all(bytes)?,
            Body::Chunked(pieces) => {
                for piece in pieces {
                    crate::interruption::check()?;
                    self.stream.write_all(piece)?;
                }
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        method: &str,
        piece: &mut dyn FnMut(&[u8]),
    ) -> Result<(u16, Option<String>), Fault> {
        let (status, location, closes, head, mut left) = loop {
            if let Some(head) = Head::find(&self.buffer[..self.filled])? {
                let location = head.header("location").map(str::to_owned);
                break (head.status, location, head.closes(), head.length, head.body_length(method)?);
            }
            self.fill(self.filled)?;
        };
        let mut start = head;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.filled - start);
            piece(&self.buffer[start..start + here]);
            left -= here as u64;
            if left == 0 {
                break;
            }
            crate::interruption::check()?;
            self.filled = 0;
            start = 0;
            self.fill(0)?;
        }
        self.filled = 0;
        if closes {
            *self = Self::connect(self.address)?;
        }
        Ok((status, location))
    }

    fn fill(&mut self, from: usize) -> Result<(), Fault> {
        let read = self.stream.read(&mut self.buffer[from..])?;
        if read == 0 {
            return Err("the connection was closed before the answer was complete".into());
        }
        self.filled = from + read;
        Ok(())
    }
}

/// Path and query of a `Location`.
pub fn path_of(location: &str) -> &str {
    let Some((_, rest)) = location.split_once("://") else { return location };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}
