//! Rules and groups, as files and environments have them.

use std::path::Path;

use super::*;
use crate::config::Config;

fn load(text: &str) -> Result<Config, String> {
    let mut settings = Settings::default();
    crate::config::file::apply(&mut settings, Path::new("portreeve.toml"), text);
    Config::read(settings).map_err(|error| error.to_string())
}

#[test]
fn rules_and_groups_are_read_from_the_file() {
    let text = r#"
        [auth]
        mode = "on"
        [auth.groups]
        ci = ["alice", "bob"]
        [[auth.rules]]
        who = "group:ci"
        repositories = ["team/**", "ci/*"]
        actions = "*"
        [[auth.rules]]
        who = ["*", "anonymous", "alice"]
        repositories = "secret/**"
        actions = ["pull", "catalog"]
        deny = true
    "#;
    let auth = load(text).unwrap().auth;
    assert!(auth.is_on);
    assert_eq!(auth.groups["ci"], ["alice", "bob"]);
    let first = &auth.rules[0];
    assert_eq!(first.who, [Principal::Group("ci".to_owned())]);
    assert_eq!(first.repositories, ["team/**", "ci/*"]);
    assert!(first.pull && first.push && first.delete && !first.catalog && !first.deny);
    let second = &auth.rules[1];
    let who = [Principal::Everybody, Principal::Anonymous, Principal::User("alice".to_owned())];
    assert_eq!(second.who, who);
    assert!(second.pull && !second.push && second.catalog && second.deny);
}

#[test]
fn administrators_have_an_action_of_their_own() {
    let rule =
        |text: &str| load(&format!("[[auth.rules]]\n{text}")).map(|config| config.auth.rules[0].clone());
    let admin = rule("who = \"group:ops\"\nactions = \"admin\"").unwrap();
    assert!(admin.admin && !admin.catalog && !admin.pull && admin.repositories.is_empty());
    let all = rule("who = \"alice\"\nrepositories = \"**\"\nactions = \"*\"").unwrap();
    assert!(!all.admin && !all.catalog, "`*` is for repositories");
    // It cannot be given to users who have not logged in, but it can be denied to them.
    assert!(rule("who = \"anonymous\"\nactions = \"admin\"\ndeny = true").unwrap().admin);
}

#[test]
fn the_environment_writes_rules_as_toml() {
    let rules = r#"[{ who = "*", repositories = "**", actions = ["pull"] }]"#;
    let variables = [("PORTREEVE__AUTH__RULES".to_owned(), rules.to_owned())];
    let config = Config::load(Some(Path::new("/dev/null")), variables.into_iter()).unwrap();
    assert_eq!(config.auth.rules.len(), 1);
}

#[test]
fn a_wrong_rule_is_reported_with_its_number_and_what_is_wrong() {
    for (rule, expected) in [
        (r#"repositories = "a""#, "`who` is missing"),
        (r#"who = "a b""#, "no user name"),
        (r#"who = "group:""#, "without a name"),
        (r#"who = "*""#, "`actions` is missing"),
        ("who = \"*\"\nactions = \"admn\"", "did you mean \"admin\"?"),
        ("who = \"*\"\nactions = [\"pull\", \"pul\"]", "did you mean \"pull\"?"),
        ("who = \"*\"\nactions = \"Admin\"", "did you mean \"admin\"?"),
        ("who = \"*\"\nactions = \"\"", "none of"),
        ("who = \"anonymous\"\nactions = \"admin\"", "\"anonymous\""),
        ("who = [\"alice\", \"anonymous\"]\nactions = [\"catalog\", \"admin\"]", "\"anonymous\""),
        ("who = \"*\"\nactions = \"pull\"", "`repositories` is missing"),
        ("who = \"*\"\nactions = \"read\"", "\"read\""),
        ("who = \"*\"\nactions = 7", "`actions` is neither"),
        ("who = \"*\"\nwhose = \"*\"", "`whose`"),
        ("who = \"*\"\nactions = \"catalog\"\ndeny = \"yes\"", "`deny` is a string"),
    ] {
        let refused = load(&format!("[[auth.rules]]\n{rule}")).unwrap_err();
        assert!(
            refused.starts_with("portreeve.toml, line 1: `auth.rules`, rule 1: ")
                && refused.contains(expected),
            "{rule}: {refused}"
        );
    }
}

#[test]
fn each_wrong_rule_is_reported_at_its_own_line() {
    let refused = load(
        r#"
[[auth.rules]]
who = "alice"
actions = "pul"
repositories = "**"

[[auth.rules]]
who = "alice"
actions = "pull"
repositories = "**"

[[auth.rules]]
actions = "pull"
"#,
    );
    let refused = refused.unwrap_err();
    let lines: Vec<_> = refused.lines().collect();
    assert_eq!(lines.len(), 2, "{refused}");
    assert!(lines[0].starts_with("portreeve.toml, line 2: `auth.rules`, rule 1: `actions`"), "{refused}");
    assert!(
        lines[1].starts_with("portreeve.toml, line 12: `auth.rules`, rule 3: `who` is missing"),
        "{refused}"
    );
}
