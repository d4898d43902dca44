//! What the pages of a repository change: deleted and brought back by their forms, as programs send them and in a browser, with
//! scripts and without.

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use thirtyfour::By;

use super::browser::Browser;
use crate::support::door::Door;
use crate::support::guard::{Guard, password, token};
use crate::support::http::{client_builder, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{record, truth};
use crate::support::sweep::sweep_through;

const RULES: &str = r#"[
    { who = "admin", repositories = "**", actions = ["*", "catalog", "admin"] },
    { who = "alice", repositories = "team/**", actions = ["pull", "push", "delete"] },
    { who = "ben", repositories = "team/**", actions = "pull" },
]"#;

/// What the door answers to a form that somebody sends to this page, and where it leads.
async fn send(door: &Door, user: Option<&str>, page: &str) -> (StatusCode, String, String) {
    let request = http_client().post(format!("{}{page}", door.url()));
    let request = match user {
        Some(user) => request.basic_auth(user, Some(password(user))),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let location = answer.headers().get(header::LOCATION).map(|page| page.to_str().unwrap().to_owned());
    (answer.status(), location.unwrap_or_default(), answer.text().await.unwrap())
}

async fn read(door: &Door, user: Option<&str>, page: &str) -> (StatusCode, String) {
    let request = http_client().get(format!("{}{page}", door.url()));
    let request = match user {
        Some(user) => request.basic_auth(user, Some(password(user))),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn tags(registry: &Registry) -> Vec<String> {
    truth(&registry.url()).await.into_keys().map(|(repository, tag)| format!("{repository}:{tag}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_delete_and_bring_back_in_the_name_of_who_sent_them() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    guard.write_users(&["admin", "alice", "ben"]);
    let door = guard.door(registry.url()).set("AUTH__RULES", RULES.replace('\n', " ")).start().await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "team/app").await;
    let token = token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    let mut headers = header::HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let client = client_builder().default_headers(headers).build().unwrap();
    for tag in ["v1", "latest"] {
        let put = image.put_by(&client, &door.url(), "team/app", tag).await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
    }
    let deletion = "/ui/delete?repository=team%2Fapp&tag=v1";
    let (status, html) = read(&door, Some("alice"), deletion).await;
    assert_eq!(status, StatusCode::OK);
    let preview = format!("the tag team/app:v1, which points to {}; latest stay", image.digest);
    assert!(html.contains(&preview), "{html}");
    // Who may only pull, nobody, and a page of another site.
    assert_eq!(send(&door, Some("ben"), deletion).await.0, StatusCode::FORBIDDEN);
    assert_eq!(send(&door, None, deletion).await.0, StatusCode::SEE_OTHER);
    let elsewhere = http_client().post(format!("{}{deletion}", door.url()));
    let elsewhere =
        elsewhere.basic_auth("alice", Some(password("alice"))).header("sec-fetch-site", "cross-site");
    assert_eq!(elsewhere.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(tags(&registry).await, ["team/app:latest", "team/app:v1"]);

    let (status, location, _) = send(&door, Some("alice"), deletion).await;
    assert_eq!((status, &*location), (StatusCode::SEE_OTHER, "/ui/manifest?repository=team%2Fapp&tag=v1"));
    assert_eq!(tags(&registry).await, ["team/app:latest"]);
    let (status, html) = read(&door, Some("alice"), &location).await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("not there any more") && html.contains("by alice"), "{html}");
    let undeletion = "/ui/undelete?repository=team%2Fapp&tag=v1";
    assert!(html.contains("action=\"/ui/undelete?repository=team%2Fapp&#38;tag=v1\""), "{html}");
    let (_, of_ben) = read(&door, Some("ben"), &location).await;
    assert!(of_ben.contains("not there any more") && !of_ben.contains("/ui/undelete"), "{of_ben}");
    assert_eq!(send(&door, Some("ben"), undeletion).await.0, StatusCode::FORBIDDEN);

    let (status, location, _) = send(&door, Some("alice"), undeletion).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, html) = read(&door, Some("alice"), &location).await;
    assert!(html.contains("It is back."), "{location}: {html}");
    assert_eq!(tags(&registry).await, ["team/app:latest", "team/app:v1"]);
    let again = send(&door, Some("alice"), undeletion).await;
    assert_eq!(again.0, StatusCode::CONFLICT, "{}", again.2);

    let (status, location, _) =
        send(&door, Some("alice"), &format!("/ui/delete?repository=team%2Fapp&digest={}", image.digest))
            .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(tags(&registry).await, Vec::<String>::new());
    let (status, html) = read(&door, Some("alice"), &location).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    assert!(html.contains("Bring back"), "{html}");
    let back = format!("/ui/undelete?repository=team%2Fapp&digest={}", image.digest);
    assert_eq!(send(&door, Some("alice"), &back).await.0, StatusCode::SEE_OTHER);
    assert_eq!(tags(&registry).await, ["team/app:latest", "team/app:v1"]);

    let (status, location, _) = send(&door, Some("alice"), "/ui/delete?repository=team%2Fapp").await;
    assert_eq!((status, &*location), (StatusCode::SEE_OTHER, "/ui/repository?name=team%2Fapp"));
    assert_eq!(tags(&registry).await, Vec::<String>::new());
    let (status, html) = read(&door, Some("alice"), &location).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    assert!(html.contains("No tag points to anything here"), "{html}");

    let ask = http_client().get(format!("{}/api/v1/events?repository=team/app&kind=tag_deleted", door.url()));
    let events: Value =
        ask.basic_auth("alice", Some(password("alice"))).send().await.unwrap().json().await.unwrap();
    let events = events["items"].as_array().unwrap();
    assert!(events.len() >= 5, "{events:?}");
    for event in events {
        assert_eq!((&event["actor"]["user"], &event["source"]), (&json!("alice"), &json!("observed")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_deletes_nothing_is_told_of_beside_what_would_have_gone() {
    let registry = Registry::start_without_deletion().await;
    let door = Door::builder(registry.url()).set("PAGES__OPEN_WRITES", "true").start().await;
    let image = Image::small(1);
    for tag in ["v1", "v2"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    let (status, _, html) = send(&door, None, "/ui/delete?repository=team/app&tag=v1").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{html}");
    assert!(html.contains("Not deleted.") && html.contains("it deletes nothing"), "{html}");
    assert!(html.contains("would delete these tags, too: v2"), "{html}");
    assert_eq!(tags(&registry).await, ["team/app:v1", "team/app:v2"]);
}

/// Presses the button of a form, or follows a link, with these words.
async fn press(browser: &Browser, words: &str) {
    let path = format!("//main//*[self::button or self::a][contains(normalize-space(.), '{words}')]");
    let button = browser.driver().find(By::XPath(path)).await;
    let button = match button {
        Ok(button) => button,
        Err(error) => panic!("{error}: {}", browser.shown().await),
    };
    button.click().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_deleted_and_brought_back_in_a_browser_with_scripts_and_without() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("PAGES__OPEN_WRITES", "true").start().await;
    let image = Image::small(1);
    for tag in ["v1", "latest"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    let browser = Browser::start().await;
    for are_run in [true, false] {
        browser.run_scripts(are_run).await;
        browser.open(&format!("{}/ui/repository?name=team/app", door.url())).await;
        press(&browser, "v1").await;
        browser.until("the tag's page", "location.pathname === '/ui/manifest'").await;
        press(&browser, "Delete tag").await;
        let goes =
            format!("document.body.innerText.includes('tag team/app:v1, which points to {}')", image.digest);
        browser.until("what would go", &goes).await;
        press(&browser, "Delete").await;
        browser.until("it is gone", "document.body.innerText.includes('not there any more')").await;
        assert_eq!(tags(&registry).await, ["team/app:latest"]);
        press(&browser, "Bring back").await;
        browser.until("it is back", "document.body.innerText.includes('It is back.')").await;
        assert_eq!(tags(&registry).await, ["team/app:latest", "team/app:v1"]);
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
    browser.run_scripts(true).await;
    // What is copied is what is shown.
    browser.open(&format!("{}/ui/manifest?repository=team/app&tag=v1", door.url())).await;
    let command =
        browser.evaluate("return document.querySelector('.commands [data-copy]').dataset.copy").await;
    assert_eq!(command, json!(format!("docker pull {}/team/app:v1", door.address())));
    assert_eq!(sweep_through(&door, true).await, 0);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_tags_are_deleted_together_in_a_browser_without_scripts() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("PAGES__OPEN_WRITES", "true").start().await;
    for (seed, tag) in [(1, "v1"), (2, "v2"), (3, "v3")] {
        Image::small(seed).push(&door.url(), "team/app", tag).await;
    }
    let browser = Browser::start().await;
    browser.run_scripts(false).await;
    browser.open(&format!("{}/ui/repository?name=team/app&sort=name", door.url())).await;
    for tag in ["v1", "v3"] {
        let field = By::Css(format!("input[name='tag'][value='{tag}']"));
        browser.driver().find(field).await.unwrap().click().await.unwrap();
    }
    press(&browser, "Delete chosen tags").await;
    let goes =
        "document.body.innerText.includes('he tags v1, v3 of team/app; all manifests stay, 2 of them')";
    browser.until("what would go", goes).await;
    press(&browser, "Delete").await;
    browser.until("they are gone", "location.pathname === '/ui/repository'").await;
    assert_eq!(tags(&registry).await, ["team/app:v2"]);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    assert_eq!(sweep_through(&door, true).await, 0);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}
