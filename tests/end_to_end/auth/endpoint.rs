//! The token endpoint: the scenarios K1 to K6.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, claims, grants, password, token};
use crate::support::http::{error_of, http_client};

async fn door(guard: &Guard) -> Door {
    // Nobody asks the registry anything here.
    guard.door("http://127.0.0.1:9").start_listening().await
}

fn access(entries: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |actions: &[&str]| actions.iter().map(ToString::to_string).collect();
    entries.iter().map(|(name, actions)| ((*name).to_owned(), owned(actions))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn k1_wrong_credentials_are_refused_alike_and_none_get_an_anonymous_token() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let url = format!("{}/token?service=portreeve&scope=repository:public/a:pull", door.url());
    let mut refusals = Vec::new();
    for (user, password) in [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("nobody", "pass-of-nobody"),
        ("disabled", "pass-of-disabled"),
        ("no body", "wrong"),
        ("", "wrong"),
    ] {
        let response = http_client().get(&url).basic_auth(user, Some(password)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        refusals.push(response.text().await.unwrap());
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(!door.whole_log().await.contains("wrong\""), "no password is logged");

    let anonymous =
        token(&door.url(), "", &["repository:public/a:pull,push", "repository:team/a:pull"]).await;
    assert_eq!(grants(&anonymous), access(&[("repository:public/a", &["pull"])]));
    assert_eq!(claims(&anonymous)["sub"], "");
    // An empty name and password are nobody's.
    let empty = http_client().get(&url).basic_auth("", Some("")).send().await.unwrap();
    assert_eq!(empty.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn k2_k3_a_token_grants_the_part_that_is_allowed() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let other = token(&door.url(), "stranger", &["repository:team/a:pull,push"]).await;
    assert_eq!(grants(&other), access(&[]));
    let reader = token(&door.url(), "reader", &["repository:team/a:pull,push"]).await;
    assert_eq!(grants(&reader), access(&[("repository:team/a", &["pull"])]));
    let own =
        token(&door.url(), "alice", &["repository:home/alice/x:push", "repository:home/bob/x:push"]).await;
    assert_eq!(grants(&own), access(&[("repository:home/alice/x", &["push"])]));
    let denied = token(&door.url(), "alice", &["repository:team/secret/x:*"]).await;
    assert_eq!(grants(&denied), access(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn k4_several_scopes_in_every_spelling_are_merged() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let scopes = [
        "repository:team/a:pull%20repository:team/b:pull",
        "repository:team/a:push",
        "repository:team/c:*",
        "registry:catalog:*",
        "repository:registry.example:5000/team/a:pull",
    ];
    let expected = [
        ("repository:team/a", &["pull", "push"][..]),
        ("repository:team/b", &["pull"]),
        ("repository:team/c", &["pull", "push", "delete"]),
        ("registry:catalog", &["pull"]),
    ];
    assert_eq!(grants(&token(&door.url(), "alice", &scopes).await), access(&expected));
    let catalog = token(&door.url(), "admin", &["registry:catalog:*"]).await;
    assert_eq!(grants(&catalog), access(&[("registry:catalog", &["*"])]));
}

#[tokio::test(flavor = "multi_thread")]
async fn k5_a_malformed_scope_is_left_out_and_an_unknown_service_is_named() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let scopes = ["nonsense", "repository:UPPER:pull", "repository:team/a:pull"];
    let granted = grants(&token(&door.url(), "alice", &scopes).await);
    assert_eq!(granted, access(&[("repository:team/a", &["pull"])]));
    let response = ask_token(&door.url(), "alice", "service=elsewhere.test").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let (_, message) = error_of(response).await;
    assert!(message.contains("elsewhere.test") && message.contains("portreeve"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn k6_the_subject_is_who_authenticated() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let response = ask_token(&door.url(), "reader", "account=admin&scope=repository:team/a:push").await;
    let answer: Value = response.json().await.unwrap();
    let token = answer["token"].as_str().unwrap();
    assert_eq!((&claims(token)["sub"], &claims(token)["access"]), (&json!("reader"), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn k10_five_hundred_logins_with_one_password_cost_a_few_hashes() {
    let guard = Guard::new();
    // Half a minute of one processor, if each were hashed.
    let hash = bcrypt::hash(password("alice"), 10).unwrap();
    std::fs::write(guard.path("htpasswd"), format!("alice:{hash}\n")).unwrap();
    let door = door(&guard).await;
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    let asking = async {
        for _ in 0..10 {
            let (url, scope) = (door.url(), "scope=repository:team/a:pull");
            let asked = (0..50).map(|_| ask_token(&url, "alice", scope));
            for response in futures_util::future::join_all(asked).await {
                assert_eq!(response.status(), StatusCode::OK);
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), asking)
        .await
        .expect("passwords are not remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_from_the_clients_clock_and_is_never_stored() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let response = ask_token(&door.url(), "alice", "scope=repository:team/a:pull").await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["expires_in"], 300);
    assert!(answer.get("issued_at").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth2_clients_post_their_password() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let url = format!("{}/token", door.url());
    let secret = password("alice");
    let form = [
        ("grant_type", "password"),
        ("service", "portreeve"),
        ("client_id", "containerd-client"),
        ("username", "alice"),
        ("password", &secret),
        ("scope", "repository:team/a:pull,push"),
        ("scope", "repository:other/b:pull"),
    ];
    let body = |form: &[(&str, &str)]| {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
    };
    let post = async |body: String| {
        let request = http_client().post(&url).header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap()
    };
    let response = post(body(&form)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["scope"], "repository:team/a:pull,push");
    assert!(answer["expires_in"].is_u64());
    let granted = grants(answer["access_token"].as_str().unwrap());
    assert_eq!(granted, access(&[("repository:team/a", &["pull", "push"])]));
    let mut wrong = form;
    wrong[4].1 = "wrong";
    assert_eq!(post(body(&wrong)).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(post(body(&form[..4])).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(post(body(&[("grant_type", "implicit")])).await.status(), StatusCode::BAD_REQUEST);
    let json = http_client().post(&url).header("content-type", "application/json").body("{}");
    assert_eq!(json.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_has_to_wait_and_who_knows_does_not() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let url = format!("{}/token", door.url());
    let guess = async |password: &str| {
        let request = http_client().get(&url).basic_auth("alice", Some(password));
        request.send().await.unwrap()
    };
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    // A script with an old password is no guesser.
    for _ in 0..10 {
        assert_eq!(guess("old").await.status(), StatusCode::UNAUTHORIZED);
    }
    // Guesses at once are as many guesses.
    let guesses: Vec<String> = (0..20).map(|number| format!("guess {number}")).collect();
    let answers = futures_util::future::join_all(guesses.iter().map(|password| guess(password))).await;
    let refused = answers.iter().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.count(), 17);
    let response = guess("another").await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key("retry-after"));
    // What was right a moment ago, from there, passes; from elsewhere it is one guess more, and free there.
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    // Somebody else behind the same address.
    assert_eq!(ask_token(&door.url(), "reader", "").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_keys_are_published_and_nothing_else_of_them() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let keys = door.get_json("/.well-known/jwks.json").await;
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
    assert!(key.get("d").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_and_go_with_their_file() {
    let guard = Guard::new();
    let door = door(&guard).await;
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    assert_eq!(ask_token(&door.url(), "carol", "").await.status(), StatusCode::UNAUTHORIZED);
    guard.write_users(&["carol", "reader"]);
    crate::support::wait::until("the new file counts", std::time::Duration::from_secs(20), async || {
        ask_token(&door.url(), "alice", "").await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(ask_token(&door.url(), "carol", "").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_door_has_no_tokens() {
    let door = Door::builder("http://127.0.0.1:9").start_listening().await;
    assert_eq!(ask_token(&door.url(), "", "").await.status(), StatusCode::NOT_FOUND);
}
