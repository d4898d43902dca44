//! No bytes make the manifest parser panic or break what it promises. Input: the `Content-Type`, a line feed, the body.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve_fuzz::manifest_check::assert_holds_together;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or_default();
    let (header, body) = input.split_at(end);
    let header = std::str::from_utf8(header).ok().filter(|header| !header.is_empty());
    assert_holds_together(header, Bytes::copy_from_slice(body));
});
