//! For any rules, users and requests the plugin lets through exactly what a direct reading of the rules allows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use http::{HeaderValue, Method};
use pingora_http::RequestHeader;
use proptest::prelude::*;

use super::*;
use crate::auth::{
    Accounts, Authenticator, Found, GateParts, Hashing, IdentitySource, Issuer, Journal, KeyAlgorithm,
    KeyDirectory, LoginLife, Logins, Policy, Rule, Rules, SourceError, Ticket, TokenSettings, UserName,
    Verdict, Who,
};
use crate::clock::{Clock, Timestamp};
use crate::door::Scheme;
use crate::oci::{Action, Actions, RepositoryName};
use crate::store::RedbStore;

const USERS: [&str; 3] = ["a", "b", "c"];
const HOUR: Duration = Duration::from_hours(1);

/// Knows the users; everybody's password is their name. `a` and `b` are in the group `g`.
struct Users;

#[async_trait]
impl IdentitySource for Users {
    async fn verify(&self, credentials: &Credentials, _: &Ticket) -> Result<Verdict, SourceError> {
        Ok(Verdict::Right(identity(credentials.name.as_str())))
    }

    async fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
        Ok(None)
    }
}

fn identity(name: &str) -> Identity {
    let groups = if name == "c" { Vec::new() } else { vec!["g".to_owned()] };
    Identity::new(UserName::parse(name).unwrap(), groups)
}

struct House {
    _directory: tempfile::TempDir,
    gate: Arc<Gate>,
    plugin: Authorization,
}

thread_local! {
    static HOUSE: House = house();
}

fn house() -> House {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeyDirectory::new(directory.path().join("keys"), KeyAlgorithm::EdDsa, HOUR);
    let settings = TokenSettings {
        issuer: "i".to_owned(),
        service: "s".to_owned(),
        ttl: HOUR,
        leeway: Duration::ZERO,
        carries_certificate: true,
    };
    let issuer = Issuer::new(settings, keys.open(Timestamp::now()).unwrap(), Clock::SYSTEM);
    let hashing = Hashing::start(1).unwrap();
    let authenticator = Authenticator::new(vec![Arc::new(Users)], hashing, Duration::ZERO).unwrap();
    let store = Arc::new(RedbStore::open(directory.path().join("store.redb")).unwrap());
    let records = Arc::clone(&store) as _;
    let accounts = Arc::new(Accounts::new(store, Arc::new(Journal::new(Clock::SYSTEM, HOUR)), Clock::SYSTEM));
    let gate = Arc::new(Gate::new(GateParts {
        authenticator,
        issuer: Arc::new(issuer),
        marks: UploadMarks::new(&[7; 32], HOUR),
        clock: Clock::SYSTEM,
        external: None,
        logins: Logins {
            accounts,
            life: LoginLife { idle: HOUR, lifetime: HOUR },
            sessions: LoginLife { idle: HOUR, lifetime: HOUR },
            has_pages: true,
        },
        policy: Policy::default(),
    }));
    let plugin = Authorization {
        gate: Some(Arc::clone(&gate)),
        requirement_of: |_, _| Requirement::Access(Access::Admin),
        credentials: Arc::new(RegistryCredentials::None),
        answering: Arc::new(Answering {
            records,
            completeness: Arc::default(),
            is_from_record: false,
            is_exclusive: false,
        }),
    };
    House { _directory: directory, gate, plugin }
}

/// How a caller shows who they are.
#[derive(Clone, Copy, Debug)]
enum How {
    Password,
    Token,
}

#[derive(Clone, Debug)]
struct Asked {
    user: Option<&'static str>,
    how: How,
    what: What,
    repository: String,
    /// Where a mount is from.
    source: String,
}

/// What is asked for: a route for each, with all that decides about it.
#[derive(Clone, Copy, Debug)]
enum What {
    Manifest(Action),
    Blob(Action),
    Tags,
    Referrers,
    Upload,
    Patch,
    Mount,
    /// The same, spelled otherwise.
    EncodedMount,
    Catalog,
}

const WHAT: [What; 13] = [
    What::Manifest(Action::Pull),
    What::Manifest(Action::Push),
    What::Manifest(Action::Delete),
    What::Blob(Action::Pull),
    What::Blob(Action::Delete),
    What::Tags,
    What::Referrers,
    What::Upload,
    What::Patch,
    What::Mount,
    What::EncodedMount,
    What::EncodedMount,
    What::Catalog,
];

impl Asked {
    fn line(&self) -> (Method, String) {
        let digest = format!("sha256:{}", "a".repeat(64));
        let method = |action| match action {
            Action::Pull => Method::GET,
            Action::Push => Method::PUT,
            Action::Delete => Method::DELETE,
        };
        let (method, rest) = match self.what {
            What::Manifest(action) => (method(action), "manifests/t".to_owned()),
            What::Blob(action) => (method(action), format!("blobs/{digest}")),
            What::Tags => (Method::GET, "tags/list?n=5".to_owned()),
            What::Referrers => (Method::GET, format!("referrers/{digest}")),
            What::Upload => (Method::POST, "blobs/uploads/".to_owned()),
            What::Patch => (Method::PATCH, "blobs/uploads/1?_state=x".to_owned()),
            What::Mount => (Method::POST, format!("blobs/uploads/?mount={digest}&from={}", self.source)),
            What::EncodedMount => {
                (Method::POST, format!("blobs/uploads/?%6dount={digest}&f%72om={}&x=1", self.source))
            }
            What::Catalog => return (Method::GET, "/v2/_catalog".to_owned()),
        };
        (method, format!("/v2/{}/{rest}", self.repository))
    }

    /// What the request needs.
    fn needed(&self) -> &'static [Action] {
        match self.what {
            What::Manifest(Action::Push)
            | What::Blob(Action::Push)
            | What::Upload
            | What::Patch
            | What::Mount
            | What::EncodedMount => &[Action::Pull, Action::Push],
            What::Manifest(Action::Delete) | What::Blob(Action::Delete) => &[Action::Delete],
            What::Manifest(Action::Pull) | What::Blob(Action::Pull) | What::Tags | What::Referrers => {
                &[Action::Pull]
            }
            What::Catalog => &[],
        }
    }
}

fn exchange(asked: &Asked, authorization: Option<String>) -> Exchange {
    let (method, line) = asked.line();
    let (path, query) =
        line.split_once('?').map_or((line.as_str(), None), |(path, query)| (path, Some(query)));
    let route = Route::parse(&method, path, query).unwrap();
    let mut request = RequestHeader::build(method, line.as_bytes(), None).unwrap();
    if let Some(value) = authorization {
        request.insert_header(AUTHORIZATION, HeaderValue::try_from(value).unwrap()).unwrap();
    }
    let address = IpAddr::from([192, 0, 2, 1]);
    let client = Client {
        peer: address,
        address,
        scheme: Scheme::Https,
        host: Some("door.example".to_owned()),
        is_trusted_proxy: false,
        user: None,
        token: None,
    };
    let (target, forwarding) = (Target::Registry(route), Forwarding::default());
    let viewer = Viewer::default();
    let request_id = Default::default();
    Exchange {
        request_id,
        started: Instant::now(),
        request,
        target,
        client,
        backend: None,
        forwarding,
        viewer,
        catalog: Default::default(),
        note: None,
    }
}

/// Whether a rule is for who asks.
fn is_for(rule: &Rule, user: Option<&str>) -> bool {
    rule.who.iter().any(|who| match who {
        Who::Anonymous => true,
        // Logging out is no way around a denial.
        Who::Everybody => user.is_some() || rule.deny,
        Who::User(name) => user == Some(name),
        Who::Group(_) => matches!(user, Some("a" | "b")),
    })
}

/// What the rules say, read one after the other, component by component.
fn allows(rules: &[Rule], user: Option<&str>, repository: &str, needed: &[Action]) -> bool {
    let speaks = |rule: &Rule, action: Action| {
        let is_about = rule.repositories.iter().any(|pattern| {
            let mut pattern = pattern.clone();
            if let Some(user) = user {
                pattern = pattern.replace("${user}", user);
                if user != "c" {
                    pattern = pattern.replace("${group}", "g");
                }
            }
            let (pattern, name): (Vec<&str>, Vec<&str>) =
                (pattern.split('/').collect(), repository.split('/').collect());
            matches(&pattern, &name)
        });
        is_for(rule, user) && is_about && rule.actions.iter().any(|known| known == action)
    };
    needed.iter().all(|action| {
        rules.iter().any(|rule| !rule.deny && speaks(rule, *action))
            && !rules.iter().any(|rule| rule.deny && speaks(rule, *action))
    })
}

/// What the rules say of the catalog.
fn allows_catalog(rules: &[Rule], user: Option<&str>) -> bool {
    let speak = |deny| rules.iter().any(|rule| rule.deny == deny && rule.catalog && is_for(rule, user));
    speak(false) && !speak(true)
}

fn matches(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        // At the end it stands for at least one component.
        (["**"], name) => !name.is_empty(),
        (["**", rest @ ..], name) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        (["*", rest @ ..], [_, names @ ..]) => matches(rest, names),
        ([first, rest @ ..], [component, names @ ..]) => first == component && matches(rest, names),
        _ => false,
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let who = prop_oneof![
        Just(Who::Anonymous),
        Just(Who::Everybody),
        Just(Who::Group("g".to_owned())),
        proptest::sample::select(&USERS[..]).prop_map(|user| Who::User(user.to_owned())),
    ];
    let component = proptest::sample::select(&["a", "b", "g", "*", "**", "${user}", "${group}"][..]);
    let pattern = proptest::collection::vec(component, 1..4)
        .prop_map(|components| components.join("/"))
        .prop_filter("two globstars in a row mean one", |pattern| !pattern.contains("**/**"));
    let actions = proptest::collection::vec(proptest::sample::select(&Action::ALL[..]), 1..4);
    (
        proptest::collection::vec(who, 1..3),
        proptest::collection::vec(pattern, 1..3),
        actions.prop_map(|actions| Actions::of(&actions)),
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(who, repositories, actions, catalog, deny)| Rule {
            who,
            repositories,
            actions,
            catalog,
            admin: false,
            deny,
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        proptest::option::weighted(0.8, proptest::sample::select(&USERS[..])),
        prop_oneof![Just(How::Password), Just(How::Token)],
        proptest::sample::select(&WHAT[..]),
        "[abg](/[abg]){0,2}",
        "[abg](/[abg]){0,2}",
    )
        .prop_map(|(user, how, what, repository, source)| Asked { user, how, what, repository, source })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_let_through_is_what_the_rules_allow(rules in proptest::collection::vec(rule(), 0..6), asked in asked()) {
        let may = |repository: &str, needed: &[Action]| allows(&rules, asked.user, repository, needed);
        let expected = match asked.what {
            What::Catalog => allows_catalog(&rules, asked.user),
            _ => may(&asked.repository, asked.needed()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        HOUSE.with(|House { gate, plugin, .. }| {
            gate.set_policy(Policy { rules: Rules::new(rules.clone()).unwrap(), ..Policy::default() });
            let authorization = match (asked.user, asked.how) {
                // Without credentials there is nothing but an anonymous token.
                (None, _) | (_, How::Token) => {
                    let subject = asked.user.map_or(Subject::Anonymous, |user| Subject::Known(identity(user)));
                    let all = |name: &str| Access::to(RepositoryName::parse(name).unwrap(), Actions::ALL);
                    let wanted = [all(&asked.repository), all(&asked.source), Access::Catalog];
                    let granted = gate.grant(&subject, &wanted);
                    let token = gate.issuer.issue(asked.user, &granted, None).unwrap().token;
                    format!("Bearer {token}")
                }
                (Some(user), How::Password) => {
                    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{user}"));
                    format!("Basic {text}")
                }
            };
            let mut exchange = exchange(&asked, Some(authorization));
            let is_through = runtime.block_on(plugin.on_request(&mut exchange)).is_ok();
            prop_assert_eq!(is_through, expected);
            if is_through && matches!(asked.what, What::Mount | What::EncodedMount) {
                let query = exchange.forwarded_path_and_query().split_once('?').map(|(_, query)| query.to_owned());
                let url = url::Url::parse(&format!("http://r/?{}", query.unwrap_or_default())).unwrap();
                let mounts = url.query_pairs().any(|(name, _)| name == "mount" || name == "from");
                prop_assert_eq!(mounts, may(&asked.source, &[Action::Pull]), "a mount goes on that may be read");
            }
            let mut bare = self::exchange(&asked, None);
            prop_assert!(runtime.block_on(plugin.on_request(&mut bare)).is_err(), "nobody gets in with nothing");
            Ok(())
        })?;
    }
}
