//! What an ordinary head is, and that pingora reads it in the same way.

use std::error::Error;

use fastrand::Rng;
use pingora_core::protocols::http::ServerSession;
use tokio::io::AsyncWriteExt;

use super::*;

type TestResult = Result<(), Box<dyn Error>>;

/// Heads that clients send, and others that nobody should.
const HEADS: [&str; 14] = [
    "GET /v2/ HTTP/1.1\r\nHost: door:5000\r\n\r\n",
    "GET /v2/library/alpine/manifests/latest HTTP/1.1\r\nHost: door\r\nUser-Agent: docker/28 go/go1.24\r\nAccept: a/b, c/d\r\n\
     Accept: e/f;q=0.5\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n",
    "HEAD /v2/a/manifests/sha256:00 HTTP/1.1\r\nHost: [::1]:5000\r\nAuthorization: Bearer a.b-c_d\r\n\r\n",
    "GET /api/v1/events/stream?after=7&kind=put HTTP/1.1\r\nhost: a\r\nlast-event-id: 7\r\n\r\n",
    "GET /ui/ HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\nCookie: e=\u{e9}\r\n\r\n",
    "GET /v2/_catalog?n=2&last=%61 HTTP/1.1\r\nHost:\ta \r\nX: \r\n\r\n",
    "GET http://a/v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "GET /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n",
    "GET /v2/ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET /v2/a/manifests/b HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "PUT /v2/a/manifests/b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    "GET /v2/a/tags/list HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
];
/// What is put into a head, or takes the place of something in it.
const PIECES: [&[u8]; 34] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\xff",
    b"#",
    b"?",
    b"@",
    b"//",
    b"/blobs/",
    b"\\",
    b"%",
    b"%2f",
    b"..",
    b",",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"connection:Keep-Alive\r\n",
    b"Upgrade: h2c\r\n",
    b"Content-Length: 5\r\n",
    b"content-length:0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"x",
];

fn ordinary(head: &[u8]) -> Option<RequestHeader> {
    (progress(head) == Progress::Whole).then(|| parse(&Bytes::copy_from_slice(head)))?
}

#[test]
fn ordinary_heads_are_read_and_no_others() {
    let read = HEADS.map(|head| ordinary(head.as_bytes()).is_some());
    assert_eq!(read, std::array::from_fn(|place| place < 6));
    for (head, is_ordinary) in [
        ("GET // HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET /a HTTP/1.1\r\n\r\n", false),
        ("GET /a HTTP/1.1\r\nHost: \r\n\r\n", false),
        ("GET /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", false),
        ("GET /a HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=1\r\n\r\n", false),
        ("GET /a HTTP/1.1\nHost: a\n\n", false),
        ("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n", false),
        ("GET /a HTTP/1.1\r\nHost: a\r\n\r\nG", false),
        ("GET /a%3Ab?c=%20 HTTP/1.1\r\nHost: a\r\n\r\n", true),
    ] {
        assert_eq!(ordinary(head.as_bytes()).is_some(), is_ordinary, "{head:?}");
    }
}

#[test]
fn what_only_the_registry_has_is_not_read_here() {
    for (target, without_tags, with_tags) in [
        ("/v2/a/blobs/sha256:0", true, true),
        ("/v2/a/manifests/latest", true, false),
        ("/v2/a/manifests/manifests/v1?x=y", true, false),
        ("/v2/a/manifests/sha256:00ff", false, false),
        ("/v2/a/tags/list", false, false),
        ("/v2/", false, false),
        ("/api/v1/manifests?repository=a&tag=b", false, false),
        ("", false, false),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a:5000\r\n\r\n");
        let found = [false, true].map(|answers_tags| is_of_the_registry(head.as_bytes(), answers_tags));
        assert_eq!(found, [without_tags, with_tags], "{target}");
    }
    assert!(!is_of_the_registry(b"", false) && !is_of_the_registry(b"GET", true));
}

#[test]
fn a_head_may_come_byte_by_byte_and_what_cannot_become_one_is_known_at_once() {
    let head = HEADS[1].as_bytes();
    for end in 0..head.len() {
        assert_eq!(progress(&head[..end]), Progress::Unfinished, "after {end} bytes");
    }
    for other in ["P", "GE ", "GET h", "GET /a HTTP/1.1\n", "HEAD /\r\n\r\nG"] {
        assert_eq!(progress(other.as_bytes()), Progress::Other, "{other:?}");
    }
    let endless = [b"GET /".as_slice(), &[b'a'; MOST_BYTES]].concat();
    assert_eq!(progress(&endless), Progress::Other);
}

/// What pingora makes of these bytes: none when it refuses them, or has not read all of them as the head.
async fn by_pingora(head: &[u8]) -> Result<Option<(RequestHeader, bool)>, Box<dyn Error>> {
    let (mut client, door) = tokio::io::duplex(head.len() + 1);
    client.write_all(head).await?;
    client.shutdown().await?;
    let mut session = ServerSession::new_http1(Box::new(door));
    if !matches!(session.read_request().await, Ok(true)) {
        return Ok(None);
    }
    let is_whole = session.to_h1_raw().len() == head.len();
    Ok(is_whole.then(|| (session.req_header().clone(), session.is_body_empty())))
}

#[tokio::test]
async fn pingora_reads_every_ordinary_head_in_the_same_way() -> TestResult {
    let seed = fastrand::u64(..);
    let mut random = Rng::with_seed(seed);
    let mut compared = 0;
    for round in 0..60_000 {
        let mut head = HEADS[random.usize(0..HEADS.len())].as_bytes().to_vec();
        for _ in 0..random.usize(0..4) {
            mutate(&mut head, &mut random);
        }
        let Some(ordinary) = ordinary(&head) else { continue };
        compared += 1;
        let text = head.escape_ascii();
        let Some((expected, is_bodiless)) = by_pingora(&head).await? else {
            return Err(format!("seed {seed}, round {round}: pingora does not read {text}").into());
        };
        let same = ordinary.method == expected.method
            && ordinary.raw_path() == expected.raw_path()
            && ordinary.uri == expected.uri
            && ordinary.version == expected.version
            && ordinary.headers == expected.headers;
        assert!(same && is_bodiless, "seed {seed}, round {round}: {text}\n{ordinary:?}\n{expected:?}");
    }
    assert!(compared > 5_000, "seed {seed}: only {compared} heads were ordinary");
    Ok(())
}

/// Puts a piece into a head, in the place of so many bytes, or takes some away.
fn mutate(head: &mut Vec<u8>, random: &mut Rng) {
    let begin = random.usize(0..=head.len());
    let end = (begin + random.usize(0..3)).min(head.len());
    let piece = PIECES[random.usize(0..PIECES.len())];
    let piece = if random.f32() < 0.8 { piece } else { &[] };
    head.splice(begin..end, piece.iter().copied());
}
