//! A `Link` of the registry's that was led back to the door leads there, and is not changed a second time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_fuzz::link_check::assert_leads_back_once;

fuzz_target!(|value: &str| assert_leads_back_once(value));
