//! No htpasswd file makes its reader fail, and what it takes for a hash can be checked against.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::auth::parse_htpasswd;

fuzz_target!(|text: &str| {
    if let Ok(users) = parse_htpasswd(text) {
        assert!(users.values().all(|hash| hash.len() == 60));
    }
});
