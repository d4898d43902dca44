//! Pages as a door sends them: to whom, with which headers, and what a door without them answers.

use std::time::Duration;

use reqwest::{StatusCode, header, redirect};
use serde_json::Value;

use crate::api::filled;
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::http::client_builder;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::ACCEPT_ALL;
use crate::support::wait::until_seen;

/// Answers are looked at as they come: none is followed.
async fn look(door: &Door, user: &str, page: &str) -> reqwest::Response {
    let client = client_builder().redirect(redirect::Policy::none()).build().unwrap();
    let request = client.get(format!("{}{page}", door.url())).header(header::ACCEPT, "text/html");
    let request = if user.is_empty() { request } else { request.basic_auth(user, Some(password(user))) };
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_to_everybody_what_they_may_pull_and_send_whoever_is_not_known_to_sign_in() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    for page in ["/ui/", "/ui/repositories", "/ui/search?q=app", "/ui/activity"] {
        let nobody = look(&door, "", page).await;
        assert_eq!(nobody.status(), StatusCode::SEE_OTHER, "{page}");
        let location = nobody.headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert!(location.starts_with("/ui/sign-in?next=%2Fui%2F"), "{location}");
        for (user, sees_private) in [("reader", false), ("admin", true)] {
            let answer = look(&door, user, page).await;
            assert_eq!(answer.status(), StatusCode::OK, "{page} for {user}");
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            let html = answer.text().await.unwrap();
            assert!(html.contains("team/app"), "{page} for {user}: {html}");
            assert_eq!(html.contains("private/app"), sees_private, "{page} for {user}: {html}");
        }
    }
    // Wrong credentials are refused as everywhere.
    let client = client_builder().build().unwrap();
    let wrong = client.get(format!("{}/ui/", door.url())).basic_auth("admin", Some("wrong"));
    let wrong = wrong.send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let policy = wrong.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = wrong.text().await.unwrap();
    assert!(html.contains("Not for you") && html.contains("/ui/assets/portreeve-"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_door_shows_a_push_on_its_first_page_and_loads_what_the_page_names() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let root = look(&door, "", "/").await;
    assert_eq!(
        (root.status(), &root.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/ui/".parse().unwrap())
    );
    let empty = look(&door, "", "/ui/").await.text().await.unwrap();
    let address = door.address();
    assert!(empty.contains(&format!("docker push {address}/my-image:latest")), "{empty}");
    Image::small(1).push(&door.url(), "team/app", "v1").await;
    let html = look(&door, "", "/ui/").await.text().await.unwrap();
    assert!(html.contains("team/app") && html.contains(">v1<"), "{html}");
    let assets: Vec<_> = html.split('"').filter(|text| text.starts_with("/ui/assets/")).collect();
    assert!(assets.len() > 3, "{html}");
    for asset in assets {
        let answer = look(&door, "", asset.split('#').next().unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{asset}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable", "{asset}");
    }
    let compressed = client_builder().build().unwrap().get(format!("{}/ui/", door.url()));
    let compressed = compressed.header(header::ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(compressed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(&compressed.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
    let missing = look(&door, "", "/ui/nothing").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("First page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_pulls_are_counted_by_the_hour_and_shown_on_their_day() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for tag in ["v1", "v2"] {
        Image::small(1).push(&door.url(), "team/app", tag).await;
    }
    let pull = client_builder().build().unwrap().get(format!("{}/v2/team/app/manifests/v1", door.url()));
    let pulled = pull.header(header::ACCEPT, ACCEPT_ALL).send().await.unwrap();
    assert_eq!(pulled.status(), StatusCode::OK);
    let days = async || door.get_json("/api/v1/statistics?days=2").await["days"].take();
    // At midnight they are on two days.
    let all = |days: &Value, name: &str| -> u64 {
        let numbers = days.as_array().unwrap().iter().flat_map(|day| day[name].as_array().unwrap());
        numbers.map(|number| number.as_u64().unwrap()).sum()
    };
    let is_counted = |days: &Value| all(days, "pulls_by_hour") == 1;
    let days = until_seen("the pull is counted", Duration::from_secs(60), days, is_counted).await;
    assert_eq!(all(&days, "pushes_by_hour"), 2, "{days:#}");
    for day in days.as_array().unwrap() {
        let page = format!("/ui/activity?day={}", day["day"].as_str().unwrap());
        let html = look(&door, "", &page).await.text().await.unwrap();
        for name in ["pushes", "pulls"] {
            for (hour, count) in day[format!("{name}_by_hour")].as_array().unwrap().iter().enumerate() {
                let bar = format!("<title>{hour:02}:00 to {:02}:00: {count}</title>", hour + 1);
                assert_eq!(html.contains(&bar), count != 0, "{name}: {bar} in {html}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_pages_has_none() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("PAGES__ENABLED", "false").start().await;
    for page in ["/ui/", "/ui/sign-in", "/ui/access"] {
        assert_eq!(look(&door, "", page).await.status(), StatusCode::NOT_FOUND, "{page}");
    }
    assert!(look(&door, "", "/").await.text().await.unwrap().starts_with("Portreeve "));
    let guard = Guard::new();
    let door = guard.door(registry.url()).set("PAGES__ENABLED", "false").start().await;
    for page in ["/ui/", "/ui/sign-in", "/ui/access"] {
        let refused = look(&door, "", page).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{page}");
        assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/json", "{page}");
    }
}
