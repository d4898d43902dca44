//! No request line that the parser accepts is read differently by the registry. Input: `METHOD path?query`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_fuzz::route_check::assert_read_in_one_way;

fuzz_target!(|line: &str| {
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    if let Ok(method) = method.parse() {
        assert_read_in_one_way(&method, path, query);
    }
});
