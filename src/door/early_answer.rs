//! An answer of the registry that came whole while the client still owes some of its request's body.
//!
//! pingora keeps reading a body after such an answer for as long as the client likes, and nothing ends that from outside: not
//! its timers, which HTTP/2 has none of, nor the end of the connection to the registry, which has said all that it had to
//! say. So the door ends the forwarding with the last piece of the answer, sends what of it was not sent yet, and closes.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::{ResponseHead, body};

/// See the module.
///
/// Of the answer's body it holds what pingora has not yet sent: the few pieces that it sends together.
pub(super) struct EarlyAnswer {
    head: ResponseHead,
    unsent: VecDeque<Bytes>,
    /// How many bytes of the answer's body came before what is unsent.
    sent: usize,
    is_whole: bool,
}

impl EarlyAnswer {
    /// An answer with this head, to a request with this method.
    pub(super) fn new(head: &ResponseHead, method: &Method) -> Self {
        let is_empty = head.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0")
            && !head.headers.contains_key(TRANSFER_ENCODING);
        let is_whole = is_empty
            || *method == Method::HEAD
            || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Self { head: head.clone(), unsent: VecDeque::new(), sent: 0, is_whole }
    }

    /// Whether nothing of it is still to come from the registry.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Takes note of a piece of its body, when so many bytes of that have been sent.
    pub(super) fn piece(&mut self, piece: Option<&Bytes>, sent: usize) {
        self.forget(sent);
        self.unsent.extend(piece.filter(|piece| !piece.is_empty()).cloned());
    }

    /// That was the last piece.
    pub(super) fn end(&mut self) {
        self.is_whole = true;
    }

    /// What ends the forwarding.
    pub(super) fn error<T>() -> Result<T> {
        Err(Error::explain(ErrorType::InternalError, "the registry answered before the request's body ended"))
    }

    /// Sends what is unsent of it, and closes the connection, or the stream by HTTP/2.
    ///
    /// # Errors
    /// When the client is gone, or does not read.
    pub(super) async fn finish(mut self, session: &mut Session) -> Result<()> {
        self.forget(session.body_bytes_sent());
        session.set_keepalive(None);
        if session.response_written().is_none_or(|head| head.status.is_informational()) {
            session.write_response_header(Box::new(self.head), false).await?;
        }
        for piece in self.unsent {
            session.write_response_body(Some(piece), false).await?;
        }
        session.write_response_body(None, true).await?;
        body::linger(session).await;
        Ok(())
    }

    fn forget(&mut self, sent: usize) {
        while let Some(first) = self.unsent.front_mut() {
            let already = sent.saturating_sub(self.sent).min(first.len());
            self.sent += already;
            if already < first.len() {
                *first = first.slice(already..);
                return;
            }
            self.unsent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_been_sent_is_not_sent_again() {
        let head = ResponseHead::build(413, None).unwrap();
        let mut answer = EarlyAnswer::new(&head, &Method::PUT);
        answer.piece(Some(&Bytes::from_static(b"one")), 0);
        answer.piece(Some(&Bytes::from_static(b"two")), 0);
        assert_eq!(answer.unsent, ["one", "two"]);
        answer.piece(Some(&Bytes::from_static(b"three")), 6);
        assert_eq!(answer.unsent, ["three"]);
        answer.forget(8);
        assert_eq!(answer.unsent, ["ree"]);
        answer.forget(11);
        assert!(answer.unsent.is_empty());
    }

    #[test]
    fn an_answer_without_a_body_is_whole_with_its_head() {
        let is_whole = |status: u16, length: &str, method: Method| {
            let mut head = ResponseHead::build(status, None).unwrap();
            head.insert_header(CONTENT_LENGTH, length).unwrap();
            EarlyAnswer::new(&head, &method).is_whole()
        };
        assert!(is_whole(202, "0", Method::PATCH));
        assert!(is_whole(200, "10", Method::HEAD));
        assert!(is_whole(204, "10", Method::DELETE));
        assert!(!is_whole(413, "10", Method::PUT));
    }
}
