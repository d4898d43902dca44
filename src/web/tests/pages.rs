//! Tests over all pages: a page that is added has its line in [`PAGES`].

mod access;
mod activity;
mod gate;
mod markup;
mod repository;
mod sync;

use axum::http::{HeaderMap, header};

use self::gate::{Who, viewer};
use super::*;
use crate::auth::Viewer;
use crate::web::pages::{all as all_pages, assets};

/// What a page answers to each.
struct Asked {
    /// The page, with a query.
    page: &'static str,
    nobody: StatusCode,
    /// One who may pull from `team/**`, and from nothing else.
    user: StatusCode,
    administrator: StatusCode,
}

const fn asked(page: &'static str, [nobody, user, administrator]: [StatusCode; 3]) -> Asked {
    Asked { page, nobody, user, administrator }
}

const OK: StatusCode = StatusCode::OK;
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
/// To the page to sign in at.
const SIGN_IN: StatusCode = StatusCode::SEE_OTHER;

/// Every page that is read.
const PAGES: [Asked; 23] = [
    asked("/ui/", [SIGN_IN, OK, OK]),
    asked("/ui/search?q=team", [SIGN_IN, OK, OK]),
    asked("/ui/search", [SIGN_IN, OK, OK]),
    asked("/ui/repositories?sort=size", [SIGN_IN, OK, OK]),
    asked("/ui/namespaces?sort=size", [SIGN_IN, OK, OK]),
    asked("/ui/repository?name=team/app&sort=size", [SIGN_IN, OK, OK]),
    asked("/ui/manifest?repository=team/app&tag=latest", [SIGN_IN, OK, OK]),
    asked("/ui/compare?repository=team/app&from=latest&to=latest", [SIGN_IN, OK, OK]),
    asked("/ui/delete?repository=team/app&tag=latest", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/delete?repository=team/app", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/activity", [SIGN_IN, OK, OK]),
    asked("/ui/activity?repository=team%2Fapp&tag=&user=&kind=manifest_put", [SIGN_IN, OK, OK]),
    asked("/ui/sync", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/flaws?kind=untagged", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/sign-in?next=%2Fui%2Faccess", [OK, OK, OK]),
    asked("/ui/access", [SIGN_IN, OK, OK]),
    asked("/ui/access/users", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/access/user?name=root", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/access/robots", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/access/rules?user=alice&repository=team/app", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/access/failures", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/access/groups", [SIGN_IN, FORBIDDEN, OK]),
    asked("/ui/access/lockouts", [SIGN_IN, FORBIDDEN, OK]),
];

/// Pages to which something is sent, and which show nothing.
const SENT_TO: [&str; 20] = [
    "/ui/theme",
    "/ui/undelete",
    "/ui/sync/start",
    "/ui/sync/accept",
    "/ui/sign-out",
    "/ui/sign-out-everywhere",
    "/ui/access/token",
    "/ui/access/token/revoke",
    "/ui/access/logins/end",
    "/ui/access/password",
    "/ui/access/users/add",
    "/ui/access/user/password",
    "/ui/access/user/logins",
    "/ui/access/user/revoke",
    "/ui/access/user/disable",
    "/ui/access/user/groups",
    "/ui/access/user/remove",
    "/ui/access/robots/token",
    "/ui/access/robots/revoke",
    "/ui/access/lockouts/unlock",
];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    /// How many bytes were sent.
    bytes: usize,
}

async fn send(state: WebState, request: Request<Body>) -> Answer {
    let response = door_router(state).oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), bytes: body.len() }
}

/// A page of an open door.
async fn look(store: &Arc<MemoryStore>, page: &str) -> Answer {
    let request = Request::get(page).header("host", "door.example:5000").body(Body::empty()).unwrap();
    send(web(store, ServiceState::Ready), request).await
}

/// A record with something in each list.
async fn shown() -> Arc<MemoryStore> {
    let store = filled().await;
    push(&store, &name("private/thing"), manifest("other"), &["v1"]).await;
    pull(&store, &app(), Some("latest"), 7).await;
    pull(&store, &name("private/thing"), Some("v1"), 9).await;
    store
}

#[test]
fn every_page_has_its_line_here() {
    for page in all_pages() {
        let is_known = PAGES.iter().any(|asked| asked.page.split('?').next() == Some(page.path))
            || SENT_TO.contains(&page.path);
        assert!(is_known, "{} has no line in PAGES", page.path);
    }
}

#[tokio::test]
async fn pages_show_to_everybody_what_the_api_would_tell_them_and_nothing_else() {
    let store = shown().await;
    let house = gate::house(&store);
    for Asked { page, nobody, user, administrator } in PAGES {
        for (who, expected) in [(Who::Nobody, nobody), (Who::User, user), (Who::Administrator, administrator)]
        {
            let mut request = Request::get(page).body(Body::empty()).unwrap();
            request.extensions_mut().insert(viewer(&house.gate, who));
            let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
            let answer = send(state, request).await;
            assert_eq!(answer.status, expected, "{page} for {who:?}");
            if expected == SIGN_IN {
                let location = answer.headers[header::LOCATION].to_str().unwrap();
                let next: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
                assert_eq!(location, format!("/ui/sign-in?next={next}"));
                assert!(answer.body.is_empty(), "{}", answer.body);
            }
            if who != Who::Administrator {
                assert!(!answer.body.contains("private/thing"), "{page} for {who:?}");
                assert!(
                    page != "/ui/" || !answer.body.contains("Manifests"),
                    "totals are for administrators"
                );
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_shown_what_rules_let_everybody_pull() {
    let store = shown().await;
    let house = gate::house_with(&store, gate::public_rules());
    for page in ["/ui/", "/ui/repositories", "/ui/search?q=a", "/ui/activity"] {
        let mut request = Request::get(page).body(Body::empty()).unwrap();
        request.extensions_mut().insert(viewer(&house.gate, Who::Nobody));
        let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
        let answer = send(state, request).await;
        assert_eq!(answer.status, OK, "{page}");
        assert!(answer.body.contains("team/app") && !answer.body.contains("private/thing"), "{page}");
        assert!(answer.body.contains("/ui/sign-in?next="), "{page} leads to the page to sign in at");
    }
}

#[tokio::test]
async fn what_a_page_cannot_show_is_told_in_a_page_with_what_to_do() {
    let store = shown().await;
    for (page, status, words) in [
        ("/ui/nothing", StatusCode::NOT_FOUND, "There is no page at this address."),
        ("/ui/assets/portreeve.css", StatusCode::NOT_FOUND, ""),
        ("/ui/repositories?sort=colour", StatusCode::BAD_REQUEST, "`sort` is wrong"),
        ("/ui/repositories?colour=red", StatusCode::BAD_REQUEST, "`colour` is not a parameter here"),
        ("/ui/?x=%3Cscript%3E", StatusCode::BAD_REQUEST, "`x` is not a parameter here"),
    ] {
        let answer = look(&store, page).await;
        assert_eq!(answer.status, status, "{page}");
        assert!(answer.body.contains(words), "{page}: {}", answer.body);
        if !words.is_empty() {
            markup::assert_is_safe(page, &answer.body);
            assert!(answer.body.contains("First page"), "{page} says what to do");
        }
    }
    let store = shown().await;
    store.set_trouble(Some(StoreTrouble::Medium));
    assert!(look(&store, "/ui/").await.body.contains("The record cannot be written"));
}

#[tokio::test]
async fn an_empty_record_says_how_to_push_with_the_address_that_clients_know() {
    let store = Arc::new(MemoryStore::default());
    for page in ["/ui/", "/ui/repositories"] {
        let body = look(&store, page).await.body;
        assert!(body.contains("docker push door.example:5000/my-image:latest"), "{page}: {body}");
    }
    let configured = PageSettings { authority: Some("images.example".to_owned()), ..PageSettings::default() };
    let state = WebState { pages: Some(configured), ..web(&store, ServiceState::Ready) };
    let request = Request::get("/ui/").header("host", "<script>").body(Body::empty()).unwrap();
    assert!(send(state, request).await.body.contains("docker push images.example/my-image:latest"));
    let request = Request::get("/ui/").header("host", "<script>").body(Body::empty()).unwrap();
    let answer = send(web(&store, ServiceState::Ready), request).await;
    markup::assert_is_safe("a host that is none", &answer.body);
}

#[tokio::test]
async fn a_door_without_pages_answers_as_if_there_were_none() {
    let store = shown().await;
    for page in ["/ui/", "/ui", "/ui/search?q=a", "/"] {
        let request = Request::get(page).header("accept", "text/html").body(Body::empty()).unwrap();
        let answer = send(WebState { pages: None, ..web(&store, ServiceState::Ready) }, request).await;
        match page {
            "/" => assert!(answer.body.starts_with("Portreeve "), "{}", answer.body),
            _ => {
                assert_eq!((answer.status, answer.body.contains("not_found")), (StatusCode::NOT_FOUND, true))
            }
        }
        assert!(!answer.headers.contains_key(header::CONTENT_SECURITY_POLICY));
    }
}

#[tokio::test]
async fn browsers_are_led_from_the_root_to_the_pages_and_programs_are_told_what_this_is() {
    let store = shown().await;
    for (accept, status) in
        [("text/html,application/xhtml+xml,*/*;q=0.8", SIGN_IN), ("*/*", OK), ("application/json", OK)]
    {
        let request = Request::get("/").header("accept", accept).body(Body::empty()).unwrap();
        let answer = send(web(&store, ServiceState::Ready), request).await;
        assert_eq!(answer.status, status, "{accept}");
        if status == SIGN_IN {
            assert_eq!(answer.headers[header::LOCATION], "/ui/");
        }
    }
}

#[tokio::test]
async fn chosen_colours_are_kept_in_a_cookie_and_are_there_in_the_first_byte() {
    let store = shown().await;
    let choose = |body: &'static str| {
        Request::post("/ui/theme")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap()
    };
    let state = || web(&store, ServiceState::Ready);
    let answer = send(state(), choose("next=%2Fui%2Frepositories%3Fq%3Da&theme=dark")).await;
    assert_eq!(
        (answer.status, &answer.headers[header::LOCATION]),
        (SIGN_IN, &"/ui/repositories?q=a".parse().unwrap())
    );
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(cookie, "portreeve-theme=dark");
    let answer = send(state(), choose("next=https%3A%2F%2Fevil.example%2F&theme=light")).await;
    assert_eq!(answer.headers[header::LOCATION], "/ui/");
    assert_eq!(send(state(), choose("theme=pink")).await.status, StatusCode::BAD_REQUEST);
    let request = Request::get("/ui/").header("cookie", cookie).body(Body::empty()).unwrap();
    let answer = send(state(), request).await;
    assert!(answer.body.contains(r#"<html lang="en" data-theme="dark">"#));
    assert!(look(&store, "/ui/").await.body.contains(r#"data-theme="auto""#));
}

#[tokio::test]
async fn nothing_is_loaded_from_elsewhere_or_kept_and_assets_are_kept_for_ever() {
    let store = shown().await;
    for Asked { page, .. } in PAGES {
        let Answer { headers, .. } = look(&store, page).await;
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{page}");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{page}");
    }
    for path in
        PAGES.iter().map(|asked| asked.page).chain(["/ui/nothing"]).chain(assets().map(|asset| asset.path()))
    {
        let Answer { headers, .. } = look(&store, path).await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin", "{path}");
    }
    for asset in assets() {
        let answer = look(&store, asset.path()).await;
        assert_eq!(answer.status, OK, "{}", asset.path());
        assert_eq!(answer.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    }
}

#[tokio::test]
async fn a_page_with_all_that_it_loads_takes_a_hundred_kilobytes_at_most_and_text_is_compressed() {
    let store = shown().await;
    for number in 0..200 {
        let repository = name(&format!("team/a-rather-long-name-of-a-repository-{number}"));
        push(&store, &repository, manifest("image"), &["v1"]).await;
    }
    let mut loaded = 0;
    for asset in assets() {
        loaded += look(&store, asset.path()).await.bytes;
    }
    for Asked { page, .. } in PAGES {
        let plain = look(&store, page).await.bytes;
        assert!(plain + loaded <= 100_000, "{page}: {plain} and {loaded} bytes");
        let request = Request::get(page).header("accept-encoding", "gzip, br").body(Body::empty()).unwrap();
        let answer = send(web(&store, ServiceState::Ready), request).await;
        assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip", "{page}");
        assert!(answer.bytes * 2 < plain, "{page}: {} of {plain}", answer.bytes);
    }
}

#[tokio::test]
async fn hostile_names_are_text_on_every_page() {
    let store = shown().await;
    let hostile = r#""><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}'"#;
    for query in [hostile, "javascript:alert(1)", "</title><script>", "\u{0}\u{202e}", "a&b=c"] {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        for page in [format!("/ui/search?q={query}"), format!("/ui/repositories?q={query}")] {
            let answer = look(&store, &page).await;
            markup::assert_is_safe(&page, &answer.body);
        }
    }
    // Names of users are nearly free; a pusher's is shown.
    let house = gate::house(&store);
    let mut request = Request::get("/ui/").body(Body::empty()).unwrap();
    request.extensions_mut().insert(gate::named(&house.gate, "<script>alert(1)</script>"));
    let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
    let answer = send(state, request).await;
    assert!(answer.body.contains("&#60;script&#62;alert(1)"), "{}", answer.body);
    markup::assert_is_safe("a user's name", &answer.body);
}

#[tokio::test]
async fn columns_sort_and_parts_of_a_list_lead_to_the_next() {
    let store = Arc::new(MemoryStore::default());
    for number in 0..60 {
        push(&store, &name(&format!("a{number:02}")), manifest("image"), &["v1"]).await;
    }
    pull(&store, &name("a37"), Some("v1"), 5).await;
    let first = look(&store, "/ui/repositories").await.body;
    assert!(first.contains(">a49<") && !first.contains(">a50<"));
    let next = markup::attribute(&first, "rel=\"next\"", "href").unwrap();
    let second = look(&store, &next).await.body;
    assert!(second.contains(">a50<") && !second.contains(">a49<") && second.contains("From the beginning"));
    let most_pulled = look(&store, "/ui/repositories?sort=pulls").await.body;
    let at = |name: &str| most_pulled.find(&format!(">{name}<")).unwrap_or(usize::MAX);
    assert!(at("a37") < at("a00"), "the most pulled comes first");
    assert!(most_pulled.contains(r#"aria-sort="descending""#));
    assert!(look(&store, "/ui/repositories?q=a3").await.body.matches("/ui/repository?name=a3").count() == 10);
}

#[tokio::test]
async fn namespaces_lead_to_their_repositories_and_names_of_one_part_are_told_apart() {
    let store = Arc::new(MemoryStore::default());
    for repository in ["team/app", "team/other", "tools"] {
        push(&store, &name(repository), manifest("image"), &["v1"]).await;
    }
    let page = look(&store, "/ui/namespaces").await.body;
    assert!(page.contains(r#"<a href="/ui/repositories?namespace=team">team</a>"#), "{page}");
    assert!(page.contains("names of one part") && !page.contains(">tools<"), "{page}");
    assert!(page.contains(">One by one<") && page.contains("is counted once"), "{page}");
    push(&store, &name("other/team/app"), manifest("image"), &["v1"]).await;
    let team = look(&store, "/ui/repositories?namespace=team&sort=size").await.body;
    assert!(team.contains(">team/app<") && team.contains(">team/other<"), "{team}");
    assert!(!team.contains(">tools<") && !team.contains("other/team/app"), "{team}");
    assert!(team.contains("/ui/repositories?namespace=team&#38;sort=name"), "columns keep it: {team}");
    assert!(team.contains("<input type=\"hidden\" name=\"namespace\" value=\"team\">"), "{team}");
}

#[tokio::test]
async fn a_part_of_a_list_in_which_nothing_is_left_leads_back() {
    let store = shown().await;
    for page in [
        "/ui/repositories?sort=name&after=name:0:zzz",
        "/ui/namespaces?after=namespace:name:0:zzz",
        "/ui/repository?name=team/app&sort=name&after=name:0:team/app:zzz",
    ] {
        let answer = look(&store, page).await;
        assert_eq!(answer.status, OK, "{page}: {}", answer.body);
        assert!(answer.body.contains(">From the beginning<"), "{page}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_looked_for_is_looked_for_without_the_spaces_around_it() {
    let store = shown().await;
    let body = look(&store, "/ui/search?q=%20team%2Fapp%20").await.body;
    assert!(body.contains("<span class=\"found-name\">team/app</span>"), "{body}");
}

#[tokio::test]
async fn sections_are_those_that_whoever_looks_may_see_whatever_the_page_was_asked_for() {
    let store = shown().await;
    let house = gate::house(&store);
    for page in
        ["/ui/", "/ui/manifest?repository=private/thing&tag=v1", "/ui/activity?repository=private/thing"]
    {
        let mut request = Request::get(page).body(Body::empty()).unwrap();
        request.extensions_mut().insert(viewer(&house.gate, Who::User));
        let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
        let body = send(state, request).await.body;
        let sections = body.split("class=\"sections\"").nth(1).unwrap().split("</nav>").next().unwrap();
        assert!(sections.contains(">Repositories<") && sections.contains(">Activity<"), "{page}: {sections}");
        assert!(!sections.contains(">In step<"), "{page}: {sections}");
    }
}

#[test]
fn the_style_sheet_lays_nothing_out_twice() {
    let style = include_str!("../pages/assets/portreeve.css");
    let always = style.split("@media").next().unwrap_or_default();
    let rules = always.split('}').filter_map(|rule| rule.split_once('{'));
    let mut seen = std::collections::BTreeSet::new();
    for (selector, rule) in rules.filter(|(_, rule)| rule.contains("display:")) {
        let selector = selector.rsplit("*/").next().unwrap_or_default().trim();
        assert!(seen.insert(selector), "{selector} is laid out twice: {rule}");
    }
    assert!(seen.contains(".stack") && seen.contains(".pile"), "{seen:?}");
}

#[test]
fn what_a_page_demands_is_a_route_of_the_api() {
    for page in all_pages() {
        for route in page.routes() {
            assert!(
                routes::of_the_api().contains(&route),
                "{} demands {route}, which there is not",
                page.path
            );
        }
    }
    let open = Viewer::Unrestricted;
    assert!(!open.is_nobody());
}
