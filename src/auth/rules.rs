//! Rules: who may do what to which repositories. Nothing is allowed that no rule allows, and what one rule denies no other
//! allows.

use std::collections::HashMap;
use std::fmt;

use super::pattern::{InvalidPattern, Pattern};
use super::subject::{Identity, Subject};
use crate::oci::{Access, Action, Actions, RepositoryName};

/// A rule as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// For whom.
    pub who: Vec<Who>,
    /// Patterns of repository names; `${user}` and `${group}` stand for the name and for each group of the caller.
    pub repositories: Vec<String>,
    /// Which actions on them.
    pub actions: Actions,
    /// Whether it is about the catalog too.
    pub catalog: bool,
    /// Whether it is about running the door too.
    pub admin: bool,
    /// Whether it forbids instead of allowing.
    pub deny: bool,
}

/// What a rule allows beside actions on repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// To list all repositories.
    Catalog,
    /// To administer the door. Only callers who have logged in can have it.
    Admin,
}

impl Privilege {
    const fn is_in(self, rule: &Rule) -> bool {
        match self {
            Self::Catalog => rule.catalog,
            Self::Admin => rule.admin,
        }
    }
}

/// For whom a rule is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// One user.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// Everybody, with or without credentials.
    Anonymous,
    /// Everybody who has logged in.
    Everybody,
}

impl fmt::Display for Who {
    /// As the configuration writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => formatter.write_str(name),
            Self::Group(name) => write!(formatter, "group:{name}"),
            Self::Anonymous => formatter.write_str("anonymous"),
            Self::Everybody => formatter.write_str("*"),
        }
    }
}

/// A rule with a pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`auth.rules`, rule {number}: `{pattern}` is no pattern of repository names: {source}")]
pub struct InvalidRule {
    /// Counted from one.
    pub number: usize,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub source: InvalidPattern,
}

/// All rules, ready to be asked.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Prepared>,
    by_who: HashMap<Who, Vec<usize>>,
}

#[derive(Debug)]
struct Prepared {
    rule: Rule,
    patterns: Vec<Pattern>,
}

/// What is decided, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is allowed.
    pub allowed: bool,
    /// What decided.
    pub by: DecidedBy,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// The rule with this number, counted from one.
    Rule(usize),
    /// The access token that the caller came with: what it is for.
    AccessToken,
    /// No rule speaks of it, so it is refused.
    NoRule,
}

impl Decision {
    const fn allowed(by: DecidedBy) -> Self {
        Self { allowed: true, by }
    }

    const fn refused(by: DecidedBy) -> Self {
        Self { allowed: false, by }
    }

    const fn is_denied_by_a_rule(self) -> bool {
        matches!(self, Self { allowed: false, by: DecidedBy::Rule(_) })
    }
}

/// The first rule that speaks of each action, counted from one.
#[derive(Default)]
struct FirstRules {
    actions: Actions,
    rules: [Option<usize>; Action::ALL.len()],
}

impl FirstRules {
    fn add(&mut self, number: usize, actions: Actions) {
        self.actions = self.actions.or(actions);
        for (first, action) in self.rules.iter_mut().zip(Action::ALL) {
            if actions.has_all(Actions::of(&[action])) {
                first.get_or_insert(number);
            }
        }
    }
}

impl Rules {
    /// Prepares rules.
    ///
    /// # Errors
    /// When a pattern is none.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Vec<InvalidRule>> {
        let mut by_who: HashMap<Who, Vec<usize>> = HashMap::new();
        let mut prepared = Vec::with_capacity(rules.len());
        let mut wrong = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            let mut patterns = Vec::with_capacity(rule.repositories.len());
            for text in &rule.repositories {
                match Pattern::parse(text) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(source) => {
                        wrong.push(InvalidRule { number: index + 1, pattern: text.clone(), source });
                    }
                }
            }
            for who in &rule.who {
                by_who.entry(who.clone()).or_default().push(index);
            }
            prepared.push(Prepared { rule, patterns });
        }
        if wrong.is_empty() { Ok(Self { rules: prepared, by_who }) } else { Err(wrong) }
    }

    /// The rules that apply to the caller.
    fn of<'a>(&'a self, subject: &Subject) -> Vec<(usize, &'a Prepared)> {
        let mut keys = vec![Who::Anonymous];
        if let Subject::Known(Identity { name, groups, .. }) = subject {
            keys.extend([Who::Everybody, Who::User(name.to_string())]);
            keys.extend(groups.iter().cloned().map(Who::Group));
        }
        let mut numbers: Vec<usize> =
            keys.iter().filter_map(|who| self.by_who.get(who)).flatten().copied().collect();
        if *subject == Subject::Anonymous {
            // A user who is kept out when logged in does not get in by logging out.
            let denials = self.by_who.get(&Who::Everybody).into_iter().flatten().copied();
            numbers.extend(denials.filter(|number| self.rules[*number].rule.deny));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().filter_map(|number| Some((number, self.rules.get(number)?))).collect()
    }

    /// The rules that apply to the caller, with their numbers, counted from one.
    pub fn applying<'a>(&'a self, subject: &Subject) -> impl Iterator<Item = (usize, &'a Rule)> {
        self.of(subject).into_iter().map(|(index, prepared)| (index + 1, &prepared.rule))
    }

    /// The rules, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|prepared| &prepared.rule)
    }

    /// For whom there are rules.
    pub fn named(&self) -> impl Iterator<Item = &Who> {
        self.by_who.keys()
    }

    /// What is decided about each action on a repository. Whatever the door lets pass, and whatever tells why, asks here.
    pub fn decisions(
        &self,
        subject: &Subject,
        repository: &RepositoryName,
    ) -> [(Action, Decision); Action::ALL.len()] {
        let (mut allowing, mut denying) = (FirstRules::default(), FirstRules::default());
        for (index, Prepared { rule, patterns }) in self.of(subject) {
            let first = if rule.deny { &mut denying } else { &mut allowing };
            if !first.actions.has_all(rule.actions)
                && patterns.iter().any(|pattern| pattern.matches(subject.variables(), repository))
            {
                first.add(index + 1, rule.actions);
            }
        }
        let limits = match subject {
            Subject::Known(Identity { limits, .. }) => limits.as_ref(),
            Subject::Anonymous => None,
        };
        let within = limits.map(|limits| {
            let is_within =
                limits.repositories.iter().any(|pattern| pattern.matches(subject.variables(), repository));
            (limits.is_own, if is_within { limits.actions } else { Actions::NONE })
        });
        std::array::from_fn(|index| {
            let action = Action::ALL[index];
            let has = |within: Actions| within.has_all(Actions::of(&[action]));
            let decision = match (denying.rules[index], allowing.rules[index], within) {
                (Some(rule), ..) => Decision::refused(DecidedBy::Rule(rule)),
                (None, _, Some((true, within))) if has(within) => Decision::allowed(DecidedBy::AccessToken),
                (None, _, Some((true, _))) => Decision::refused(DecidedBy::AccessToken),
                (None, Some(_), Some((false, within))) if !has(within) => {
                    Decision::refused(DecidedBy::AccessToken)
                }
                (None, Some(rule), _) => Decision::allowed(DecidedBy::Rule(rule)),
                (None, None, _) => Decision::refused(DecidedBy::NoRule),
            };
            (action, decision)
        })
    }

    /// What the caller may do to a repository.
    pub fn actions(&self, subject: &Subject, repository: &RepositoryName) -> Actions {
        let decisions = self.decisions(subject, repository).into_iter();
        let allowed = decisions.filter(|(_, decision)| decision.allowed);
        allowed.fold(Actions::NONE, |actions, (action, _)| actions.or(Actions::of(&[action])))
    }

    /// Whether whoever has not logged in may pull anything.
    pub fn allow_anonymous_pulls(&self) -> bool {
        self.of(&Subject::Anonymous).iter().any(|(_, Prepared { rule, patterns })| {
            !rule.deny && !patterns.is_empty() && rule.actions.has_all(Actions::of(&[Action::Pull]))
        })
    }

    /// Whether the caller has a privilege.
    pub fn has(&self, subject: &Subject, privilege: Privilege) -> bool {
        self.decision_about(subject, privilege).allowed
    }

    /// What is decided about a privilege.
    pub fn decision_about(&self, subject: &Subject, privilege: Privilege) -> Decision {
        let mut decision = Decision::refused(DecidedBy::NoRule);
        for (index, Prepared { rule, .. }) in self.of(subject) {
            let by = DecidedBy::Rule(index + 1);
            match privilege.is_in(rule) {
                true if rule.deny => return Decision::refused(by),
                true if !decision.allowed => decision = Decision::allowed(by),
                _ => {}
            }
        }
        match (subject, privilege) {
            // It is for repositories.
            (Subject::Known(Identity { limits: Some(_), .. }), _) => {
                Decision::refused(DecidedBy::AccessToken)
            }
            (Subject::Anonymous, Privilege::Admin) => Decision::refused(DecidedBy::NoRule),
            (Subject::Known(_), _) | (Subject::Anonymous, Privilege::Catalog) => decision,
        }
    }

    /// Whether a rule takes the sight of the catalog away.
    fn is_catalog_denied(&self, subject: &Subject) -> bool {
        self.decision_about(subject, Privilege::Catalog).is_denied_by_a_rule()
    }

    /// The part of what is asked for that is allowed; what is not allowed at all is left out.
    pub fn grant(&self, subject: &Subject, wanted: &[Access]) -> Vec<Access> {
        let part = |access: &Access| match access {
            Access::Repository { name, actions } => {
                let actions = actions.and(self.actions(subject, name));
                (!actions.is_empty()).then(|| Access::to(name.clone(), actions))
            }
            Access::Catalog if self.has(subject, Privilege::Catalog) => Some(Access::Catalog),
            // It shows nothing but what the rules allow, unless one denies the catalog itself.
            Access::Catalog | Access::VisibleCatalog => {
                (!self.is_catalog_denied(subject)).then_some(Access::VisibleCatalog)
            }
            Access::Admin => self.has(subject, Privilege::Admin).then_some(Access::Admin),
        };
        wanted.iter().filter_map(part).collect()
    }

    /// For the log: what is decided about an access, and by what.
    pub fn in_words(&self, subject: &Subject, access: &Access) -> String {
        let decided = |what: &str, Decision { allowed, by }: Decision| match (allowed, by) {
            (true, DecidedBy::Rule(rule)) => format!("{what} is allowed by rule {rule}"),
            (false, DecidedBy::Rule(rule)) => format!("{what} is refused by rule {rule}"),
            (true, DecidedBy::AccessToken) => format!("{what} is allowed by the access token"),
            (false, DecidedBy::AccessToken) => format!("{what} is refused by the access token"),
            (_, DecidedBy::NoRule) => format!("{what} is refused: no rule allows it"),
        };
        match access {
            Access::VisibleCatalog if !self.is_catalog_denied(subject) => {
                "the catalog of what may be pulled is for everybody".to_owned()
            }
            Access::Catalog | Access::VisibleCatalog => {
                decided("catalog", self.decision_about(subject, Privilege::Catalog))
            }
            Access::Admin => decided("admin", self.decision_about(subject, Privilege::Admin)),
            Access::Repository { name, actions } => {
                let decisions = self.decisions(subject, name).into_iter();
                let asked = decisions.filter(|(action, _)| actions.has_all(Actions::of(&[*action])));
                let words = asked.map(|(action, decision)| decided(action.as_str(), decision));
                words.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

#[cfg(test)]
mod tests;
