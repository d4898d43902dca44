//! Authentication and authorization as the configuration has them: the accounts of the store, and the gate of a door.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::registry_access::RegistryAccess;
use super::start_error::StartError;
use super::token_watch;
use crate::auth::{
    AccessTokens, AccountError, Accounts, Authenticator, DisabledUsers, Gate, GateParts, Hashing, Htpasswd,
    IdentitySource, InvalidRule, Journal, LoginKind, LoginLife, Logins, Names, Policy, Rule, Rules,
    StoredUsers, TargetSeal, UploadMarks, UserName, Who, follow_other_doors,
};
use crate::clock::{Clock, RetentionClock};
use crate::config::{AuthRule, Config, ConfigError, Principal, UserSource};
use crate::files::RereadRequests;
use crate::oci::{Action, Actions};
use crate::store::Store;
use crate::telemetry::FailureLog;

/// After which time users are marked again, when the store could not be written.
const MARK_AGAIN: Duration = Duration::from_secs(30);
/// How often the logins are searched for those that are over.
const PURGE_LOGINS: Duration = Duration::from_hours(1);

/// Users and tokens in the store, with their journal.
pub(super) fn accounts(
    config: &Config,
    store: &Arc<dyn Store>,
    retention_clock: Arc<RetentionClock>,
) -> Arc<Accounts> {
    let clock = Clock::shifted(config.clock.offset);
    let journal = Arc::new(Journal::new(clock, config.auth.events_age).with_retention_clock(retention_clock));
    Arc::new(Accounts::new(Arc::clone(store) as _, journal, clock).shared(store.is_shared()))
}

/// What decides about the clients of a door.
pub(super) struct AuthSetup {
    /// None for an open door.
    pub gate: Option<Arc<Gate>>,
    /// Hides targets of the registry's own in URLs of the door.
    pub seal: Arc<TargetSeal>,
    htpasswd: Option<Arc<Htpasswd>>,
    /// The users of the store, where the file of users is asked before them.
    superseded: Option<Arc<Accounts>>,
    retention_clock: Arc<RetentionClock>,
}

impl AuthSetup {
    /// Makes the gate from what the configuration named, and from the secret beside the keys: an open door has no keys, but the
    /// secret all the same.
    ///
    /// # Errors
    /// When the secret cannot be used.
    pub(super) fn build(
        config: &Config,
        secret: &[u8; 32],
        prepared: Option<PreparedAuth>,
        access: &RegistryAccess,
        accounts: &Arc<Accounts>,
        retention_clock: Arc<RetentionClock>,
    ) -> Result<Self, StartError> {
        let seal = Arc::new(TargetSeal::new(secret)?);
        let (Some(issuer), Some(prepared)) = (access.issuer.clone(), prepared) else {
            return Ok(Self { gate: None, seal, htpasswd: None, superseded: None, retention_clock });
        };
        let PreparedAuth { hashing, htpasswd, policy } = prepared;
        let sources = identity_sources(config, accounts, htpasswd.as_ref(), &hashing);
        let gate = Arc::new(Gate::new(GateParts {
            authenticator: Authenticator::new(sources, hashing, config.auth.lockout)?,
            issuer,
            marks: UploadMarks::new(secret, config.auth.upload_grace),
            clock: access.settings.clock,
            external: external_origin(config),
            logins: Logins {
                accounts: Arc::clone(accounts),
                life: LoginLife { idle: config.auth.refresh_idle, lifetime: config.auth.refresh_lifetime },
                sessions: LoginLife { idle: config.sessions.idle, lifetime: config.sessions.lifetime },
                has_pages: config.pages.enabled,
            },
            policy,
        }));
        let names: Arc<dyn Names> = Arc::clone(&gate) as _;
        accounts.journal().ask_for_names(Arc::downgrade(&names));
        let superseded = config.auth.sources.starts_with(&[UserSource::Htpasswd, UserSource::Store]);
        let superseded = superseded.then(|| Arc::clone(accounts));
        Ok(Self { gate: Some(gate), seal, htpasswd, superseded, retention_clock })
    }

    /// Starts what follows the file of users, and what removes logins that are over.
    pub(super) fn run(&self, background: &TaskTracker, requests: &RereadRequests, stop: &CancellationToken) {
        if let Some(gate) = &self.gate {
            let clock = Arc::clone(&self.retention_clock);
            background.spawn(purge_logins(Arc::clone(gate), clock, stop.clone()));
            let accounts = &gate.logins.accounts;
            background.spawn(token_watch::run(Arc::clone(accounts), stop.clone()));
            background.spawn(follow_other_doors(Arc::clone(accounts), stop.clone()));
        }
        if let Some(htpasswd) = &self.htpasswd {
            background.spawn(Arc::clone(htpasswd).watch(requests.clone(), stop.clone()));
            if let Some(accounts) = &self.superseded {
                background.spawn(supersede(Arc::clone(htpasswd), Arc::clone(accounts), stop.clone()));
            }
        }
    }
}

/// Scheme and authority by which clients know the door, where that is configured.
pub(super) fn external_origin(config: &Config) -> Option<String> {
    config.external_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned())
}

/// The sources of users, in the order in which they are asked: before all who is let in by none; and access tokens, which are
/// known by their form.
fn identity_sources(
    config: &Config,
    accounts: &Arc<Accounts>,
    htpasswd: Option<&Arc<Htpasswd>>,
    hashing: &Hashing,
) -> Vec<Arc<dyn IdentitySource>> {
    let mut sources: Vec<Arc<dyn IdentitySource>> =
        vec![Arc::new(DisabledUsers(Arc::clone(accounts))), Arc::new(AccessTokens(Arc::clone(accounts)))];
    for source in &config.auth.sources {
        match source {
            UserSource::Htpasswd => {
                sources.extend(htpasswd.map(|users| Arc::clone(users) as Arc<dyn IdentitySource>));
            }
            UserSource::Store => {
                sources.push(Arc::new(StoredUsers::new(Arc::clone(accounts), hashing.clone())));
            }
        }
    }
    sources
}

/// Each time the file of users was read, has passwords of the store count no more of users whose names are in it.
async fn supersede(htpasswd: Arc<Htpasswd>, accounts: Arc<Accounts>, stop: CancellationToken) {
    let superseding = async {
        loop {
            match accounts.supersede(&htpasswd.names()).await {
                Ok(names) if names.is_empty() => htpasswd.read_again_notified().await,
                Ok(names) => {
                    for user in names {
                        tracing::warn!(
                            %user,
                            "auth.htpasswd has a user whom the store has as well: the password in the store counts no more, also \
                             once the file does not have the user; `portreeve user passwd` gives another one"
                        );
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "users of the store whom auth.htpasswd has cannot be marked; it is tried again");
                    tokio::time::sleep(MARK_AGAIN).await;
                }
            }
        }
    };
    stop.run_until_cancelled(superseding).await;
}

async fn purge_logins(gate: Arc<Gate>, clock: Arc<RetentionClock>, stop: CancellationToken) {
    let Logins { accounts, .. } = &gate.logins;
    let purge = async || {
        let mut removed = 0;
        for kind in LoginKind::ALL {
            removed += accounts.purge_logins(kind, gate.logins.life_of(kind), &clock).await?;
        }
        Ok::<_, AccountError>(removed)
    };
    let purging = async {
        let failures = FailureLog::new();
        loop {
            match purge().await {
                Ok(removed) => {
                    failures.worked();
                    if removed > 0 {
                        tracing::info!(removed, "logins that were over were removed");
                    }
                }
                Err(error) if failures.failed(&error) => {
                    tracing::warn!(%error, "logins that are over cannot be removed; it is tried again");
                }
                Err(_) => {}
            }
            tokio::time::sleep(PURGE_LOGINS).await;
        }
    };
    stop.run_until_cancelled(purging).await;
}

/// Half of the processors: a flood of logins leaves the other half to everything else.
fn hashing_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// Users and rules, as a configuration with `auth.mode = "on"` names them.
pub(super) struct PreparedAuth {
    hashing: Hashing,
    htpasswd: Option<Arc<Htpasswd>>,
    /// Rules and groups.
    pub(super) policy: Policy,
}

impl PreparedAuth {
    /// The names in the file of users.
    pub(super) fn names_in_file(&self) -> Vec<UserName> {
        self.htpasswd.as_ref().map(|users| users.names()).unwrap_or_default()
    }

    /// Reads users and rules, and starts the threads that hash passwords. None for an open door.
    ///
    /// # Errors
    /// Every rule that is wrong, a file of users that cannot be used, or threads that the system refuses.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, StartError> {
        if !config.auth.is_on {
            return Ok(None);
        }
        let hashing = Hashing::start(hashing_threads())?;
        let htpasswd = config.auth.htpasswd.clone().map(|path| {
            Htpasswd::load(path, hashing.clone())
                .map(Arc::new)
                .map_err(|error| config.problem("auth.htpasswd", error.to_string()))
        });
        match (policy(config), htpasswd.transpose()) {
            (Ok(policy), Ok(htpasswd)) => Ok(Some(Self { hashing, htpasswd, policy })),
            (Ok(_), Err(problem)) => Err(ConfigError::new(vec![problem]).into()),
            (Err(error), Ok(_)) => Err(error.into()),
            (Err(error), Err(problem)) => {
                Err(ConfigError::new([error.problems(), &[problem]].concat()).into())
            }
        }
    }
}

/// The rules and groups of a configuration.
///
/// # Errors
/// Every rule that is wrong.
pub(super) fn policy(config: &Config) -> Result<Policy, ConfigError> {
    let auth = &config.auth;
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for (group, users) in &auth.groups {
        for user in users {
            groups.entry(user.clone()).or_default().push(group.clone());
        }
    }
    let rules = Rules::new(auth.rules.iter().map(rule).collect()).map_err(|wrong| {
        let problem = |wrong: InvalidRule| {
            let path = format!("auth.rules[{}].repositories", wrong.number - 1);
            config.problem(&path, wrong.to_string())
        };
        ConfigError::new(wrong.into_iter().map(problem).collect())
    })?;
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
