//! Puts the gate together from its configuration, and keeps it up to date.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::auth::{
    AccessTokens, Accounts, Authenticator, Gate, Hashing, Htpasswd, IdentitySource, Issuer, Journal,
    KeyAlgorithm, KeyDirectory, LoginLife, Logins, Names, Policy, RegistryTokens, Rule, Rules, StoredUsers,
    TargetSeal, TokenSettings, UploadMarks, Who,
};
use crate::clock::{Clock, ClockOffset, Estimate, HeldClock, Timestamp};
use crate::config::{
    self, Algorithm, AuthRule, Config, Principal, RegistryAuth, StoreUrl, UserSource, VerifiedBy,
};
use crate::files::RereadRequests;
use crate::oci::{Action, Actions};
use crate::registry::{Asking, Login, RegistryClient, RegistryKind};
use crate::store::{Store, StoreError};
use crate::web::ClockStatus;

/// The gate, and what keeps it up to date.
pub(super) struct Gatehouse {
    /// None for an open door.
    pub gate: Option<Arc<Gate>>,
    /// Users and tokens in the store.
    pub accounts: Arc<Accounts>,
    /// By which time something may be deleted because it is old.
    pub held: Arc<HeldClock>,
    /// How the registry is asked.
    pub asking: Asking,
    /// Hides targets of the registry's own in URLs of the door.
    pub seal: Arc<TargetSeal>,
    htpasswd: Option<Arc<Htpasswd>>,
}

impl Gatehouse {
    /// Reads keys, users and rules. Makes a first key if there is none.
    pub async fn build(config: &Config, store: &Arc<dyn Store>) -> Result<Self, StartError> {
        let clock = Clock::shifted(config.clock.offset);
        let held = held_clock(store.as_ref(), clock).await;
        let journal = Journal::new(clock, config.auth.events_age).aging_by(Arc::clone(&held));
        let journal = Arc::new(journal);
        let accounts = Arc::new(Accounts::new(Arc::clone(store), journal, clock));
        let Foundation { asking, issuer } = Foundation::lay(config, remembered(store).await)?;
        // An open door has no keys, but a secret beside where they would be.
        let secret = key_directory(config).secret()?;
        let seal = Arc::new(TargetSeal::new(&secret)?);
        let (Some(issuer), true) = (issuer, config.auth.is_on) else {
            return Ok(Self { gate: None, accounts, held, asking, seal, htpasswd: None });
        };
        let hashing = Hashing::start(hashing_threads())?;
        let mut sources: Vec<Arc<dyn IdentitySource>> = vec![Arc::new(AccessTokens(Arc::clone(&accounts)))];
        let htpasswd = match &config.auth.htpasswd {
            Some(path) => Some(Arc::new(Htpasswd::load(path.clone(), hashing.clone())?)),
            None => None,
        };
        for source in &config.auth.sources {
            match source {
                UserSource::Htpasswd => {
                    sources.extend(htpasswd.iter().map(|users| Arc::clone(users) as Arc<dyn IdentitySource>));
                }
                UserSource::Store => {
                    sources.push(Arc::new(StoredUsers::new(Arc::clone(&accounts), hashing.clone())));
                }
            }
        }
        let gate = Gate::new(
            Authenticator::new(sources, hashing, config.auth.lockout)?,
            issuer,
            UploadMarks::new(&secret, config.auth.upload_grace),
            asking.clock,
            config.external_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
            Logins {
                accounts: Arc::clone(&accounts),
                life: LoginLife { idle: config.auth.refresh_idle, lifetime: config.auth.refresh_lifetime },
            },
            policy(&config.auth)?,
        );
        let gate = Arc::new(gate);
        let names: Arc<dyn Names> = Arc::clone(&gate) as _;
        accounts.journal().ask_for_names(Arc::downgrade(&names));
        Ok(Self { gate: Some(gate), accounts, held, asking, seal, htpasswd })
    }

    /// Starts what watches files, and what removes logins that are over.
    pub fn keep_up(&self, background: &TaskTracker, requests: &RereadRequests, stop: &CancellationToken) {
        if let Some(gate) = &self.gate {
            background.spawn(purge_logins(Arc::clone(gate), Arc::clone(&self.held), stop.clone()));
        }
        if let Some(htpasswd) = &self.htpasswd {
            background.spawn(Arc::clone(htpasswd).watch(requests.clone(), stop.clone()));
        }
    }
}

/// How often logins are looked through that nobody comes back to.
const PURGE_LOGINS: Duration = Duration::from_secs(60 * 60);

async fn purge_logins(gate: Arc<Gate>, held: Arc<HeldClock>, stop: CancellationToken) {
    let Logins { accounts, life } = &gate.logins;
    let purging = async {
        loop {
            match accounts.purge_logins(*life, &held).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "logins that were over were removed"),
                Err(error) => {
                    tracing::warn!(%error, "logins that are over cannot be removed; it is tried again")
                }
            }
            tokio::time::sleep(PURGE_LOGINS).await;
        }
    };
    stop.run_until_cancelled(purging).await;
}

/// What was known of the registry's clock when the door ran last.
async fn remembered(store: &Arc<dyn Store>) -> Option<Estimate> {
    store.kept_clock().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was known of the registry's clock cannot be read; it is found out anew");
        None
    })
}

/// The door's clock, with what an earlier run knew of whether its time is right.
pub(super) async fn held_clock(store: &dyn Store, clock: Clock) -> Arc<HeldClock> {
    let last = async {
        Ok::<_, StoreError>(match store.kept_time().await? {
            Some(last) => Some(last),
            // Before that was kept, the registry's clock was: at a time of the door's.
            None => store.kept_clock().await?.map(|estimate| estimate.at),
        })
    };
    let last = last.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the last time of the door's clock cannot be read; for an hour nothing is deleted because it is old");
        Some(Timestamp::from_milliseconds(0))
    });
    Arc::new(HeldClock::new(clock, last))
}

/// Looks at the door's clock again and again until told to stop, and keeps the time that has held for the next run.
pub(super) async fn watch_time(held: Arc<HeldClock>, store: Arc<dyn Store>, stop: CancellationToken) {
    let keep = async || {
        if let Err(error) = store.keep_time(held.last()).await {
            tracing::debug!(%error, "the time cannot be kept");
        }
    };
    let watching = async {
        loop {
            keep().await;
            for _ in 0..KEEP_TIME {
                tokio::time::sleep(CLOCK_PACE).await;
                held.now();
            }
        }
    };
    stop.run_until_cancelled(watching).await;
    keep().await;
}

/// How often the clocks are looked at.
const CLOCK_PACE: Duration = Duration::from_secs(5);
/// After how many looks the time is kept: every minute.
const KEEP_TIME: u32 = 12;
/// How often what is known of them is kept.
const KEEP_CLOCK: Duration = Duration::from_secs(10 * 60);

/// Says how far the registry's clock is off, again and again until told to stop; loudly when it becomes more than `warn`.
pub(super) async fn watch_clock(
    asking: Asking,
    warn: Duration,
    store: Arc<dyn Store>,
    stop: CancellationToken,
) {
    let known = || asking.offset.seen_from(asking.clock);
    let watching = async {
        let mut is_told = false;
        let mut kept = Instant::now();
        loop {
            tokio::time::sleep(CLOCK_PACE).await;
            let Some(estimate) = known() else { continue };
            if kept.elapsed() > KEEP_CLOCK {
                kept = Instant::now();
                keep(store.as_ref(), estimate).await;
            }
            let ClockStatus { offset_seconds, bound_seconds } = estimate.into();
            metrics::gauge!("portreeve_registry_clock_offset_seconds").set(offset_seconds);
            metrics::gauge!("portreeve_registry_clock_offset_bound_seconds").set(bound_seconds);
            let is_beyond = !warn.is_zero() && estimate.is_beyond(warn);
            if is_beyond && !is_told {
                tracing::warn!(
                    offset_seconds,
                    bound_seconds,
                    "the registry's clock is off by more than clock.warn; tokens work all the same"
                );
            } else if is_told && !is_beyond {
                tracing::info!(offset_seconds, bound_seconds, "the registry's clock is right again");
            }
            is_told = is_beyond;
        }
    };
    stop.run_until_cancelled(watching).await;
    if let Some(estimate) = known() {
        keep(store.as_ref(), estimate).await;
    }
}

async fn keep(store: &dyn Store, estimate: Estimate) {
    if let Err(error) = store.keep_clock(estimate).await {
        tracing::debug!(%error, "what is known of the registry's clock cannot be kept");
    }
}

/// How the registry is asked, for a command that only asks.
pub(super) fn asking(config: &Config) -> Result<Asking, StartError> {
    Ok(Foundation::lay(config, None)?.asking)
}

/// Looks at the registry's clock before the first token is made for it. A registry that does not answer is looked at by
/// the health checks, before anything else can be asked of it.
pub(super) async fn read_clock(registry: &RegistryClient, asking: &Asking) {
    if let Login::Token(_) = &*asking.login
        && let Some(backend) = registry.backends().all().first()
    {
        backend.note_presence(registry.probe(backend).await);
    }
}

/// What both the gate and the questions to the registry stand on.
struct Foundation {
    asking: Asking,
    issuer: Option<Arc<Issuer>>,
}

impl Foundation {
    fn lay(config: &Config, known: Option<Estimate>) -> Result<Self, StartError> {
        let clock = Clock::shifted(config.clock.offset);
        let offset = Arc::new(known.map_or_else(ClockOffset::default, ClockOffset::remembered));
        let needs_keys = config.auth.is_on || config.registry.auth == RegistryAuth::Token;
        let keys = needs_keys.then(|| key_directory(config));
        let issuer = match &keys {
            Some(keys) => Some(Arc::new(Issuer::new(token_settings(config), keys.open(clock.now())?, clock))),
            None => None,
        };
        let kind = match config.registry.kind {
            config::RegistryKind::Registry => RegistryKind::Registry,
            config::RegistryKind::Proxy => RegistryKind::Proxy,
        };
        let login = match (&config.registry.auth, &issuer) {
            (RegistryAuth::Basic { username, password }, _) => Login::basic(username, password.reveal()),
            (RegistryAuth::Token, Some(issuer)) => {
                Login::Token(Box::new(RegistryTokens::new(Arc::clone(issuer), clock, Arc::clone(&offset))))
            }
            (RegistryAuth::None | RegistryAuth::Token, _) => Login::None,
        };
        let asking = Asking { kind, login: Arc::new(login), clock, offset };
        Ok(Self { asking, issuer })
    }
}

/// Half of the processors: a flood of logins leaves the other half to everything else.
fn hashing_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// Where the keys are.
pub(super) fn key_directory(config: &Config) -> KeyDirectory {
    let algorithm = match config.auth.algorithm {
        Algorithm::Es256 => KeyAlgorithm::Es256,
        Algorithm::EdDsa => KeyAlgorithm::EdDsa,
        Algorithm::Rs256 => KeyAlgorithm::Rs256,
    };
    let path = config.auth.keys.clone().unwrap_or_else(|| {
        let StoreUrl::Redb(path) = &config.store.url;
        let mut path = path.clone().into_os_string();
        path.push(".keys");
        PathBuf::from(path)
    });
    // Uploads go on with tokens that have expired, so their keys are needed as long.
    let keep = config.auth.token_ttl + config.auth.leeway + config.auth.upload_grace;
    KeyDirectory::new(path, algorithm, keep)
}

fn token_settings(config: &Config) -> TokenSettings {
    TokenSettings {
        issuer: config.auth.issuer.clone(),
        service: config.auth.service.clone(),
        ttl: config.auth.token_ttl,
        leeway: config.auth.leeway,
        carries_certificate: config.auth.verified_by == VerifiedBy::Certificates,
    }
}

/// The rules and groups of a configuration.
pub(super) fn policy(auth: &config::Auth) -> Result<Policy, StartError> {
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for (group, users) in &auth.groups {
        for user in users {
            groups.entry(user.clone()).or_default().push(group.clone());
        }
    }
    let rules = Rules::new(auth.rules.iter().map(rule).collect())?;
    Ok(Policy { rules, groups })
}

fn rule(rule: &AuthRule) -> Rule {
    let who = |principal: &Principal| match principal {
        Principal::User(user) => Who::User(user.clone()),
        Principal::Group(group) => Who::Group(group.clone()),
        Principal::Anonymous => Who::Anonymous,
        Principal::Everybody => Who::Everybody,
    };
    let chosen = [(rule.pull, Action::Pull), (rule.push, Action::Push), (rule.delete, Action::Delete)];
    let actions: Vec<Action> = chosen.into_iter().filter_map(|(is, action)| is.then_some(action)).collect();
    Rule {
        who: rule.who.iter().map(who).collect(),
        repositories: rule.repositories.clone(),
        actions: Actions::of(&actions),
        catalog: rule.catalog,
        admin: rule.admin,
        deny: rule.deny,
    }
}
