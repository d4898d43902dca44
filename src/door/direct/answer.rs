//! Sending an answer of the door's own by HTTP/1.1 (RFC 9112), to a request without a body.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use http::header::{CONNECTION, DATE};
use http::{Method, StatusCode, Version};
use http_body_util::BodyExt as _;
use pingora_core::protocols::http::date::get_cached_date;
use pingora_core::{Error, ErrorType, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::door::client_stream::ClientStream;
use crate::door::context::Context;
use crate::door::respond::{LocalAnswer, LocalBody, broken_off, tell_end};
use crate::door::service::Service;
use crate::door::{ResponseHead, failure, header_names};

/// A body so long, in bytes, is sent together with the head, copied behind it.
const COPIED_BODY: usize = 16 * 1024;

/// The way of an answer to the client, and how far it is.
pub(super) struct Sending<'a> {
    stream: &'a mut ClientStream,
    /// How long the client may take nothing.
    write_timeout: Duration,
    /// Whether another request may follow.
    is_reusable: bool,
    status: Option<StatusCode>,
    body_bytes: u64,
}

impl<'a> Sending<'a> {
    /// Of an answer that is yet to be sent. After the last one the connection is closed.
    pub(super) fn new(stream: &'a mut ClientStream, is_last: bool, write_timeout: Duration) -> Self {
        Self { stream, write_timeout, is_reusable: !is_last, status: None, body_bytes: 0 }
    }

    /// The status, once the head was sent.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// How much of the body was sent, in bytes.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Whether another request may follow.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// Sends the answer.
    ///
    /// # Errors
    /// When the client is gone or takes nothing, or the rest of the body cannot be made. Nothing more may be sent then.
    pub(super) async fn send(&mut self, context: &Context, answer: LocalAnswer) -> Result<()> {
        let LocalAnswer { mut head, body, origin: _, note: _, held: _held } = answer;
        let length = body.length();
        tell_end(Version::HTTP_11, &mut head, length)?;
        let is_head =
            context.exchange.as_ref().is_some_and(|exchange| exchange.request.method == Method::HEAD);
        let has_body = length != Some(0) && !is_head;
        let mut out = BytesMut::with_capacity(match &body {
            LocalBody::Whole(bytes) if has_body && bytes.len() <= COPIED_BODY => 512 + bytes.len(),
            LocalBody::Whole(_) | LocalBody::Streamed(_) => 512,
        });
        write_head(&head, self.is_reusable, &mut out);
        self.status = Some(head.status);
        match body {
            LocalBody::Whole(bytes) if has_body => {
                self.body_bytes = bytes.len() as u64;
                if bytes.len() <= COPIED_BODY {
                    out.extend_from_slice(&bytes);
                    self.write(&out, true).await
                } else {
                    self.write(&out, false).await?;
                    self.write(&bytes, true).await
                }
            }
            LocalBody::Streamed(body) if has_body => {
                self.write(&out, length.is_none()).await?;
                self.send_pieces(body, length.is_none()).await
            }
            LocalBody::Whole(_) | LocalBody::Streamed(_) => self.write(&out, true).await,
        }
    }

    /// Sends a body as it is made, in chunks (RFC 9112 section 7.1) unless the head told its length. While there is nothing to
    /// send, a client that goes away ends it.
    async fn send_pieces(&mut self, mut body: Body, is_chunked: bool) -> Result<()> {
        let mut is_watched = true;
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                gone = client_gone(self.stream), if is_watched => match gone {
                    Some(error) => {
                        return Err(Error::because(ErrorType::ReadError, "waiting for the rest of the answer", error).into_down());
                    }
                    // As pingora does with what comes before the answer's end, of which the next request may be cut off.
                    None => {
                        (is_watched, self.is_reusable) = (false, false);
                        continue;
                    }
                },
            };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(broken_off)?.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            self.body_bytes += data.len() as u64;
            if is_chunked {
                let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
                self.write(&chunk, true).await?;
            } else {
                self.write(&data, true).await?;
            }
        }
        if is_chunked { self.write(b"0\r\n\r\n", true).await } else { Ok(()) }
    }

    /// Writes, and lets it leave at once if nothing follows soon.
    async fn write(&mut self, bytes: &[u8], is_to_leave: bool) -> Result<()> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            if is_to_leave { self.stream.flush().await } else { Ok(()) }
        };
        match tokio::time::timeout(self.write_timeout, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(Error::because(ErrorType::WriteError, "writing an answer", error).into_down())
            }
            Err(_elapsed) => Err(Error::explain(ErrorType::WriteTimedout, "writing an answer").into_down()),
        }
    }

    /// Has the log say why an answer was not sent, or not as a whole.
    pub(super) fn note_failure(&self, service: &Service, context: &mut Context, error: &Error) {
        let stall = failure::stall(error, &service.limits).inspect(|stall| stall.count());
        context.cause = Some(match stall {
            Some(stall) => stall.to_string(),
            None if *error.esource() == pingora_core::ErrorSource::Downstream => {
                format!("the client left: {error}")
            }
            None => error.to_string(),
        });
    }
}

/// Ready when the client sends something, or is gone: with the reason then.
async fn client_gone(stream: &mut ClientStream) -> Option<io::Error> {
    let mut byte = [0];
    match stream.read(&mut byte).await {
        Ok(0) => Some(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => None,
        Err(error) => Some(error),
    }
}

/// A head as it is sent: what pingora would send, to the byte.
fn write_head(head: &ResponseHead, keeps_alive: bool, out: &mut BytesMut) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut line = |name: &http::HeaderName, value: &[u8]| {
        header_names::write_canonical(name, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in &head.headers {
        if *name != DATE && *name != CONNECTION {
            line(name, value.as_bytes());
        }
    }
    line(&DATE, get_cached_date().as_bytes());
    line(&CONNECTION, if keeps_alive { b"keep-alive" } else { b"close" });
    out.extend_from_slice(b"\r\n");
}
