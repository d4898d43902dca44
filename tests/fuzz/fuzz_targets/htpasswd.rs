//! No htpasswd file makes its reader fail, and a line more changes nothing of what was wrong before it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::auth::parse_htpasswd;

fuzz_target!(|text: &str| {
    let parsed = parse_htpasswd(text);
    let longer = parse_htpasswd(&format!("{text}\n# a comment\n"));
    assert_eq!(parsed, longer);
});
