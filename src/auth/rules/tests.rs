//! Rules with callers of every kind.

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
    let rules = one(vec![privileged(&[Who::Everybody], Catalog, false), privileged(&[ops], Admin, false)]);
    assert!(rules.has(&all, Catalog) && !rules.has(&all, Admin));
    assert!(rules.has(&alice, Catalog) && rules.has(&alice, Admin));
    let everything = rule(&[Who::Everybody], &["**"], Actions::ALL);
    assert!(!one(vec![everything]).has(&alice, Admin), "`*` is of repositories");
    let rules = one(vec![
        privileged(&[Who::Everybody], Admin, false),
        privileged(&[Who::User("bob".to_owned())], Admin, true),
    ]);
    assert!(!rules.has(&all, Admin) && rules.has(&alice, Admin));
    assert_eq!(rules.decision_about(&all, Admin), Decision::refused(DecidedBy::Rule(2)));
}

#[test]
fn no_administrator_is_somebody_without_a_login_or_with_an_access_token() {
    let rules = Rules::new(vec![privileged(&[Who::Anonymous], Privilege::Admin, false)]).unwrap();
    assert!(!rules.has(&Subject::Anonymous, Privilege::Admin));
    let Subject::Known(mut alice) = known("alice", &[]) else { panic!() };
    alice.limits =
        Some(crate::auth::Limits { repositories: Vec::new().into(), actions: Actions::ALL, is_own: false });
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
    let rules =
        Rules::new(vec![rule(&[Who::Everybody], &["home/${user}/**", "groups/${group}/*"], Actions::ALL)])
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
    let [pull, push] = [0, 1];
    let explain = |name: &str, action: usize| {
        rules.decisions(&known("alice", &[]), &RepositoryName::parse(name).unwrap())[action].1
    };
    assert_eq!(explain("a/c", pull), Decision::allowed(DecidedBy::Rule(2)));
    assert_eq!(explain("a/b", pull), Decision::refused(DecidedBy::Rule(3)));
    assert_eq!(explain("a/c", push), Decision::refused(DecidedBy::NoRule));
}

#[test]
fn an_access_token_narrows_what_the_rules_allow_and_a_robots_is_all_it_has() {
    let denial = Rule { deny: true, ..rule(&[Who::Group("ci".to_owned())], &["team/secret"], Actions::ALL) };
    let rules = Rules::new(vec![rule(&[Who::Everybody], &["team/**"], Actions::ALL), denial]).unwrap();
    let bearer = |is_own, groups: &[&str]| {
        let Subject::Known(mut identity) = known("ci", groups) else { panic!() };
        let repositories = [Pattern::parse("{team,other}/*").unwrap()].into();
        identity.limits = Some(crate::auth::Limits { repositories, actions: pull(), is_own });
        Subject::Known(identity)
    };
    let told = |is_own, groups: &[&str], name: &str| {
        let access =
            Access::to(RepositoryName::parse(name).unwrap(), Actions::of(&[Action::Pull, Action::Push]));
        rules.in_words(&bearer(is_own, groups), &access)
    };
    let (by_rule, by_token) = ("pull is allowed by rule 1", "pull is allowed by the access token");
    let refused = "push is refused by the access token";
    assert_eq!(told(false, &[], "team/app"), format!("{by_rule}, {refused}"));
    assert_eq!(told(true, &[], "team/app"), format!("{by_token}, {refused}"));
    assert_eq!(told(true, &[], "other/app"), format!("{by_token}, {refused}"));
    assert!(told(false, &[], "other/app").starts_with("pull is refused: no rule"));
    assert!(told(false, &[], "team/a/b").starts_with("pull is refused by the access token"));
    for is_own in [true, false] {
        assert!(told(is_own, &["ci"], "team/secret").starts_with("pull is refused by rule 2"));
    }
}
