//! No query and no form makes the token endpoint's reader fail.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::auth::TokenRequest;
use portreeve::oci::Access;

fuzz_target!(|bytes: &[u8]| {
    let request = TokenRequest::read(bytes);
    let _ = Access::parse_all(request.scopes.iter().map(String::as_str));
});
