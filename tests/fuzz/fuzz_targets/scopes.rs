//! A scope that was read grants what it says, and reads the same when it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::oci::Access;

fuzz_target!(|text: &str| {
    for access in Access::parse_all([text]) {
        let written = access.to_string();
        // A scope without actions grants nothing, and is written without them.
        if !written.ends_with(':') {
            assert_eq!(Access::parse(&written).as_ref(), Some(&access));
        }
    }
});
