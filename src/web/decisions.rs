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
    Accounts, DecidedBy, Decision, Gate, Identity, KnownToken, Origin, Policy, Privilege, Rule, Subject,
    TokenFilter, TokenKind, UserName,
};
use crate::oci::{Action, RepositoryName};
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
    /// Those of their source, and those that the configuration names.
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
    /// The number of the rule that decides; nothing where none does.
    pub(super) rule: Option<usize>,
    /// The access token of a robot that is asked about.
    pub(super) token: Option<String>,
    /// What decides, for people.
    pub(super) reason: String,
}

impl DecisionItem {
    fn new(action: &'static str, Decision { allowed, by }: Decision, token: Option<&str>) -> Self {
        let verb = if allowed { "allows" } else { "denies" };
        let (rule, reason) = match (by, token) {
            (DecidedBy::Rule(rule), _) => (Some(rule), format!("rule {rule} {verb} it")),
            (DecidedBy::AccessToken, token) => {
                let token = token.map(|token| format!(" {token}")).unwrap_or_default();
                let verb = if allowed { "allows" } else { "does not allow" };
                (None, format!("the access token{token} {verb} it"))
            }
            (DecidedBy::NoRule, _) => (None, "no rule allows it".to_owned()),
        };
        Self { action, allowed, rule, token: token.map(str::to_owned), reason }
    }

    /// Of somebody who is not let in.
    fn kept_out(action: &'static str, token: Option<&str>, reason: String) -> Self {
        Self { action, allowed: false, rule: None, token: token.map(str::to_owned), reason }
    }
}

/// What is asked about: actions on a repository, if one is named, and privileges.
struct Question<'a> {
    policy: &'a Policy,
    repository: Option<&'a RepositoryName>,
}

impl Question<'_> {
    const PRIVILEGES: [(Privilege, &'static str); 2] =
        [(Privilege::Catalog, "catalog"), (Privilege::Admin, "admin")];

    /// What the door decides about somebody whom it knows so.
    fn decided(&self, subject: &Subject, token: Option<&str>) -> Vec<DecisionItem> {
        let rules = &self.policy.rules;
        let on_it = self.repository.into_iter().flat_map(|repository| rules.decisions(subject, repository));
        let on_it = on_it.map(|(action, decision)| DecisionItem::new(action.as_str(), decision, token));
        let privileges = Self::PRIVILEGES.map(|(privilege, name)| {
            DecisionItem::new(name, rules.decision_about(subject, privilege), token)
        });
        on_it.chain(privileges).collect()
    }

    /// The same of somebody whom it does not let in.
    fn kept_out(&self, token: Option<&str>, reason: &str) -> Vec<DecisionItem> {
        let on_it = self.repository.into_iter().flat_map(|_| Action::ALL).map(Action::as_str);
        let all = on_it.chain(Self::PRIVILEGES.map(|(_, name)| name));
        all.map(|action| DecisionItem::kept_out(action, token, reason.to_owned())).collect()
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
    let question = Question { policy: &policy, repository: repository.as_ref() };
    if user == ANONYMOUS {
        let decisions = question.decided(&Subject::Anonymous, None);
        return Ok(Decided { known: true, disabled: false, groups: Vec::new(), decisions });
    }
    let name = UserName::parse(user).map_err(|error| invalid("user", error.into()))?;
    let mut groups = policy.with_groups(Identity::new(name.clone(), Vec::new())).groups;
    let mut decisions = Vec::new();
    let filter = TokenFilter { kinds: vec![TokenKind::Robot], name: Some(name.clone()), proof: None };
    let robot = accounts.tokens(&filter, PageRequest { after: None, limit: TOKENS }).await?.items;
    for token in &robot {
        let KnownToken::Access { token, .. } = token else { continue };
        let origin = Origin::AccessToken(token.id.clone());
        decisions.extend(match gate.still_known(name.clone(), Some(&origin)).await? {
            Some(bearer) => question.decided(&Subject::Known(bearer), Some(&token.id)),
            None if token.is_expired => {
                question.kept_out(Some(&token.id), &format!("the access token {} has expired", token.id))
            }
            None => question.kept_out(Some(&token.id), "no robot is let in that has a user's name"),
        });
    }
    let disabled = !accounts.disabled_among(&[&name]).await?.is_empty();
    let user = gate.still_known(name.clone(), None).await?;
    let is_user = user.is_some() || gate.authenticator.has_user(&name).await?;
    match user {
        Some(user) => {
            groups.clone_from(&user.groups);
            decisions.extend(question.decided(&Subject::Known(user), None));
        }
        None if disabled => decisions.extend(question.kept_out(None, "the user is disabled")),
        None if is_user => decisions.extend(question.kept_out(None, "the user may not log in")),
        // A user of that name.
        None if robot.is_empty() => {
            let user = policy.with_groups(Identity::new(name, Vec::new()));
            decisions.extend(question.decided(&Subject::Known(user), None));
        }
        None => {}
    }
    Ok(Decided { known: is_user || !robot.is_empty(), disabled, groups, decisions })
}
