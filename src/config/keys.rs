//! The one list of configuration keys, with their defaults and meanings. The reader refuses what is not in it, and the
//! documentation is checked against it.

use crate::suggestion;

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its full name, such as `listen.door`.
    pub name: &'static str,
    /// Its default as it would be written in the file, or in words where it depends on the machine.
    pub default: &'static str,
    /// What it decides, in one sentence.
    pub meaning: &'static str,
}

/// Every key but those of the plugins, which are the plugins' own.
pub const KEYS: &[Key] = &[
    Key {
        name: "external_url",
        default: "from the request",
        meaning: "How clients reach the door; leads `Location` headers and links back to it.",
    },
    Key {
        name: "listen.door",
        default: "\"0.0.0.0:5000\"",
        meaning: "Where clients, the API and pages are served.",
    },
    Key {
        name: "listen.admin",
        default: "\"127.0.0.1:5080\"",
        meaning: "Where `/metrics`, `/healthz` and `/readyz` are served; never expose it.",
    },
    Key {
        name: "listen.tls.cert",
        default: "none",
        meaning: "PEM file with the door's certificate chain; with `listen.tls.key`.",
    },
    Key {
        name: "listen.tls.key",
        default: "none",
        meaning: "PEM file with the door's private key; with `listen.tls.cert`.",
    },
    Key {
        name: "listen.client_timeout",
        default: "\"5m\"",
        meaning: "How long a client may stand still in the middle of what it sends or reads; then a request ends with 408.",
    },
    Key {
        name: "limits.connections",
        default: "4096",
        meaning: "Open connections of clients in all; fewer where the system gives the process few descriptors.",
    },
    Key {
        name: "limits.connections_per_address",
        default: "1024",
        meaning: "Open connections of one address, or of one /64 of IPv6; at most a quarter of all; trusted proxies have no such limit.",
    },
    Key {
        name: "limits.requests",
        default: "4096",
        meaning: "Requests in flight in all; one more is answered 503 with `Retry-After`.",
    },
    Key {
        name: "limits.requests_per_address",
        default: "1024",
        meaning: "Requests in flight of one address, or of one /64 of IPv6; at most a quarter of all.",
    },
    Key {
        name: "limits.event_streams",
        default: "1024",
        meaning: "Streams of `/api/v1/events/stream` that are sent at once; one more is answered 503 with `Retry-After`. Each is a request in flight, too.",
    },
    Key {
        name: "limits.head_timeout",
        default: "\"30s\"",
        meaning: "Within which time the whole head of a request must have come; how far a manifest, form or API body may fall behind 1 KiB a second.",
    },
    Key {
        name: "limits.idle_timeout",
        default: "\"11m\"",
        meaning: "How long a client's connection is kept on which no request runs.",
    },
    Key {
        name: "limits.body_memory",
        default: "\"64MiB\"",
        meaning: "How much of requests' and answers' bodies the door holds in memory at once; beyond it a request is 503.",
    },
    Key {
        name: "registry.url",
        default: "\"http://127.0.0.1:5001\"",
        meaning: "The registry behind the door: one URL, or a list of interchangeable backends.",
    },
    Key {
        name: "registry.kind",
        default: "\"registry\"",
        meaning: "What it is: `registry`, or `proxy` for a pull-through cache, of which only what came through the door is known and swept.",
    },
    Key {
        name: "registry.exclusive",
        default: "false",
        meaning: "Whether nothing but the door writes to the registry: then tags, too, are answered from the record.",
    },
    Key {
        name: "registry.timeout",
        default: "\"30s\"",
        meaning: "The wait for a connection, for an answer to begin, or for a stalled transfer to move; does not run while the client is to send.",
    },
    Key {
        name: "registry.commit_timeout",
        default: "\"15m\"",
        meaning: "The wait for the answer to what ends an upload and to manifest writes, while the registry answers otherwise.",
    },
    Key {
        name: "registry.host",
        default: "\"backend\"",
        meaning: "Which `Host` the registry sees: its own name, `backend`, or the one by which the client knows the door, `keep`.",
    },
    Key {
        name: "registry.ca",
        default: "those of the system",
        meaning: "A PEM file with the certificates of the authorities that the registry's certificate is believed by.",
    },
    Key {
        name: "registry.auth",
        default: "\"none\"",
        meaning: "How the door shows itself to the registry: `none`, `basic`, or `token` for one that verifies the door's tokens.",
    },
    Key {
        name: "registry.username",
        default: "none",
        meaning: "The door's user name at the registry, with `registry.auth = \"basic\"`.",
    },
    Key {
        name: "registry.password_file",
        default: "none",
        meaning: "A file with that password, in place of `registry.password`.",
    },
    Key {
        name: "registry.password",
        default: "none",
        meaning: "The door's password at the registry, with `registry.auth = \"basic\"`.",
    },
    Key {
        name: "store.url",
        default: "\"redb:portreeve.redb\"",
        meaning: "Where the record is kept: `redb:` and the path of a file, or `postgres://user@host/database`.",
    },
    Key {
        name: "store.password_file",
        default: "none",
        meaning: "A file with the password of the database, in place of `store.password`.",
    },
    Key {
        name: "store.password",
        default: "none",
        meaning: "The password of the database, with a `store.url` of PostgreSQL.",
    },
    Key {
        name: "store.keys_secret_file",
        default: "none",
        meaning: "A file with the secret for keys, in place of `store.keys_secret`.",
    },
    Key {
        name: "store.keys_secret",
        default: "none",
        meaning: "What the keys in the database are encrypted with; in the clear without it.",
    },
    Key {
        name: "store.tls.ca",
        default: "the system's",
        meaning: "PEM file with the authorities by which the database is believed.",
    },
    Key {
        name: "store.tls.cert",
        default: "none",
        meaning: "PEM file with the certificate by which the database knows the door.",
    },
    Key {
        name: "store.tls.key",
        default: "none",
        meaning: "PEM file with the private key of that certificate.",
    },
    Key {
        name: "sync.interval",
        default: "\"5m\"",
        meaning: "The time between two shallow sweeps, which compare catalog and tag lists with the record; `0` for none.",
    },
    Key {
        name: "sync.deep_interval",
        default: "\"1h\"",
        meaning: "The time between two deep sweeps, which also ask for each tag's digest; `0` for none.",
    },
    Key {
        name: "sync.concurrency",
        default: "8",
        meaning: "The most questions that a sweep has under way at the registry; it asks fewer when the registry slows down.",
    },
    Key {
        name: "sync.settling",
        default: "\"1m\"",
        meaning: "How long a write that the door carried is believed more than an answer of the registry that contradicts it: a replica may lag.",
    },
    Key {
        name: "sync.removal_limit",
        default: "\"10%\"",
        meaning: "How much of the recorded tags, or manifests, may be found to be gone within an hour or one sweep (and fifty in any case); more is held.",
    },
    Key {
        name: "sync.removal_patience",
        default: "\"24h\"",
        meaning: "How long what is held has to stay away until its removal is believed without the operator's word.",
    },
    Key {
        name: "auth.mode",
        default: "\"off\"",
        meaning: "`on`: tokens are required, and rules say who may do what; `off`: the door is open.",
    },
    Key {
        name: "auth.htpasswd",
        default: "none",
        meaning: "A file of users with bcrypt hashes, as `htpasswd -B` makes it; read again when it changes.",
    },
    Key {
        name: "auth.sources",
        default: "[\"htpasswd\", \"store\"]",
        meaning: "Where users come from, in the order in which they are asked.",
    },
    Key { name: "auth.issuer", default: "\"portreeve\"", meaning: "The `iss` of tokens." },
    Key {
        name: "auth.service",
        default: "\"portreeve\"",
        meaning: "The service that tokens are for: their `aud`.",
    },
    Key { name: "auth.token_ttl", default: "\"5m\"", meaning: "How long a token is good." },
    Key {
        name: "auth.leeway",
        default: "\"1m\"",
        meaning: "How long an expired token is still taken, and how far the clocks of several doors may differ.",
    },
    Key {
        name: "auth.upload_grace",
        default: "\"24h\"",
        meaning: "How long after its opening an upload may go on when its token has expired.",
    },
    Key {
        name: "auth.refresh_idle",
        default: "\"30d\"",
        meaning: "After which time without use a login ends that `docker login` keeps without its password.",
    },
    Key {
        name: "auth.refresh_lifetime",
        default: "\"180d\"",
        meaning: "After which time such a login ends in any case.",
    },
    Key {
        name: "auth.events_age",
        default: "\"90d\"",
        meaning: "How long logins, refusals, tokens and administrative acts are kept; 100,000 of them at most.",
    },
    Key {
        name: "auth.lockout",
        default: "\"15m\"",
        meaning: "The longest delay after failed logins; `0` for none.",
    },
    Key {
        name: "auth.keys",
        default: "beside the file of the store, or in its database",
        meaning: "The directory with the keys that tokens are signed with; made with a first key if it is not there.",
    },
    Key {
        name: "auth.algorithm",
        default: "\"es256\"",
        meaning: "What new keys sign with: `es256`, `eddsa` or `rs256`.",
    },
    Key {
        name: "auth.verified_by",
        default: "\"rootcertbundle\"",
        meaning: "What a registry that verifies tokens knows the keys by: `rootcertbundle` or `jwks`.",
    },
    Key { name: "auth.groups", default: "none", meaning: "Names of users by group." },
    Key {
        name: "auth.rules",
        default: "none",
        meaning: "Who may do what to which repositories; nothing is allowed that no rule allows.",
    },
    Key {
        name: "answers.from",
        default: "\"record\"",
        meaning: "Who answers what clients ask of lists and manifests: the door from its `record`, or the `registry`.",
    },
    Key {
        name: "pages.session_idle",
        default: "\"12h\"",
        meaning: "After which time without use a browser is signed out of the pages.",
    },
    Key {
        name: "pages.session_lifetime",
        default: "\"7d\"",
        meaning: "After which time it is signed out in any case.",
    },
    Key {
        name: "clock.warn",
        default: "\"5s\"",
        meaning: "How far the registry's clock may be off before the door says so; `0` for never.",
    },
    Key { name: "clock.offset", default: "\"0s\"", meaning: "Shifts the door's own clock, for tests." },
    Key {
        name: "notifications.secret_file",
        default: "none",
        meaning: "A file with that secret, in place of `notifications.secret`.",
    },
    Key {
        name: "notifications.secret",
        default: "none",
        meaning: "The bearer secret of the registry's notifications; without it they are not taken.",
    },
    Key {
        name: "pages.enabled",
        default: "true",
        meaning: "Whether the door shows pages to browsers, at `/ui/`.",
    },
    Key {
        name: "pages.open_writes",
        default: "false",
        meaning: "Whether pages change anything with `auth.mode = \"off\"`: whoever reaches the door could.",
    },
    Key { name: "server.threads", default: "the number of cores", meaning: "Worker threads of the door." },
    Key {
        name: "server.grace",
        default: "\"30s\"",
        meaning: "The time that running transfers get to finish when the door is told to stop.",
    },
    Key {
        name: "server.lame_duck",
        default: "\"0s\"",
        meaning: "How long the door goes on when it is told to stop, while `/readyz` sends new clients elsewhere.",
    },
    Key {
        name: "server.socket",
        default: "beside the store",
        meaning: "The Unix socket by which commands reach a running door; for its owner alone.",
    },
    Key {
        name: "log.level",
        default: "\"info\"",
        meaning: "What is logged: `error`, `warn`, `info`, `debug` or `trace`, and what weighs more.",
    },
    Key {
        name: "log.format",
        default: "\"auto\"",
        meaning: "The shape of the lines: `text`, `json`, or `auto` for text on a terminal and JSON otherwise.",
    },
];

/// The keys whose values are secrets. Each has another one, `…_file`, for a file that it stands in.
pub const SECRETS: [&str; 4] =
    ["registry.password", "store.password", "store.keys_secret", "notifications.secret"];

/// What the names of environment variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "PORTREEVE__";

/// The section whose tables belong to the plugins.
pub(super) const PLUGINS: &str = "plugins";

/// What a dotted path names.
pub(super) enum Place {
    /// A key.
    Key(&'static Key),
    /// A table of keys.
    Section,
    /// Nothing.
    Unknown,
}

/// Finds what a dotted path names.
pub(super) fn place(path: &str) -> Place {
    if let Some(key) = KEYS.iter().find(|key| key.name == path) {
        return Place::Key(key);
    }
    if children(path).next().is_some() { Place::Section } else { Place::Unknown }
}

/// The environment variable of a dotted path.
pub(super) fn variable(path: &str) -> String {
    format!("{}{}", VARIABLE_PREFIX, path.to_uppercase().replace('.', "__"))
}

/// The known path that was probably meant by an unknown one.
pub(super) fn nearest(path: &str) -> Option<String> {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = if parent.is_empty() || children(parent).next().is_some() {
        parent.to_owned()
    } else {
        nearest(parent)?
    };
    let joined = |child: &str| if parent.is_empty() { child.to_owned() } else { format!("{parent}.{child}") };
    let sibling = suggestion::nearest(name, children(&parent)).map(joined);
    let elsewhere = || {
        let namesake = |key: &&Key| key.name.rsplit('.').next() == Some(name);
        KEYS.iter().find(namesake).map(|key| key.name.to_owned())
    };
    sibling.or_else(elsewhere)
}

/// The variable that was probably meant by a name that begins otherwise, such as with one underscore for two.
pub(super) fn nearest_variable(name: &str) -> Option<String> {
    let others = ["PORTREEVE_CONFIG", "PORTREEVE_LOG"].map(str::to_owned);
    let known: Vec<String> = KEYS.iter().map(|key| variable(key.name)).chain(others).collect();
    // What all of them begin with would make any two alike.
    let own_part = |name: &str| {
        let plain = name.replace("__", "_");
        plain.strip_prefix("PORTREEVE_").unwrap_or(&plain).to_owned()
    };
    let meant = suggestion::nearest(&own_part(name), known.iter().map(|known| own_part(known)))?;
    known.into_iter().find(|known| own_part(known) == meant)
}

/// The names directly below a section; those of the whole configuration below the empty path.
fn children(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).chain([PLUGINS]).filter_map(move |name| {
        let below = if section.is_empty() { name } else { name.strip_prefix(section)?.strip_prefix('.')? };
        below.split('.').next()
    })
}
