//! No `Authorization` header makes its reader fail.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::auth::{Authorization, read_authorization};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Authorization::Basic(credentials)) = read_authorization(Some(bytes)) {
        assert!(!credentials.name.as_str().contains(':'));
    }
});
