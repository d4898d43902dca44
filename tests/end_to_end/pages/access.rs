//! Who may come in, by pages: somebody signs in, makes an access token, uses it, revokes it, and signs out.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use thirtyfour::By;

use super::browser::Browser;
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::http::http_client;
use crate::support::registry::Registry;
use crate::support::wait::until;

/// A browser without a window: what a page sends, and what the door answers.
pub(super) struct Session<'a> {
    door: &'a Door,
    cookie: String,
}

impl<'a> Session<'a> {
    pub(super) async fn begin(door: &'a Door, user: &str, word: &str) -> Self {
        let mut session = Self { door, cookie: String::new() };
        let (status, location, _) =
            session.send("/ui/sign-in", &[("name", user), ("password", word), ("next", "/ui/access")]).await;
        assert_eq!((status, &*location), (StatusCode::SEE_OTHER, "/ui/access"), "{user}");
        session
    }

    /// Sends a form: the status, where it leads, and what is shown.
    pub(super) async fn send(&mut self, page: &str, fields: &[(&str, &str)]) -> (StatusCode, String, String) {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http_client()
            .post(format!("{}{page}", self.door.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header(COOKIE, &self.cookie);
        let answer = request.body(form).send().await.unwrap();
        let text = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        if let Some(cookie) = text(SET_COOKIE) {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        (answer.status(), text(LOCATION).unwrap_or_default(), answer.text().await.unwrap())
    }

    pub(super) async fn read(&self, page: &str) -> (StatusCode, String) {
        let request = http_client().get(format!("{}{page}", self.door.url())).header(COOKIE, &self.cookie);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

/// What stands between these, the first time.
fn between<'a>(html: &'a str, before: &str, behind: &str) -> &'a str {
    let rest = html.split_once(before).unwrap_or_else(|| panic!("no {before} in {html}")).1;
    rest.split_once(behind).unwrap().0
}

/// What `docker login` asks with a name and a token.
pub(super) async fn docker_login(door: &Door, name: &str, token: &str) -> StatusCode {
    let request =
        http_client().get(format!("{}/token?service=portreeve&scope=repository:team/app:pull", door.url()));
    request.basic_auth(name, Some(token)).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_page_makes_logs_in_until_a_page_revokes_it() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    let cases = [
        ("alice", "/ui/access/token", "/ui/access/token/revoke", "/ui/access", "laptop", "alice"),
        (
            "admin",
            "/ui/access/robots/token",
            "/ui/access/robots/revoke",
            "/ui/access/robots",
            "build",
            "build",
        ),
    ];
    for (user, create, revoke, list, named, name) in cases {
        let mut session = Session::begin(&door, user, &password(user)).await;
        let fields = [("name", named), ("repositories", "team/**"), ("pull", "on"), ("expires_in", "7d")];
        let (status, _, html) = session.send(create, &fields).await;
        assert_eq!(status, StatusCode::OK, "{html}");
        let token = between(&html, "<code id=\"token\">", "</code>").to_owned();
        let command = format!("echo {token} | docker login {} -u {name} --password-stdin", door.address());
        assert!(html.contains(&format!("<code id=\"command\">{command}</code>")), "{html}");
        assert_eq!(docker_login(&door, name, &token).await, StatusCode::OK);
        let (_, html) = session.read(list).await;
        assert!(html.contains(named) && !html.contains(&token), "{html}");
        let form = between(&html, &format!("action=\"{revoke}\""), "</form>");
        let id = between(form, "name=\"id\" value=\"", "\"").to_owned();
        // Nobody else revokes it.
        let mut stranger = Session::begin(&door, "stranger", &password("stranger")).await;
        let (status, ..) = stranger.send("/ui/access/token/revoke", &[("id", &id)]).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(docker_login(&door, name, &token).await, StatusCode::OK);
        let (status, location, _) = session.send(revoke, &[("id", &id)]).await;
        assert_eq!((status, &*location), (StatusCode::SEE_OTHER, &*format!("{list}?done=revoked")));
        let (_, html) = session.read(&location).await;
        assert!(html.contains("The access token is revoked"), "{html}");
        assert_eq!(docker_login(&door, name, &token).await, StatusCode::UNAUTHORIZED);
        assert!(!door.log().contains(&token));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whom_a_page_adds_changes_their_password_and_is_removed() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    let mut admin = Session::begin(&door, "admin", &password("admin")).await;
    let fields = [("name", "dora"), ("password", "first-password"), ("groups", "developers")];
    let (status, location, html) = admin.send("/ui/access/users/add", &fields).await;
    assert_eq!(
        (status, &*location),
        (StatusCode::SEE_OTHER, "/ui/access/user?name=dora&done=added"),
        "{html}"
    );
    let (_, html) = admin.read(&location).await;
    assert!(html.contains("The user is added.") && html.contains("developers"), "{html}");
    let mut dora = Session::begin(&door, "dora", "first-password").await;
    for (fields, status, words) in [
        (["wrong", "second-password", "second-password"], StatusCode::FORBIDDEN, "not your password"),
        (["first-password", "second-password", "other-password"], StatusCode::BAD_REQUEST, "in two ways"),
    ] {
        let [current, new, again] = fields;
        let fields = [("current", current), ("password", new), ("again", again)];
        let (answered, _, html) = dora.send("/ui/access/password", &fields).await;
        assert_eq!(answered, status, "{html}");
        assert!(html.contains(words), "{html}");
    }
    let fields =
        [("current", "first-password"), ("password", "second-password"), ("again", "second-password")];
    let (status, location, html) = dora.send("/ui/access/password", &fields).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{html}");
    assert_eq!(dora.read("/ui/access").await.0, StatusCode::SEE_OTHER, "the session is over");
    let (_, html) = dora.read(&location).await;
    assert!(html.contains("Your password is another one now."), "{html}");
    let mut dora = Session::begin(&door, "dora", "second-password").await;
    // What is for administrators is neither offered nor done.
    let (_, html) = dora.read("/ui/access").await;
    assert!(!html.contains("/ui/access/users"), "{html}");
    assert_eq!(dora.read("/ui/access/failures").await.0, StatusCode::FORBIDDEN);
    assert_eq!(dora.send("/ui/access/user/remove", &[("name", "dora")]).await.0, StatusCode::FORBIDDEN);
    until("the failure is written down", Duration::from_secs(30), async || {
        let (_, html) = admin.read("/ui/access/failures").await;
        html.contains("the password was wrong") && html.contains(">dora<")
    })
    .await;
    let (status, location, _) = admin.send("/ui/access/user/remove", &[("name", "dora")]).await;
    assert_eq!((status, &*location), (StatusCode::SEE_OTHER, "/ui/access/users?done=removed"));
    assert_eq!(dora.read("/ui/access").await.0, StatusCode::SEE_OTHER);
    assert_eq!(admin.read("/ui/access/user?name=dora").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_disabled_enabled_and_put_into_groups_by_pages_without_scripts() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    let mut admin = Session::begin(&door, "admin", &password("admin")).await;
    let alice = Session::begin(&door, "alice", &password("alice")).await;
    let (page, disable) = ("/ui/access/user?name=alice", "/ui/access/user/disable");
    for (disabled, done) in [("true", "disabled"), ("false", "enabled")] {
        let (_, html) = admin.read(page).await;
        let form = between(&html, &format!("action=\"{disable}\""), "</form>");
        assert!(form.contains(&format!("name=\"disabled\" value=\"{disabled}\"")), "{form}");
        let (status, location, html) =
            admin.send(disable, &[("name", "alice"), ("disabled", disabled)]).await;
        assert_eq!((status, location), (StatusCode::SEE_OTHER, format!("{page}&done={done}")), "{html}");
        assert_eq!(alice.read("/ui/access").await.0, StatusCode::SEE_OTHER, "the session is over for good");
        let (_, html) = admin.read("/ui/access/users").await;
        // A user of the file is called so.
        assert_eq!(html.contains("badge bad\">disabled<"), disabled == "true", "{html}");
    }
    Session::begin(&door, "alice", &password("alice")).await;
    let (status, _, html) = admin.send(disable, &[("name", "admin"), ("disabled", "true")]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{html}");
    assert!(html.contains("ou would shut out yourself"), "{html}");
    let groups = "/ui/access/user/groups";
    let (status, _, html) = admin.send(groups, &[("name", "alice"), ("groups", "ops")]).await;
    assert!(status == StatusCode::CONFLICT && html.contains("auth.groups"), "{html}");
    let fields = [("name", "dora"), ("password", "first-password"), ("groups", "")];
    admin.send("/ui/access/users/add", &fields).await;
    let (status, location, _) = admin.send(groups, &[("name", "dora"), ("groups", "developers")]).await;
    assert_eq!((status, &*location), (StatusCode::SEE_OTHER, "/ui/access/user?name=dora&done=groups"));
    let (_, html) = admin.read("/ui/access/groups").await;
    assert!(
        html.contains(">alice</a>, <a") && html.contains(">dora</a>") && html.contains("rule 2"),
        "{html}"
    );
    let (status, _, html) = admin.send(groups, &[("name", "dora"), ("groups", "developers, oops")]).await;
    assert!(
        status == StatusCode::OK && html.contains("`oops`") && html.contains("value=\"developers oops\""),
        "{html}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_locked_is_shown_and_unlocked_by_a_page_without_scripts() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    let mut admin = Session::begin(&door, "admin", &password("admin")).await;
    let page = "/ui/access/lockouts";
    assert!(admin.read(page).await.1.contains("Nothing is locked"));
    for number in 0..30 {
        let status = docker_login(&door, &format!("guessed{number}"), "wrong").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{number}");
    }
    let (_, html) = admin.read(page).await;
    assert!(html.contains("<code>127.0.0.1</code>") && html.contains("answered later"), "{html}");
    assert!(!html.contains("guessed"), "a name that nobody has may be a password: {html}");
    let form = between(&html, "action=\"/ui/access/lockouts/unlock\"", "</form>");
    let id = between(form, "name=\"id\" value=\"", "\"").to_owned();
    let (status, location, _) = admin.send("/ui/access/lockouts/unlock", &[("id", &id)]).await;
    assert_eq!((status, &*location), (StatusCode::SEE_OTHER, "/ui/access/lockouts?done=unlocked"));
    let (_, html) = admin.read(&location).await;
    assert!(html.contains("It is unlocked") && html.contains("Nothing is locked"), "{html}");
    let (status, ..) = admin.send("/ui/access/lockouts/unlock", &[("id", &id)]).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it is over");
}

/// Signs in by the form, as a user does.
pub(super) async fn sign_in(browser: &Browser, door: &Door, user: &str) {
    let page = format!("{}/ui/sign-in?next=/ui/access", door.url());
    browser.open(&page).await;
    // Whoever was signed in is forgotten.
    browser.driver().delete_all_cookies().await.unwrap();
    browser.open(&page).await;
    for (field, text) in [("name", user.to_owned()), ("password", password(user))] {
        let field = browser.driver().find(By::Css(format!("main input[name={field}]"))).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }
    press(browser, "main form[action='/ui/sign-in'] button").await;
    browser.until("they are signed in", "location.pathname === '/ui/access'").await;
}

async fn press(browser: &Browser, button: &str) {
    match browser.driver().find(By::Css(button)).await {
        Ok(button) => button.click().await.unwrap(),
        Err(error) => panic!("{error}: {}", browser.shown().await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_makes_a_token_revokes_it_and_signs_out_in_a_browser_with_scripts_and_without() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = guard.door(registry.url()).start().await;
    let browser = Browser::start().await;
    for are_run in [true, false] {
        browser.run_scripts(are_run).await;
        browser.open(&format!("{}/ui/access", door.url())).await;
        browser.until("it leads to the form", "location.pathname === '/ui/sign-in'").await;
        sign_in(&browser, &door, "alice").await;
        let field = browser.driver().find(By::Css("#token-name")).await.unwrap();
        field.send_keys("laptop").await.unwrap();
        let field = browser.driver().find(By::Css("#token-repositories")).await.unwrap();
        field.send_keys("team/**").await.unwrap();
        press(&browser, "form[action='/ui/access/token'] button").await;
        browser.until("the token is shown", "document.getElementById('token') !== null").await;
        let token = browser.evaluate("return document.getElementById('token').textContent").await;
        let token = token.as_str().unwrap();
        assert_eq!(browser.evaluate("return location.search").await, "");
        let copies = "return [...document.querySelectorAll('main [data-copy]')].map(button => button.hidden)";
        assert_eq!(browser.evaluate(copies).await, serde_json::json!([!are_run, !are_run]));
        browser.screenshot("access-token-1280-light").await;
        assert_eq!(docker_login(&door, "alice", token).await, StatusCode::OK);
        browser.open(&format!("{}/ui/access", door.url())).await;
        press(&browser, "form[action='/ui/access/token/revoke'] button").await;
        browser
            .until("it is revoked", "document.body.innerText.includes('The access token is revoked')")
            .await;
        assert_eq!(docker_login(&door, "alice", token).await, StatusCode::UNAUTHORIZED);
        press(&browser, ".account form button").await;
        browser.until("they are signed out", "location.pathname === '/ui/sign-in'").await;
        browser.open(&format!("{}/ui/access", door.url())).await;
        browser.until("they are not let in", "location.pathname === '/ui/sign-in'").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
    browser.run_scripts(true).await;
}
