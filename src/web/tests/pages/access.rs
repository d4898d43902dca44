//! What the pages about access refuse, and that what they show is text.

use super::super::super::decisions;
use super::*;
use crate::auth::{AccountAnswer, AccountCommand, Origin, Policy, Rule, Rules, Subject, UserName};
use crate::oci::{Access, Action, Actions, RepositoryName};
use crate::store::{AuthEvent, AuthEventKind, AuthLog as _, Quotas, Retention};

/// Forms for administrators, each filled in.
const OF_ADMINISTRATORS: [(&str, &str); 10] = [
    ("/ui/access/users/add", "name=mallory&password=long-enough&groups="),
    ("/ui/access/user/password", "name=victim&password=long-enough"),
    ("/ui/access/user/logins", "name=victim&all=true"),
    ("/ui/access/user/revoke", "name=victim&id=0123456789abcdef"),
    ("/ui/access/user/disable", "name=victim&disabled=true"),
    ("/ui/access/user/groups", "name=victim&groups=other"),
    ("/ui/access/user/remove", "name=victim"),
    ("/ui/access/robots/token", "name=build&repositories=**&pull=on&expires_in=7d"),
    ("/ui/access/robots/revoke", "id=0123456789abcdef"),
    ("/ui/access/lockouts/unlock", "id=network-c0000201"),
];

/// Forms for everybody who has signed in.
const OF_EVERYBODY: [(&str, &str); 4] = [
    ("/ui/access/token", "name=laptop&repositories=**&pull=on&expires_in=7d"),
    ("/ui/access/token/revoke", "id=0123456789abcdef"),
    ("/ui/access/logins/end", "all=true"),
    ("/ui/access/password", "current=a&password=long-enough&again=long-enough"),
];

/// Sends a form: from a page of the door's own, or of the site that is said.
async fn fill_in(
    store: &Arc<MemoryStore>,
    house: &gate::House,
    who: Who,
    (page, form): (&'static str, &'static str),
    site: &str,
) -> Answer {
    let mut request = Request::post(page).header("sec-fetch-site", site).body(Body::from(form)).unwrap();
    request.extensions_mut().insert(viewer(&house.gate, who));
    let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(store, ServiceState::Ready) };
    send(state, request).await
}

async fn users(house: &gate::House) -> Vec<String> {
    let accounts = &house.gate.logins.accounts;
    let page = accounts.users(crate::store::PageRequest { after: None, limit: 100 }).await.unwrap();
    page.items.into_iter().map(|user| user.name.to_string()).collect()
}

async fn add(house: &gate::House, command: AccountCommand) {
    house.gate.logins.accounts.carry_out(command, None).await.unwrap();
}

fn user(name: &str, group: &str) -> AccountCommand {
    let name = UserName::parse(name).unwrap();
    AccountCommand::AddUser { name, hash: "$argon2id$none".to_owned(), groups: vec![group.to_owned()] }
}

#[tokio::test]
async fn a_form_does_nothing_for_who_may_not_for_nobody_and_for_a_page_of_another_site() {
    let store = shown().await;
    let house = gate::house(&store);
    add(&house, user("victim", "g")).await;
    for form in OF_ADMINISTRATORS {
        let answer = fill_in(&store, &house, Who::User, form, "same-origin").await;
        assert_eq!(answer.status, FORBIDDEN, "{form:?}");
        assert!(answer.body.contains("You may not see this"), "{form:?}: {}", answer.body);
    }
    for form in OF_ADMINISTRATORS.into_iter().chain(OF_EVERYBODY) {
        let answer = fill_in(&store, &house, Who::Nobody, form, "same-origin").await;
        assert_eq!(
            (answer.status, &answer.headers[header::LOCATION]),
            (SIGN_IN, &"/ui/sign-in?next=%2Fui%2F".parse().unwrap())
        );
        let answer = fill_in(&store, &house, Who::Administrator, form, "cross-site").await;
        assert_eq!(answer.status, FORBIDDEN, "{form:?}");
        assert!(answer.body.contains("Nothing was changed."), "{form:?}: {}", answer.body);
        markup::assert_is_safe(form.0, &answer.body);
    }
    assert_eq!(users(&house).await, ["victim"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_told_above_it_with_what_was_filled_in() {
    let store = shown().await;
    let house = gate::house(&store);
    for (page, form, words) in [
        ("/ui/access/token", "name=laptop&repositories=team/**&expires_in=7d", "at least one of pull"),
        ("/ui/access/token", "name=laptop&repositories=TEAM/**&pull=on&expires_in=7d", "is no pattern"),
        ("/ui/access/robots/token", "name=laptop&repositories=team/**&pull=on&expires_in=x", "no duration"),
        ("/ui/access/users/add", "name=laptop&password=sh0rt&groups=", "class=\"notice bad\""),
    ] {
        let answer = fill_in(&store, &house, Who::Administrator, (page, form), "same-origin").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{page}: {}", answer.body);
        assert!(
            answer.body.contains(words) && answer.body.contains("value=\"laptop\""),
            "{page}: {}",
            answer.body
        );
        assert!(!answer.body.contains("sh0rt"), "no password is shown again");
    }
}

#[tokio::test]
async fn names_groups_patterns_programs_and_reasons_are_text() {
    let store = shown().await;
    let hostile = "\"><img/src=x/onerror=alert(1)><script>alert(1)</script>";
    let house = gate::house(&store);
    let name = UserName::parse(hostile).unwrap();
    add(&house, user(hostile, hostile)).await;
    for user in [None, Some(name.clone())] {
        let robot = UserName::parse(&format!("{hostile}robot")).unwrap();
        let command = AccountCommand::CreateToken {
            name: if user.is_some() { name.clone() } else { robot },
            user,
            repositories: vec!["team/**".to_owned()],
            actions: vec!["pull".to_owned()],
            expires_in: None,
        };
        add(&house, command).await;
    }
    let event = AuthEvent {
        time: Timestamp::now(),
        first: None,
        kind: AuthEventKind::LoginFailed,
        user: Some(hostile.to_owned()),
        address: None,
        about: hostile.to_owned(),
        count: 2,
    };
    let most = Quotas { tokens: 9, logins: 9, failures: 9, refusals: 9, accounts: 9, policies: 9 };
    let keep = Retention { most, since: Timestamp::from_milliseconds(0) };
    store.add_auth_events(vec![(None, event)], keep).await.unwrap();
    let query: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
    for page in [
        "/ui/access/users".to_owned(),
        format!("/ui/access/user?name={query}"),
        "/ui/access/robots".to_owned(),
        "/ui/access/groups".to_owned(),
        format!("/ui/access/rules?user={query}"),
        format!("/ui/access/rules?user=a&repository={query}"),
        "/ui/access/failures".to_owned(),
    ] {
        let mut request = Request::get(&page).body(Body::empty()).unwrap();
        request.extensions_mut().insert(viewer(&house.gate, Who::Administrator));
        let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
        let answer = send(state, request).await;
        assert!(answer.body.contains("onerror"), "{page}: {}", answer.body);
        markup::assert_is_safe(&page, &answer.body);
    }
}

#[tokio::test]
async fn rules_are_shown_as_they_are_read_with_the_one_that_decides() {
    let store = shown().await;
    let house = gate::house(&store);
    for (query, words) in [
        ("user=alice&repository=team/app", ["rule 1 allows it", "no rule allows it"]),
        ("user=root", ["rule 2 allows it", "Nobody has this name"]),
        ("user=anonymous&repository=team/app", ["no rule allows it", "may not"]),
        ("user=a%20b", ["is wrong", "Rules, as they are read"]),
    ] {
        let mut request = Request::get(format!("/ui/access/rules?{query}")).body(Body::empty()).unwrap();
        request.extensions_mut().insert(viewer(&house.gate, Who::Administrator));
        let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
        let body = send(state, request).await.body;
        for words in words {
            assert!(body.contains(words), "{query}: {words}: {body}");
        }
    }
}

#[tokio::test]
async fn all_logins_of_a_user_end_only_where_that_is_said() {
    let store = shown().await;
    let house = gate::house(&store);
    add(&house, user("victim", "g")).await;
    for (page, form, status) in [
        ("/ui/access/user/logins", "name=victim", StatusCode::BAD_REQUEST),
        ("/ui/access/user/logins", "name=victim&id=", StatusCode::BAD_REQUEST),
        ("/ui/access/user/logins", "name=victim&all=false", StatusCode::BAD_REQUEST),
        ("/ui/access/user/logins", "name=victim&all=true", StatusCode::SEE_OTHER),
        ("/ui/access/logins/end", "", StatusCode::BAD_REQUEST),
        ("/ui/access/logins/end", "all=true", StatusCode::SEE_OTHER),
    ] {
        let answer = fill_in(&store, &house, Who::Administrator, (page, form), "same-origin").await;
        assert_eq!(answer.status, status, "{page} {form}: {}", answer.body);
        if status == StatusCode::BAD_REQUEST {
            assert!(answer.body.contains("all=true"), "{page} {form}: {}", answer.body);
        }
    }
}

/// What the door decides, and what the page says of it.
#[tokio::test]
async fn what_is_told_of_a_robot_is_what_the_door_decides() {
    let store = shown().await;
    let house = gate::house(&store);
    let robot = || UserName::parse("ci").unwrap();
    let made = AccountCommand::CreateToken {
        name: robot(),
        user: None,
        repositories: vec!["team/**".to_owned()],
        actions: vec!["pull".to_owned(), "push".to_owned()],
        expires_in: None,
    };
    let made = house.gate.logins.accounts.carry_out(made, None).await.unwrap();
    let AccountAnswer::Created { id, .. } = made else { panic!("{made:?}") };
    let denial = Rule {
        who: vec![crate::auth::Who::Group("frozen".to_owned())],
        repositories: vec!["team/app".to_owned()],
        actions: Actions::of(&[Action::Push]),
        deny: true,
        ..Rule::default()
    };
    let groups = [("ci".to_owned(), vec!["frozen".to_owned()])].into();
    house.gate.set_policy(Policy { rules: Rules::new(vec![denial]).unwrap(), groups });
    let bearer = house.gate.still_known(robot(), Some(&Origin::AccessToken(id.clone()))).await.unwrap();
    let bearer = Subject::Known(bearer.unwrap());
    let repository = RepositoryName::parse("team/app").unwrap();
    let told = decisions::decided(&house.gate, &house.gate.logins.accounts, "ci", Some("team/app")).await;
    let told = told.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told.groups, ["frozen"]);
    for action in Action::ALL {
        let access = Access::to(repository.clone(), Actions::of(&[action]));
        let item = told.decisions.iter().find(|item| item.action == action.as_str()).unwrap();
        assert_eq!(item.allowed, house.gate.allows(&bearer, &access), "{}", action.as_str());
        assert_eq!(item.token.as_ref(), Some(&id));
    }
    let reasons: Vec<&str> = told.decisions.iter().map(|item| item.reason.as_str()).collect();
    assert_eq!(reasons[..2], [&format!("the access token {id} allows it"), "rule 1 denies it"]);
}
