//! `GET /api/v1/access`: the rules as they are read, and which of them decides what somebody may do. For administrators.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::error::ApiError;
use super::parameters::Parameters;
use super::state::WebState;
use crate::auth::{
    Accounts, Decision, Gate, Identity, KnownToken, Policy, Privilege, Rule, Subject, TokenFilter, TokenKind,
    UserName,
};
use crate::oci::{Action, Actions, RepositoryName};
use crate::store::PageRequest;

/// Who has not logged in, in the place of a name.
const ANONYMOUS: &str = "anonymous";
/// As many access tokens as a robot may have.
const TOKENS: usize = 100;

/// The rules, and what they decide.
#[derive(Serialize, ToSchema)]
pub(super) struct AccessAnswer {
    /// As they stand in the configuration.
    rules: Vec<RuleItem>,
    /// The groups of the configuration, with their users.
    groups: BTreeMap<String, Vec<String>>,
    /// What the user may do who was asked for.
    decided: Option<Decided>,
}

/// A rule.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleItem {
    /// Counted from one.
    pub(super) number: usize,
    /// `alice`, `group:ci`, `anonymous` for everybody, `*` for everybody who has logged in.
    pub(super) who: Vec<String>,
    /// Patterns.
    pub(super) repositories: Vec<String>,
    /// `pull`, `push`, `delete`, `catalog`, `admin`.
    pub(super) actions: Vec<&'static str>,
    /// Whether it forbids.
    pub(super) deny: bool,
}

impl RuleItem {
    fn new(number: usize, rule: &Rule) -> Self {
        let privileges = [(rule.catalog, "catalog"), (rule.admin, "admin")];
        let privileges = privileges.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name);
        Self {
            number,
            who: rule.who.iter().map(ToString::to_string).collect(),
            repositories: rule.repositories.clone(),
            actions: rule.actions.iter().map(Action::as_str).chain(privileges).collect(),
            deny: rule.deny,
        }
    }
}

/// What somebody may do, and why.
#[derive(Serialize, ToSchema)]
pub(super) struct Decided {
    /// Whether anybody has the name.
    pub(super) known: bool,
    /// Whether they are disabled, so that they may do nothing of it now.
    pub(super) disabled: bool,
    pub(super) groups: Vec<String>,
    /// `pull`, `push` and `delete` for the repository that was asked for, `catalog` and `admin`; of a robot for each of its access
    /// tokens.
    pub(super) decisions: Vec<DecisionItem>,
}

/// Whether something is allowed, and by what.
#[derive(Serialize, ToSchema)]
pub(super) struct DecisionItem {
    #[schema(value_type = String)]
    pub(super) action: &'static str,
    pub(super) allowed: bool,
    /// The number of the rule that decides; nothing where no rule speaks of it.
    pub(super) rule: Option<usize>,
    /// The access token of a robot that is asked about.
    pub(super) token: Option<String>,
}

impl DecisionItem {
    fn new(action: &'static str, Decision { allowed, rule }: Decision) -> Self {
        Self { action, allowed, rule, token: None }
    }

    /// For people.
    pub(super) fn reason(&self) -> String {
        match (self.rule, &self.token) {
            (Some(rule), _) if self.allowed => format!("rule {rule} allows it"),
            (Some(rule), _) => format!("rule {rule} denies it"),
            (None, Some(token)) if self.allowed => format!("the access token {token} allows it"),
            (None, Some(token)) => format!("the access token {token} does not allow it"),
            (None, None) => "no rule allows it".to_owned(),
        }
    }
}

/// Shows the rules, and which of them decides what a user or robot may do.
#[utoipa::path(
    get, path = "/api/v1/access", tag = "accounts",
    params(
        ("user" = Option<String>, Query, description = "The name of a user or robot, or `anonymous`."),
        ("repository" = Option<RepositoryName>, Query, description = "What they may do to this repository.")
    ),
    responses((status = 200, description = "The rules, and what they decide.", body = AccessAnswer))
)]
pub(super) async fn show(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<AccessAnswer>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["user", "repository"])?;
    let gate = caller.gate()?;
    let decided = match parameters.text("user") {
        Some(user) => Some(decided(gate, &state.accounts, user, parameters.text("repository")).await?),
        None if parameters.text("repository").is_some() => {
            return Err(ApiError::MissingParameter { name: "user" });
        }
        None => None,
    };
    Ok(Json(AccessAnswer { rules: rules(gate), groups: groups(gate), decided }))
}

/// The rules, in their order.
pub(super) fn rules(gate: &Gate) -> Vec<RuleItem> {
    let policy = gate.policy();
    (1..).zip(policy.rules.all()).map(|(number, rule)| RuleItem::new(number, rule)).collect()
}

/// The groups of the configuration.
pub(super) fn groups(gate: &Gate) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, groups) in &gate.policy().groups {
        for group in groups {
            all.entry(group.clone()).or_default().push(user.clone());
        }
    }
    all.values_mut().for_each(|users| users.sort_unstable());
    all
}

/// What somebody may do: to a repository, if one is named, and at all.
pub(super) async fn decided(
    gate: &Gate,
    accounts: &Accounts,
    user: &str,
    repository: Option<&str>,
) -> Result<Decided, ApiError> {
    let invalid = |name, error: Box<dyn std::error::Error + Send + Sync>| ApiError::InvalidParameter {
        name,
        source: error,
    };
    let repository = repository.map(RepositoryName::parse).transpose();
    let repository = repository.map_err(|error| invalid("repository", error.into()))?;
    let policy = gate.policy();
    if user == ANONYMOUS {
        let decisions = of_rules(&policy, &Subject::Anonymous, repository.as_ref());
        return Ok(Decided { known: true, disabled: false, groups: Vec::new(), decisions });
    }
    let name = UserName::parse(user).map_err(|error| invalid("user", error.into()))?;
    let filter = TokenFilter { kinds: vec![TokenKind::Robot], name: Some(name.clone()) };
    let robot = accounts.tokens(&filter, PageRequest { after: None, limit: TOKENS }).await?.items;
    if !robot.is_empty() {
        let decisions = robot.iter().flat_map(|token| of_token(&policy, &name, token, repository.as_ref()));
        return Ok(Decided {
            known: true,
            disabled: false,
            groups: Vec::new(),
            decisions: decisions.collect(),
        });
    }
    let known = gate.authenticator.has_user(&name).await?;
    let disabled = !accounts.disabled_among(&[&name]).await?.is_empty();
    let mut groups = gate.configured_groups(&name);
    if let Some(stored) = accounts.user(&name).await? {
        let news: Vec<String> = stored.groups.into_iter().filter(|group| !groups.contains(group)).collect();
        groups.extend(news);
    }
    let subject = Subject::Known(Identity::new(name, groups.clone()));
    Ok(Decided { known, disabled, groups, decisions: of_rules(&policy, &subject, repository.as_ref()) })
}

fn of_rules(policy: &Policy, subject: &Subject, repository: Option<&RepositoryName>) -> Vec<DecisionItem> {
    let on_it = repository.into_iter().flat_map(|repository| {
        Action::ALL.map(|action| {
            DecisionItem::new(action.as_str(), policy.rules.explain(subject, repository, action))
        })
    });
    let privileges = [(Privilege::Catalog, "catalog"), (Privilege::Admin, "admin")]
        .map(|(privilege, name)| DecisionItem::new(name, policy.rules.explain_privilege(subject, privilege)));
    on_it.chain(privileges).collect()
}

/// What a robot may do by one of its tokens: what the token says, unless a rule denies it.
fn of_token(
    policy: &Policy,
    name: &UserName,
    token: &KnownToken,
    repository: Option<&RepositoryName>,
) -> Vec<DecisionItem> {
    let (Some(repository), KnownToken::Access { token, .. }) = (repository, token) else { return Vec::new() };
    let limits = Some(token.limits(true));
    let subject = Subject::Known(Identity { limits, ..Identity::new(name.clone(), Vec::new()) });
    let may = policy.rules.actions(&subject, repository);
    let decide = |action: Action| {
        let of_rules = policy.rules.explain(&subject, repository, action);
        DecisionItem {
            action: action.as_str(),
            allowed: !token.is_expired && may.has_all(Actions::of(&[action])),
            // What rules allow, no robot has by them.
            rule: of_rules.rule.filter(|_| !of_rules.allowed),
            token: Some(token.id.clone()),
        }
    };
    Action::ALL.map(decide).into()
}
