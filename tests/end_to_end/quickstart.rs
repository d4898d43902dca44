//! The quickstart: what it starts is for whoever runs it, and for nobody else on the network.

#[test]
fn whatever_the_quickstart_starts_listens_on_loopback_alone() {
    let script = include_str!("../../config/quickstart.sh");
    for name in ["registry", "door", "admin"] {
        let line = script.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        assert!(line.is_some_and(|address| address.starts_with("127.0.0.1:")), "{name}: {line:?}");
    }
    for (what, address) in [
        ("PORTREEVE__LISTEN__DOOR=", r#""$door""#),
        ("PORTREEVE__LISTEN__ADMIN=", r#""$admin""#),
        ("http: {addr: ", r#""$registry""#),
    ] {
        let set: Vec<&str> = script.match_indices(what).map(|(at, _)| &script[at + what.len()..]).collect();
        assert!(!set.is_empty() && set.iter().all(|rest| rest.starts_with(address)), "{what}");
    }
    for everywhere in ["0.0.0.0", "[::]"] {
        assert!(!script.contains(everywhere), "{everywhere}");
    }
}
