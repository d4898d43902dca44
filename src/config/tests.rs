//! Tests of the configuration as a whole.

use std::io::Write;

use super::*;

/// Loads a file of this text with these variables.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file.path()), variables)
}

/// The sentences about a configuration that must be refused, without the file's path.
fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let error = load(text, variables).expect_err("it must be refused");
    let sentences = error.problems().iter().map(ToString::to_string);
    sentences
        .map(|sentence| {
            sentence.split_once(", line").map_or(sentence.clone(), |(_, rest)| format!("line{rest}"))
        })
        .collect()
}

#[test]
fn nothing_given_is_the_defaults() {
    assert_eq!(load("", &[("PATH", "/bin"), ("PORTREEVE_LOG", "debug")]).unwrap(), Config::default());
    assert_eq!(Config::default().registry.backends.len(), 1);
}

#[test]
fn the_shipped_example_is_the_defaults_and_names_every_key() {
    let text = include_str!("../../config/portreeve.toml");
    assert_eq!(load(text, &[]).unwrap(), Config::default());
    // With the comment signs of the optional keys taken away it must still be right, and then it has every key.
    let optional = [
        "# external_url",
        "# tls.",
        "# threads",
        "# secret",
        "# socket",
        "# ca =",
        "# username",
        "# password",
        "# htpasswd",
        "# keys",
        "# [auth.groups]",
        "# developers",
        "# [[auth.rules]]",
        "# who",
        "# repositories =",
        "# actions",
    ];
    let whole: String = text
        .lines()
        // Each goes in the place of another key.
        .filter(|line| !line.contains("_file = "))
        .map(|line| if optional.iter().any(|start| line.starts_with(start)) { &line[2..] } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    let whole = whole.replace("auth = \"none\"", "auth = \"basic\"");
    let whole = whole.replace("\"redb:portreeve.redb\"", "\"postgres://user@host/database\"");
    load(&whole, &[]).unwrap();
    let table: toml::Table = whole.parse().unwrap();
    for key in KEYS {
        let names: Vec<_> = key.name.split('.').collect();
        let (last, sections) = names.split_last().unwrap();
        let section = sections.iter().fold(&table, |table, name| table[*name].as_table().unwrap());
        let is_commented = key.name.ends_with("_file") && text.contains(&format!("# {last} = "));
        assert!(is_commented || section.contains_key(*last), "{} is not in the example", key.name);
    }
}

#[test]
fn the_listed_defaults_are_the_real_ones() {
    let fixed = KEYS.iter().filter(|key| key.default.starts_with('"'));
    let text: String = fixed.map(|key| format!("{} = {}\n", key.name, key.default)).collect();
    assert!(text.lines().count() >= 6);
    assert_eq!(load(&text, &[]).unwrap(), Config::default());
}

#[test]
fn the_guide_has_every_key_with_its_default_and_no_other() {
    let guide = include_str!("../../config/README.md");
    let (_, behind) = guide.split_once("| key | default | meaning |").unwrap();
    let (table, _) = behind.split_once("\n\n").unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(|word| word.trim_matches('"').to_owned()).collect()
    };
    let mut listed = std::collections::BTreeMap::new();
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (names, defaults) = (quoted(cells[0]), quoted(cells[1]));
        for (place, name) in names.into_iter().enumerate() {
            listed.insert(name, defaults.get(place).or(defaults.last()).cloned());
        }
    }
    // Rows of what is more than one key, and of keys that stand in the text of another one.
    listed.remove("plugins.NAME.*");
    for key in KEYS {
        let Some(default) = listed.remove(key.name) else {
            assert!(table.contains(&format!("`{}`", key.name)), "config/README.md lacks {}", key.name);
            continue;
        };
        if let Some(fixed) = key.default.strip_prefix('"') {
            let fixed = fixed.trim_end_matches('"');
            assert_eq!(default.as_deref(), Some(fixed), "the default of {} in config/README.md", key.name);
        }
    }
    assert!(listed.is_empty(), "config/README.md has what is no key: {listed:?}");
}

#[test]
fn every_listed_key_is_read_and_checked() {
    for key in KEYS {
        let variable = keys::variable(key.name);
        let found = problems("", &[(&variable, "")]);
        let named = format!("environment variable {variable}: `{}` ", key.name);
        assert!(found.iter().any(|problem| problem.starts_with(&named)), "{found:?}");
        // A value of a type that no key has.
        let found = problems(&format!("{} = 1979-05-27", key.name), &[]);
        assert!(found[0].contains(&format!("`{}` is a date; write ", key.name)), "{found:?}");
    }
}

#[test]
fn every_kind_of_value_is_read_from_the_file() {
    let config = load(
        r#"
        external_url = "https://registry.example.com:8443/"
        [listen]
        door = "[::1]:7000"
        admin = "127.0.0.1:0"
        tls = { cert = "/a/cert.pem", key = "key.pem" }
        [registry]
        url = ["http://one:5000", "https://two", "http://[::1]:80"]
        timeout = "1m 30s"
        host = "keep"
        [store]
        url = "redb:/var/lib/portreeve/record.redb"
        [server]
        threads = 3
        grace = "0"
        [plugins.client_address]
        trusted = ["10.0.0.0/8"]
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(config.external_url.unwrap().as_str(), "https://registry.example.com:8443/");
    assert_eq!(config.listen.door.to_string(), "[::1]:7000");
    assert_eq!(config.listen.admin.port(), 0);
    let tls = config.listen.tls.unwrap();
    assert_eq!((tls.certificate, tls.key), ("/a/cert.pem".into(), "key.pem".into()));
    let backends: Vec<_> = config.registry.backends.iter().map(ToString::to_string).collect();
    assert_eq!(backends, ["http://one:5000", "https://two", "http://[::1]"]);
    let addresses: Vec<_> = config.registry.backends.iter().map(BackendUrl::address).collect();
    assert_eq!(addresses, ["one:5000", "two:443", "[::1]:80"]);
    assert_eq!(config.registry.timeout, Duration::from_secs(90));
    assert_eq!(config.registry.host, RegistryHost::Keep);
    assert_eq!(config.store.url, StoreUrl::Redb("/var/lib/portreeve/record.redb".into()));
    assert_eq!(config.server.threads.get(), 3);
    assert_eq!(config.server.grace, Duration::ZERO);
    assert_eq!(config.plugins["client_address"]["trusted"][0].as_str(), Some("10.0.0.0/8"));
}

#[test]
fn a_timeout_beyond_the_default_for_commits_makes_room_by_itself() {
    let config = load("registry.timeout = \"20m\"", &[]).unwrap();
    assert_eq!(config.registry.commit_timeout, Duration::from_mins(20));
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[listen]\ndoor = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n[plugins.a]\nkept = 1\nlost = 2\n";
    let config = load(
        text,
        &[
            ("PORTREEVE__LISTEN__DOOR", "127.0.0.1:9"),
            ("PORTREEVE__REGISTRY__URL", "http://one:1, http://two:2"),
            ("PORTREEVE__SERVER__THREADS", "5"),
            ("PORTREEVE__PLUGINS__A__LOST", "found"),
            ("PORTREEVE__PLUGINS__A__DEEP__LIST", "[\"x\", \"y\"]"),
            ("PORTREEVE__PLUGINS__CLIENT_ADDRESS__TRUSTED", "10.0.0.0/8"),
            ("PORTREEVE__PLUGINS__B__NUMBER", "7"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.door.port(), 9);
    assert_eq!(config.listen.admin.port(), 2);
    assert_eq!(config.registry.backends.len(), 2);
    assert_eq!(config.server.threads.get(), 5);
    let plugins = toml::toml! {
        [a]
        kept = 1
        lost = "found"
        deep = { list = ["x", "y"] }
        [client_address]
        trusted = "10.0.0.0/8"
        [b]
        number = 7
    };
    let read = config.plugins.into_iter().map(|(name, table)| (name, toml::Value::Table(table)));
    assert_eq!(read.collect::<toml::Table>(), plugins);
    let array = load("", &[("PORTREEVE__REGISTRY__URL", r#"["http://one", "http://two"]"#)]).unwrap();
    assert_eq!(array.registry.backends.len(), 2);
}

#[test]
fn a_wrong_value_in_the_file_does_not_matter_once_it_is_overridden() {
    let text = "listen.door = \"nowhere\"";
    assert_eq!(load(text, &[("PORTREEVE__LISTEN__DOOR", "127.0.0.1:9")]).unwrap().listen.door.port(), 9);
}

#[test]
fn all_problems_are_told_at_once_with_their_places_in_order() {
    let text =
        "surprise = 1\n[server]\nthread = 2\ngrace = \"soon\"\n[registry]\ntimeout = \"0\"\n[lisen]\nx = 1\n";
    let found = problems(text, &[("PORTREEVE__LISTEN__DOR", "x"), ("PORTREEVE__LISTEN__ADMIN", "x")]);
    assert_eq!(
        found,
        [
            "line 1: `surprise` is not a known key; remove it",
            "line 3: `server.thread` is not a known key; did you mean `server.threads`?",
            "line 4: `server.grace` is \"soon\", which is no duration; write a number with its unit, such as \"30s\", \
             \"5m\" or \"0\", of at most a day",
            "line 6: `registry.timeout` is zero; write a duration above it, such as \"30s\"",
            "line 7: `lisen` is not a known key; did you mean `listen`?",
            "environment variable PORTREEVE__LISTEN__ADMIN: `listen.admin` is \"x\", which is no IP address with a \
             port; write an IP address and a port, such as \"0.0.0.0:5000\" or \"[::]:5000\"",
            "environment variable PORTREEVE__LISTEN__DOR: `PORTREEVE__LISTEN__DOR` is not a known key; did you mean \
             `PORTREEVE__LISTEN__DOOR`?",
        ]
    );
}

#[test]
fn each_kind_of_mistake_gets_its_sentence() {
    for (text, expected) in [
        ("listen = 1", "line 1: `listen` is a section; write a table `[listen]`"),
        ("plugins = 1", "`plugins` is a section; write a table `[plugins.NAME]`"),
        ("plugins.a = 1", "`plugins.a` is an integer; write a table `[plugins.a]`"),
        ("door = \"1.2.3.4:5\"", "did you mean `listen.door`?"),
        ("\"listen.door\" = \"1.2.3.4:5\"", "is not a known key; did you mean"),
        ("listen.tls.cert = \"a\"", "`listen.tls.cert` is set but `listen.tls.key` is not; set both"),
        (
            "registry = { timeout = \"2m\", commit_timeout = \"1m\" }",
            "`registry.commit_timeout` 1m is shorter than `registry.timeout` 2m; make it at least as long",
        ),
        ("listen.tls.key = \"a\"", "`listen.tls.key` is set but `listen.tls.cert` is not; set both"),
        ("server.threads = 0", "`server.threads` is \"0\"; write a whole number from 1 to 1024"),
        ("server.threads = \"2\"", "`server.threads` is a string; write a whole number"),
        ("server.threads = 9000", "is \"9000\"; write a whole number from 1 to 1024"),
        ("server.threads = 99999999999999999999", "`server.threads` cannot be read: "),
        ("server.grace = 30", "`server.grace` is an integer; write a number with its unit"),
        ("server.grace = \"30\"", "`server.grace` is \"30\", which is no duration"),
        ("server.grace = \"2 days\"", "which is more than a day"),
        (
            "registry.kind = \"cache\"",
            "`registry.kind` is \"cache\"; write \"registry\", or \"proxy\" for a pull",
        ),
        ("registry.kind = true", "`registry.kind` is a boolean"),
        ("registry.url = []", "`registry.url` is an empty array; write \"http://HOST:PORT\""),
        ("registry.url = [1]", "`registry.url` has an integer in its array"),
        ("registry.url = \"ftp://a\"", "is \"ftp://a\", which does not begin with `http://` or `https://`"),
        ("registry.url = \"http:a\"", "which does not begin with"),
        ("registry.url = \"http://\"", "which is not a URL (empty host)"),
        ("registry.url = \"http://a/v2/\"", "has a path, query or fragment behind the host"),
        ("registry.url = \"http://a?b\"", "has a path, query or fragment behind the host"),
        ("registry.url = [\"http://a\", \"http://A:80/\"]", "names http://a twice"),
        ("registry.url = \"http://localhost:5000\"", "leads back to the door, which listens on 0.0.0.0:5000"),
        ("external_url = \"https://a/b\"", "`external_url` is \"https://a/b\", which has a path"),
        ("store.url = \"postgres:a\"", "`store.url` has no `//` behind its scheme; write `redb:`"),
        (
            "store.url = \"postgres://a/b?password=x\"",
            "has a password in it, which belongs into `store.password_file`",
        ),
        ("store.password = \"x\"", "`store.password` goes with a `store.url` of PostgreSQL only"),
        (
            "store.url = \"postgres://a/b\"\nstore.keys_secret = \"hunter2\"",
            "`store.keys_secret` is shorter than 32 characters; write",
        ),
        ("store.tls.ca = \"x\"", "`store.tls.ca` goes with a `store.url` of PostgreSQL only"),
        (
            "store.url = \"postgres://a/b\"\nstore.tls.cert = \"x\"",
            "`store.tls.cert` is set but `store.tls.key` is not",
        ),
        ("store.url = \"redb:\"", "`store.url` names no file"),
        ("store.url = \"redb://x\"", "has slashes behind `redb:`"),
        ("store.url = \"x.redb\"", "does not begin with `redb:`"),
        ("listen.door = \"127.0.0.1:5080\"", "cannot share a port; give one of them another port"),
        ("listen.admin = \"[::]:5000\"", "cannot share a port"),
        ("listen.door = \"localhost:5000\"", "is \"localhost:5000\", which is no IP address with a port"),
        ("a = = 1", "line 1: this is not valid TOML: "),
        ("listen.door = 1\nlisten.door = 2", "line 2: this is not valid TOML: duplicate key"),
    ] {
        let found = problems(text, &[]);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(expected), "{text}: {found:?}");
    }
    for (name, value, expected) in [
        ("PORTREEVE__LISTEN", "1", "`listen` is a section; name a key in it, as in PORTREEVE__LISTEN__KEY"),
        ("PORTREEVE__PLUGINS", "1", "write PORTREEVE__PLUGINS__NAME__KEY"),
        ("PORTREEVE__PLUGINS__A", "1", "`plugins.a` is a table; name a key in it"),
        ("PORTREEVE__PLUGINS____A", "1", "a part of the name is empty"),
        ("PORTREEVE__listen__door", "1.2.3.4:5", "did you mean `PORTREEVE__LISTEN__DOOR`?"),
        ("PORTREEVE__SERVER__THREADS", "two", "`server.threads` is \"two\"; write a whole number"),
        ("PORTREEVE__SERVER__GRACE", "\u{fffd}", "the value is not valid UTF-8"),
        ("PORTREEVE__REGISTRY__URL", "[", "begins with `[` but is no array"),
        ("PORTREEVE__REGISTRY__URL", "http://a,", "is \"\", which does not begin with"),
    ] {
        let found = problems("", &[(name, value)]);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0].contains(expected), "{name}: {found:?}");
    }
}

#[test]
fn passwords_are_not_repeated() {
    for text in [
        "registry.url = \"http://user:hunter2@host\"",
        "registry.url = \"ftp://user:hunter2@host\"",
        "external_url = \"http://user:hunter2@host/path\"",
        "store.url = \"postgres://user:hunter2@host/db\"",
        "store.url = \"mysql://user:hunter2@host/db\"",
    ] {
        let found = problems(text, &[]);
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
}

#[test]
fn a_named_file_must_be_there() {
    let missing = tempfile::tempdir().unwrap().path().join("missing.toml");
    let error = Config::load(Some(&missing), std::iter::empty()).expect_err("it must be refused").to_string();
    assert!(error.starts_with(&missing.display().to_string()), "{error}");
    assert!(error.contains("cannot be read") && error.contains("--config"), "{error}");
}

#[test]
fn a_variable_of_ours_that_is_no_key_is_refused_with_the_right_name() {
    for (variable, expected) in [
        ("PORTREEVE__REGISTY__URL", "did you mean `PORTREEVE__REGISTRY__URL`?"),
        ("PORTREEVE_REGISTRY_URL", "did you mean PORTREEVE__REGISTRY__URL?"),
        ("PORTREEVE_REGISTRY__URL", "did you mean PORTREEVE__REGISTRY__URL?"),
        ("PORTREEVE_AUTH_TOKEN_TTL", "did you mean PORTREEVE__AUTH__TOKEN_TTL?"),
        ("PORTREEVE_CONFG", "did you mean PORTREEVE_CONFIG?"),
        ("PORTREEVE_ZZZZZZZZZZ", "variables begin with PORTREEVE__"),
    ] {
        let refused = load("", &[(variable, "1")]).unwrap_err().to_string();
        let place = format!("environment variable {variable}: `{variable}` is not a known key; ");
        assert!(refused.starts_with(&place) && refused.contains(expected), "{refused}");
    }
    let others =
        [("PORTREEVE_CONFIG", "x"), ("PORTREEVE_LOG", "debug"), ("PORTREEVER", "1"), ("PATH", "/bin")];
    assert_eq!(load("", &others).unwrap(), Config::default());
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("secret"), "a-secret-of-many-letters\r\n").unwrap();
    std::fs::write(path("empty"), "\n").unwrap();
    std::fs::write(path("long"), "x".repeat(70_000)).unwrap();
    let secret = |name: &str| format!("notifications.secret_file = {:?}\n", path(name));
    let written = "notifications.secret = \"a-secret-of-many-letters\"\n";
    assert_eq!(
        load(&secret("secret"), &[]).unwrap().notifications,
        load(written, &[]).unwrap().notifications
    );
    let from_variable = [("PORTREEVE__NOTIFICATIONS__SECRET_FILE", &*path("secret"))];
    assert_eq!(load("", &from_variable).unwrap().notifications, load(written, &[]).unwrap().notifications);
    for (name, expected) in
        [("empty", "it is empty"), ("long", "longer than 64 KiB"), ("nowhere", "cannot be read")]
    {
        let refused = load(&secret(name), &[]).unwrap_err().to_string();
        assert!(
            refused.contains("line 1: `notifications.secret_file`") && refused.contains(expected),
            "{refused}"
        );
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
    let both = load(&(secret("secret") + written), &[]).unwrap_err().to_string();
    assert!(both.contains("`notifications.secret_file` and `notifications.secret` are both set"), "{both}");
    let basic = |file: &str| {
        format!("[registry]\nauth = \"basic\"\nusername = \"door\"\npassword_file = {:?}\n", path(file))
    };
    assert!(matches!(load(&basic("secret"), &[]).unwrap().registry.auth, RegistryAuth::Basic(_)));
    let refused = load(&basic("nowhere"), &[]).unwrap_err().to_string();
    assert!(refused.contains("`registry.password_file`") && refused.lines().count() == 1, "{refused}");
}

#[test]
fn it_is_known_whether_the_file_says_anything() {
    assert!(load("# nothing\n", &[("PORTREEVE__SERVER__GRACE", "5s")]).unwrap().is_file_empty());
    assert!(!load("server.grace = \"5s\"\n", &[]).unwrap().is_file_empty());
    assert!(!load("[plugins.access_log]\nenabled = false\n", &[]).unwrap().is_file_empty());
}

#[test]
fn what_kubernetes_tells_of_a_service_of_this_name_is_no_mistake() {
    let variables = [
        ("PORTREEVE_SERVICE_HOST", "10.0.0.7"),
        ("PORTREEVE_SERVICE_PORT", "5000"),
        ("PORTREEVE_SERVICE_PORT_DOOR", "5000"),
        ("PORTREEVE_PORT", "tcp://10.0.0.7:5000"),
        ("PORTREEVE_PORT_5000_TCP", "tcp://10.0.0.7:5000"),
        ("PORTREEVE_PORT_5000_TCP_ADDR", "10.0.0.7"),
        ("PORTREEVE_ADMIN_PORT_5080_TCP_PROTO", "tcp"),
        ("PORTREEVE_CONFIG", "read elsewhere"),
        ("PORTREEVE_LOG", "debug"),
        ("PORTREEVELING", "another's"),
    ];
    assert_eq!(load("", &variables).unwrap(), Config::default());
}
