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

/// What the rules say, and which of them decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is allowed.
    pub allowed: bool,
    /// The number of the rule that decided, counted from one; none if no rule speaks of it.
    pub rule: Option<usize>,
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

    /// What the caller may do to a repository.
    pub fn actions(&self, subject: &Subject, repository: &RepositoryName) -> Actions {
        let (mut allowed, mut denied) = (Actions::NONE, Actions::NONE);
        for (_, Prepared { rule, patterns }) in self.of(subject) {
            let set = if rule.deny { &mut denied } else { &mut allowed };
            if !set.has_all(rule.actions)
                && patterns.iter().any(|pattern| pattern.matches(subject.variables(), repository))
            {
                *set = set.or(rule.actions);
            }
        }
        if let Subject::Known(Identity { limits: Some(limits), .. }) = subject {
            let is_within =
                limits.repositories.iter().any(|pattern| pattern.matches(subject.variables(), repository));
            let within = if is_within { limits.actions } else { Actions::NONE };
            allowed = if limits.is_own { within } else { allowed.and(within) };
        }
        allowed.without(denied)
    }

    /// Whether anything may be pulled by whoever has not logged in.
    pub fn admit_nobody(&self) -> bool {
        self.of(&Subject::Anonymous).iter().any(|(_, Prepared { rule, patterns })| {
            !rule.deny && !patterns.is_empty() && rule.actions.has_all(Actions::of(&[Action::Pull]))
        })
    }

    /// Whether the caller has a privilege.
    pub fn has(&self, subject: &Subject, privilege: Privilege) -> bool {
        self.explain_privilege(subject, privilege).allowed
    }

    /// Whether a rule takes a privilege away.
    fn is_denied(&self, subject: &Subject, privilege: Privilege) -> bool {
        self.of(subject).iter().any(|(_, Prepared { rule, .. })| rule.deny && privilege.is_in(rule))
    }

    /// Which rule decides about a privilege.
    pub fn explain_privilege(&self, subject: &Subject, privilege: Privilege) -> Decision {
        let may_have = match (subject, privilege) {
            // An access token is for repositories.
            (Subject::Known(Identity { limits: Some(_), .. }), _)
            | (Subject::Anonymous, Privilege::Admin) => false,
            (Subject::Known(_), _) | (Subject::Anonymous, Privilege::Catalog) => true,
        };
        if !may_have {
            return Decision { allowed: false, rule: None };
        }
        decide(self.of(subject).into_iter().filter(|(_, Prepared { rule, .. })| privilege.is_in(rule)))
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
                (!self.is_denied(subject, Privilege::Catalog)).then_some(Access::VisibleCatalog)
            }
            Access::Admin => self.has(subject, Privilege::Admin).then_some(Access::Admin),
        };
        wanted.iter().filter_map(part).collect()
    }

    /// For the log: what is decided about an access, and by which rules.
    pub fn in_words(&self, subject: &Subject, access: &Access) -> String {
        let decided = |what: &str, Decision { allowed, rule }: Decision| match (allowed, rule) {
            (true, Some(rule)) => format!("{what} is allowed by rule {rule}"),
            (false, Some(rule)) => format!("{what} is refused by rule {rule}"),
            (_, None) => format!("{what} is refused: no rule allows it"),
        };
        match access {
            Access::Catalog => decided("catalog", self.explain_privilege(subject, Privilege::Catalog)),
            Access::VisibleCatalog if self.is_denied(subject, Privilege::Catalog) => {
                decided("catalog", self.explain_privilege(subject, Privilege::Catalog))
            }
            Access::VisibleCatalog => "the catalog of what may be pulled is for everybody".to_owned(),
            Access::Admin => decided("admin", self.explain_privilege(subject, Privilege::Admin)),
            Access::Repository { name, actions } => {
                let may = self.actions(subject, name);
                let has_limits = matches!(subject, Subject::Known(Identity { limits: Some(_), .. }));
                let words = actions.iter().map(|action| {
                    let decision = self.explain(subject, name, action);
                    let is_allowed = may.has_all(Actions::of(&[action]));
                    let action = action.as_str();
                    // A rule that denies counts for access tokens, too.
                    match has_limits && (is_allowed || decision.allowed || decision.rule.is_none()) {
                        true if is_allowed => format!("{action} is allowed by the access token"),
                        true => format!("{action} is refused by the access token"),
                        false => decided(action, decision),
                    }
                });
                words.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Which rule decides about one action.
    pub fn explain(&self, subject: &Subject, repository: &RepositoryName, action: Action) -> Decision {
        let wanted = Actions::of(&[action]);
        let speaking = self.of(subject).into_iter().filter(|(_, Prepared { rule, patterns })| {
            rule.actions.has_all(wanted)
                && patterns.iter().any(|pattern| pattern.matches(subject.variables(), repository))
        });
        decide(speaking)
    }
}

/// What comes of the rules that speak of something, and by which of them.
fn decide<'a>(speaking: impl Iterator<Item = (usize, &'a Prepared)>) -> Decision {
    let mut decision = Decision { allowed: false, rule: None };
    for (number, Prepared { rule, .. }) in speaking {
        if rule.deny {
            return Decision { allowed: false, rule: Some(number + 1) };
        }
        if decision.rule.is_none() {
            decision = Decision { allowed: true, rule: Some(number + 1) };
        }
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::UserName;

    fn rule(who: &[Who], repositories: &[&str], actions: Actions) -> Rule {
        let repositories = repositories.iter().map(ToString::to_string).collect();
        Rule { who: who.to_vec(), repositories, actions, ..Rule::default() }
    }

    fn known(name: &str, groups: &[&str]) -> Subject {
        let groups = groups.iter().map(ToString::to_string).collect();
        Subject::Known(Identity::new(UserName::parse(name).unwrap(), groups))
    }

    fn actions(rules: &Rules, subject: &Subject, name: &str) -> String {
        rules.actions(subject, &RepositoryName::parse(name).unwrap()).to_string()
    }

    fn pull() -> Actions {
        Actions::of(&[Action::Pull])
    }

    #[test]
    fn the_log_says_which_rule_decided() {
        let team = || rule(&[Who::User("alice".to_owned())], &["team/**"], pull());
        let denial = Rule { deny: true, ..rule(&[Who::Everybody], &["team/secret"], Actions::ALL) };
        let rules = Rules::new(vec![team(), denial]).unwrap();
        let say = |subject: &Subject, scope: &str| rules.in_words(subject, &Access::parse(scope).unwrap());
        let alice = known("alice", &[]);
        assert_eq!(
            say(&alice, "repository:team/app:pull,push"),
            "pull is allowed by rule 1, push is refused: no rule allows it"
        );
        assert_eq!(say(&alice, "repository:team/secret:pull"), "pull is refused by rule 2");
        assert_eq!(say(&alice, "registry:catalog:*"), "catalog is refused: no rule allows it");
        let limits = crate::auth::Limits {
            repositories: [Pattern::parse("team/**").unwrap()].into(),
            actions: pull(),
            is_own: true,
        };
        let name = UserName::parse("ci").unwrap();
        let robot = Subject::Known(Identity { name, groups: Vec::new(), limits: Some(limits) });
        assert_eq!(
            say(&robot, "repository:team/app:pull,push"),
            "pull is allowed by the access token, push is refused by the access token"
        );
        assert_eq!(say(&robot, "repository:team/secret:pull"), "pull is refused by rule 2");
    }

    #[test]
    fn nothing_is_allowed_without_a_rule() {
        let rules = Rules::new(Vec::new()).unwrap();
        assert_eq!(actions(&rules, &known("alice", &["admin"]), "a"), "");
        assert!(!rules.has(&known("alice", &[]), Privilege::Catalog));
        assert!(!rules.has(&known("admin", &["admin"]), Privilege::Admin));
    }

    fn privileged(who: &[Who], privilege: Privilege, deny: bool) -> Rule {
        let (catalog, admin) = (privilege == Privilege::Catalog, privilege == Privilege::Admin);
        Rule { who: who.to_vec(), catalog, admin, deny, ..Rule::default() }
    }

    #[test]
    fn a_privilege_is_its_own_and_a_denial_takes_it_away() {
        use Privilege::{Admin, Catalog};
        let (all, alice) = (known("bob", &[]), known("alice", &["ops"]));
        let one = |rules: Vec<Rule>| Rules::new(rules).unwrap();
        let ops = Who::Group("ops".to_owned());
        let rules =
            one(vec![privileged(&[Who::Everybody], Catalog, false), privileged(&[ops], Admin, false)]);
        assert!(rules.has(&all, Catalog) && !rules.has(&all, Admin));
        assert!(rules.has(&alice, Catalog) && rules.has(&alice, Admin));
        let everything = rule(&[Who::Everybody], &["**"], Actions::ALL);
        assert!(!one(vec![everything]).has(&alice, Admin), "`*` is of repositories");
        let rules = one(vec![
            privileged(&[Who::Everybody], Admin, false),
            privileged(&[Who::User("bob".to_owned())], Admin, true),
        ]);
        assert!(!rules.has(&all, Admin) && rules.has(&alice, Admin));
        let explained = rules.explain_privilege(&all, Admin);
        assert_eq!(explained, Decision { allowed: false, rule: Some(2) });
    }

    #[test]
    fn no_administrator_is_somebody_without_a_login_or_with_an_access_token() {
        let rules = Rules::new(vec![privileged(&[Who::Anonymous], Privilege::Admin, false)]).unwrap();
        assert!(!rules.has(&Subject::Anonymous, Privilege::Admin));
        let Subject::Known(mut alice) = known("alice", &[]) else { panic!() };
        alice.limits = Some(crate::auth::Limits {
            repositories: Vec::new().into(),
            actions: Actions::ALL,
            is_own: false,
        });
        assert!(!rules.has(&Subject::Known(alice), Privilege::Admin));
    }

    #[test]
    fn matching_rules_add_up_and_a_denial_wins_over_all() {
        let alice = Who::User("alice".to_owned());
        let denial = Rule { deny: true, ..rule(&[Who::Everybody], &["team/secret/**"], Actions::ALL) };
        let rules = Rules::new(vec![
            rule(&[alice], &["team/**"], Actions::of(&[Action::Push])),
            rule(&[Who::Group("dev".to_owned())], &["team/*"], pull()),
            denial,
        ])
        .unwrap();
        let alice = known("alice", &["dev"]);
        assert_eq!(actions(&rules, &alice, "team/app"), "pull,push");
        assert_eq!(actions(&rules, &alice, "team/app/deep"), "push");
        assert_eq!(actions(&rules, &alice, "team/secret/x"), "");
        assert_eq!(actions(&rules, &alice, "other"), "");
        assert_eq!(actions(&rules, &known("bob", &["dev"]), "team/app"), "pull");
        assert_eq!(actions(&rules, &Subject::Anonymous, "team/app"), "");
    }

    #[test]
    fn what_is_public_is_so_for_users_too_and_a_star_is_for_those_who_have_logged_in() {
        let rules = Rules::new(vec![
            rule(&[Who::Anonymous], &["public/**"], pull()),
            rule(&[Who::Everybody], &["internal/**"], pull()),
        ])
        .unwrap();
        let alice = known("alice", &[]);
        assert_eq!(actions(&rules, &alice, "public/a"), "pull");
        assert_eq!(actions(&rules, &alice, "internal/a"), "pull");
        assert_eq!(actions(&rules, &Subject::Anonymous, "public/a"), "pull");
        assert_eq!(actions(&rules, &Subject::Anonymous, "internal/a"), "");
    }

    #[test]
    fn variables_stand_for_who_asks_and_never_for_a_pattern() {
        let rules = Rules::new(vec![rule(
            &[Who::Everybody],
            &["home/${user}/**", "groups/${group}/*"],
            Actions::ALL,
        )])
        .unwrap();
        assert_eq!(actions(&rules, &known("alice", &[]), "home/alice/app"), "pull,push,delete");
        assert_eq!(actions(&rules, &known("alice", &[]), "home/bob/app"), "");
        assert_eq!(actions(&rules, &known("x", &["a", "b"]), "groups/b/app"), "pull,push,delete");
        for hostile in ["*", "**", "a*", "?", "{a,bob}", "[a-z]", "../bob", "bob/x", "\\*", "Bob"] {
            let Ok(name) = UserName::parse(hostile) else { continue };
            let subject = Subject::Known(Identity::new(name, vec![hostile.to_owned()]));
            for repository in ["home/bob/app", "groups/bob/app", "home/a/app"] {
                assert_eq!(actions(&rules, &subject, repository), "", "{hostile} {repository}");
            }
        }
    }

    #[test]
    fn stars_stay_within_a_component_and_double_stars_do_not() {
        let one = |pattern: &str| Rules::new(vec![rule(&[Who::Anonymous], &[pattern], pull())]).unwrap();
        for (pattern, name, expected) in [
            ("team/*", "team/a", true),
            ("team/*", "team/a/b", false),
            ("team/**", "team/a/b", true),
            ("team/**", "team", false),
            ("team/**", "teammate/a", false),
            ("**", "a/b/c", true),
            ("*", "a/b", false),
            ("team-?/x", "team-1/x", true),
            ("{a,b}/x", "b/x", true),
            ("a", "a", true),
            ("a", "a/b", false),
        ] {
            let allowed = actions(&one(pattern), &Subject::Anonymous, name) == "pull";
            assert_eq!(allowed, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_by_name() {
        for pattern in ["", "a{b", "a[b", "Team/**", "!a", "a b", "a:b", "${team}/x", "a\\"] {
            let refused = Rules::new(vec![rule(&[Who::Anonymous], &["a", pattern], pull())]).unwrap_err();
            let told = refused[0].to_string();
            assert!(told.contains("rule 1") && told.contains(&format!("`{pattern}`")), "{told}");
        }
    }

    #[test]
    fn a_grant_is_the_part_that_is_allowed() {
        let rules = Rules::new(vec![rule(&[Who::Everybody], &["a"], pull())]).unwrap();
        let wanted = Access::parse_all(["repository:a:pull,push repository:b:pull registry:catalog:*"]);
        let granted = rules.grant(&known("alice", &[]), &wanted);
        let granted: Vec<_> = granted.iter().map(ToString::to_string).collect();
        assert_eq!(granted, ["repository:a:pull", "registry:catalog:pull"]);
        let all = || privileged(&[Who::Everybody], Privilege::Catalog, false);
        let denied = || privileged(&[Who::User("alice".to_owned())], Privilege::Catalog, true);
        for (rules, expected) in [
            (vec![], Some(Access::VisibleCatalog)),
            (vec![all()], Some(Access::Catalog)),
            (vec![all(), denied()], None),
        ] {
            let granted = Rules::new(rules).unwrap().grant(&known("alice", &[]), &[Access::Catalog]);
            assert_eq!(granted.first(), expected.as_ref());
        }
    }

    #[test]
    fn an_explanation_names_the_rule_that_decides() {
        let denial = Rule { deny: true, ..rule(&[Who::Everybody], &["a/b"], Actions::ALL) };
        let rules = Rules::new(vec![
            rule(&[Who::Anonymous], &["x"], pull()),
            rule(&[Who::Everybody], &["a/*"], pull()),
            denial,
        ])
        .unwrap();
        let explain = |name: &str, action| {
            rules.explain(&known("alice", &[]), &RepositoryName::parse(name).unwrap(), action)
        };
        assert_eq!(explain("a/c", Action::Pull), Decision { allowed: true, rule: Some(2) });
        assert_eq!(explain("a/b", Action::Pull), Decision { allowed: false, rule: Some(3) });
        assert_eq!(explain("a/c", Action::Push), Decision { allowed: false, rule: None });
    }
}
