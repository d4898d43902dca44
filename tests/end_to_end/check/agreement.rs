//! What keeps `serve` from starting is what `check` finds, in the same words.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::support::binary::portreeve;

/// A door that starts in spite of its configuration is stopped after this time.
const STARTED: Duration = Duration::from_secs(60);
const MISCONFIGURED: Option<i32> = Some(2);

/// A configuration that cannot be used.
struct Broken {
    name: &'static str,
    /// Lines of the file; those that every case needs are put before them.
    file: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// What has to stand in what is said: place, fault and remedy.
    said: &'static [&'static str],
}

const fn broken(name: &'static str, file: &'static str, said: &'static [&'static str]) -> Broken {
    Broken { name, file, variables: &[], said }
}

/// Ports that are free, and a registry that is not there.
const COMMON: &str =
    "listen.door = \"127.0.0.1:0\"\nlisten.admin = \"127.0.0.1:0\"\nregistry.url = \"http://127.0.0.1:9\"\n";

const CASES: &[Broken] = &[
    // What the file is.
    broken("not TOML", "listen = \n", &["line 4", "not valid TOML"]),
    broken(
        "an unknown key",
        "registry.tiemout = \"5s\"\n",
        &["line 4", "`registry.tiemout`", "did you mean `registry.timeout`?"],
    ),
    broken(
        "an unknown section",
        "[registri]\nkind = \"registry\"\n",
        &["line 4", "`registri`", "did you mean"],
    ),
    broken("a value for a section", "sync = \"5m\"\n", &["line 4", "`sync` is a section"]),
    // Values.
    broken(
        "a duration without a unit",
        "registry.timeout = \"5\"\n",
        &["line 4", "`registry.timeout`", "\"30s\""],
    ),
    broken("a duration of zero", "registry.timeout = \"0s\"\n", &["line 4", "is zero"]),
    broken("a duration beyond a day", "sync.interval = \"25h\"\n", &["line 4", "more than a day"]),
    broken("a number for a duration", "server.grace = 30\n", &["line 4", "is an integer"]),
    broken("a percentage without its sign", "sync.removal_limit = \"10\"\n", &["line 4", "\"10%\""]),
    broken("no thread", "server.threads = 0\n", &["line 4", "from 1 to 1024"]),
    broken("a size without its unit", "limits.body_memory = \"64\"\n", &["line 4", "\"16MiB\""]),
    broken("an unknown kind of registry", "registry.kind = \"cache\"\n", &["line 4", "\"proxy\""]),
    broken("an unknown host", "registry.host = \"client\"\n", &["line 4", "\"keep\""]),
    broken("an unknown mode", "auth.mode = \"yes\"\n", &["line 4", "\"on\" or \"off\""]),
    broken("an unknown algorithm", "auth.algorithm = \"hs256\"\n", &["line 4", "\"es256\""]),
    broken("an unknown source", "auth.sources = [\"ldap\"]\n", &["line 4", "\"htpasswd\""]),
    broken(
        "a commit shorter than a question",
        "registry.commit_timeout = \"5s\"\n",
        &["line 4", "is shorter than"],
    ),
    broken(
        "a URL with a path",
        "external_url = \"https://example.com/path\"\n",
        &["line 4", "`external_url`"],
    ),
    broken("a short secret", "notifications.secret = \"secret\"\n", &["line 4", "shorter than 16"]),
    broken("a store of another kind", "store.url = \"sqlite:x\"\n", &["line 4", "`redb:`"]),
    broken(
        "a certificate without its key",
        "listen.tls.cert = \"cert.pem\"\n",
        &["line 4", "`listen.tls.key`"],
    ),
    broken("credentials without a name", "registry.auth = \"basic\"\n", &["line 4", "registry.username"]),
    Broken {
        variables: &[("PORTREEVE__SERVER__GRACE", "soon")],
        ..broken("a wrong variable", "", &["environment variable PORTREEVE__SERVER__GRACE", "\"30s\""])
    },
    Broken {
        variables: &[("PORTREEVE__SERVER__GRAZE", "5s")],
        ..broken("an unknown variable", "", &["PORTREEVE__SERVER__GRAZE", "PORTREEVE__SERVER__GRACE"])
    },
    // Rules.
    broken(
        "a rule for nobody",
        "[[auth.rules]]\nactions = \"admin\"\n",
        &["line 4", "rule 1", "`who` is missing"],
    ),
    broken(
        "an unknown action",
        "[[auth.rules]]\nwho = \"*\"\nactions = \"pul\"\n",
        &["line 4", "did you mean \"pull\"?"],
    ),
    broken(
        "a pattern that is none",
        "auth.mode = \"on\"\n[[auth.rules]]\nwho = \"*\"\nactions = \"pull\"\nrepositories = \"Team/**\"\n",
        &["line 8", "rule 1", "`Team/**`", "is in no repository name"],
    ),
    broken(
        "two patterns that are none",
        "auth.mode = \"on\"\n[[auth.rules]]\nwho = \"*\"\nactions = \"pull\"\nrepositories = [\"a{\", \"b/**\", \"[\"]\n",
        &["line 8", "`a{`", "`[`"],
    ),
    // Plugins.
    broken(
        "an unknown plugin",
        "[plugins.acces_log]\nenabled = true\n",
        &["line 4", "did you mean `access_log`?"],
    ),
    broken(
        "an unknown option",
        "[plugins.access_log]\nenable = true\n",
        &["line 5", "did you mean `enabled`?"],
    ),
    broken(
        "a wrong option",
        "[plugins.access_log]\nenabled = \"yes\"\n",
        &["line 5", "write `true` or `false`"],
    ),
    broken(
        "an option of a plugin without any",
        "[plugins.observer]\nfast = true\n",
        &["line 5", "it has none; remove it"],
    ),
    broken(
        "a proxy that is no network",
        "[plugins.client_address]\ntrusted_proxies = [\"10.0.0.0/99\"]\n",
        &["line 5", "write a list of networks"],
    ),
    // Files.
    broken(
        "no file of users",
        "auth.mode = \"on\"\nauth.htpasswd = \"nowhere\"\n",
        &["line 5", "nowhere", "cannot be read"],
    ),
    broken(
        "a file of users that is none",
        "auth.mode = \"on\"\nauth.htpasswd = \"broken\"\n",
        &["line 5", "line 1", "no colon"],
    ),
    broken(
        "no certificate",
        "listen.tls.cert = \"nowhere\"\nlisten.tls.key = \"nowhere\"\n",
        &["line 4", "`listen.tls.cert`", "PEM file"],
    ),
    broken(
        "a certificate that is none",
        "listen.tls.cert = \"broken\"\nlisten.tls.key = \"broken\"\n",
        &["line 4", "`listen.tls.cert`", "PEM file"],
    ),
    broken("no authorities", "registry.ca = \"nowhere\"\n", &["line 4", "`registry.ca`", "nowhere"]),
    broken(
        "authorities that are none",
        "registry.ca = \"broken\"\n",
        &["line 4", "`registry.ca`", "no certificate in it"],
    ),
    // Places.
    broken("an address of another machine", "", &["line 1", "`listen.door`", "not this machine's"]),
    broken("a socket in no directory", "server.socket = \"nowhere/socket\"\n", &["server.socket"]),
    broken(
        "a socket where a file is",
        "server.socket = \"broken\"\n",
        &["server.socket", "something else has that name"],
    ),
    broken("a store that is none", "store.url = \"redb:broken\"\n", &["store.url", "is no store"]),
    broken(
        "a store in no directory",
        "store.url = \"redb:nowhere/store\"\n",
        &["store.url", "its directory must exist"],
    ),
    broken("keys that are none", "auth.mode = \"on\"\nauth.keys = \"broken\"\n", &["line 5", "auth.keys"]),
    broken(
        "a directory of keys that others can write to",
        "auth.mode = \"on\"\nauth.keys = \"shared\"\n",
        &["line 5", "auth.keys: others can write to shared", "chmod 700"],
    ),
    // Several at once.
    broken(
        "everything at once",
        "auth.mode = \"on\"\nauth.htpasswd = \"nowhere\"\nregistry.ca = \"broken\"\n[plugins.pulls]\nx = 1\n",
        &["line 5", "line 6", "line 8", "`plugins.pulls.x`"],
    ),
];

async fn run(command: &str, directory: &Path, case: &Broken) -> Output {
    let running = portreeve()
        .arg(command)
        .current_dir(directory)
        .envs(case.variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(STARTED, running).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("{}: {command} goes on", case.name),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_serve_agree_on_what_is_wrong_in_the_same_words() {
    assert!(CASES.len() >= 40);
    for case in CASES {
        let directory = tempfile::tempdir().unwrap();
        let common = if case.name == "an address of another machine" {
            // Of a network that is for documentation (RFC 5737).
            COMMON.replace("listen.door = \"127.0.0.1:0\"", "listen.door = \"192.0.2.1:0\"")
        } else {
            COMMON.to_owned()
        };
        std::fs::write(directory.path().join("portreeve.toml"), common + case.file).unwrap();
        std::fs::write(directory.path().join("broken"), "neither users nor keys\n").unwrap();
        let shared = directory.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
        let serve = run("serve", directory.path(), case).await;
        let mut there: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort_unstable();
        assert_eq!(
            there,
            ["broken", "portreeve.toml", "shared"],
            "{}: a refused start makes nothing",
            case.name
        );
        let check = run("check", directory.path(), case).await;
        let (serve_said, check_said) =
            (text(&serve.stderr), text(&check.stdout) + text(&check.stderr).as_str());
        let context = format!("{}\nserve: {serve_said}\ncheck: {check_said}", case.name);
        assert_eq!(serve.status.code(), MISCONFIGURED, "{context}");
        assert_eq!(check.status.code(), MISCONFIGURED, "{context}");
        for part in case.said {
            assert!(serve_said.contains(part), "{part:?} is not in what serve says. {context}");
        }
        for line in serve_said.lines().filter(|line| !is_log(line)) {
            assert!(check_said.contains(line), "check does not say: {line}\n{context}");
        }
    }
}

/// Whether a line is one of the log.
fn is_log(line: &str) -> bool {
    line.starts_with('{')
}
