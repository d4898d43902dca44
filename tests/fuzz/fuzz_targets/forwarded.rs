//! Whatever clients and proxies write, what the nearest proxy says in a field of its own is read as it said it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve::door::read_forwarded;

fuzz_target!(|fields: (&str, &str)| {
    let (first, second) = fields;
    let hops = read_forwarded([first, second, "for=192.0.2.1;proto=https"].into_iter());
    assert_eq!(hops[0].address, Some([192, 0, 2, 1].into()));
    assert_eq!((hops[0].scheme.as_deref(), hops[0].host.as_deref()), (Some("https"), None));
    // Each hop has at least a name, an equals sign and a value.
    assert!(hops.len() <= 1 + (first.len() + second.len()) / 3);
});
