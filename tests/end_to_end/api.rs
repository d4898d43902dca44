//! Who may ask what of the API: every route that it describes, as nobody, as a user who may pull from one repository, and as
//! an administrator.

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;

/// `admin` runs the door, `reader` pulls from one repository, `mounter` may list the names of all.
const RULES: &str = r#"[
    { who = "admin", repositories = "**", actions = ["*", "catalog", "admin"] },
    { who = "reader", repositories = "team/app", actions = "pull" },
    { who = "mounter", actions = "catalog" },
]"#;

/// What the operator's guide says of a request.
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    /// A secret of its own.
    Secret,
    /// `pull` on the repository that it names.
    Pull,
    Admin,
    /// `push` or `delete` on the repository that it names: of these users the administrator's.
    Write,
    /// Credentials: who may see nothing is shown nothing.
    Credentials,
}

/// Every request there is, with what it needs.
const REQUESTS: [(&str, &str, &str, Needs); 45] = [
    ("GET", "/api/v1/openapi.json", "", Needs::Nothing),
    ("POST", "/api/v1/notifications", "", Needs::Secret),
    ("GET", "/api/v1/repositories", "", Needs::Credentials),
    ("GET", "/api/v1/repositories", "?group_by=namespace", Needs::Credentials),
    ("GET", "/api/v1/search", "?q=a", Needs::Credentials),
    ("GET", "/api/v1/tags", "", Needs::Credentials),
    ("GET", "/api/v1/health", "", Needs::Admin),
    ("GET", "/api/v1/health", "?kind=untagged", Needs::Admin),
    ("GET", "/api/v1/statistics", "", Needs::Admin),
    ("GET", "/api/v1/tags", "?repository=team/app", Needs::Pull),
    ("GET", "/api/v1/tags", "?repository=private/app", Needs::Admin),
    ("GET", "/api/v1/manifests", "?repository=team/app", Needs::Pull),
    ("GET", "/api/v1/manifests", "?repository=private/app", Needs::Admin),
    ("GET", "/api/v1/events", "", Needs::Credentials),
    ("GET", "/api/v1/events", "?repository=team/app", Needs::Pull),
    ("GET", "/api/v1/events", "?repository=private/app", Needs::Admin),
    ("GET", "/api/v1/events", "?kind=auth", Needs::Admin),
    ("GET", "/api/v1/events", "?kind=auth&what=login_failed", Needs::Admin),
    ("GET", "/api/v1/events/stream", "", Needs::Credentials),
    ("GET", "/api/v1/events/stream", "?repository=private/app", Needs::Admin),
    ("GET", "/api/v1/status", "", Needs::Admin),
    ("GET", "/api/v1/removals", "", Needs::Admin),
    ("POST", "/api/v1/removals/accept", "", Needs::Admin),
    ("POST", "/api/v1/sync", "", Needs::Admin),
    ("GET", "/api/v1/me", "", Needs::Credentials),
    ("GET", "/api/v1/me/logins", "", Needs::Credentials),
    ("DELETE", "/api/v1/me/logins", "?id=0123456789abcdef", Needs::Credentials),
    ("GET", "/api/v1/tokens", "", Needs::Credentials),
    ("POST", "/api/v1/tokens", "", Needs::Credentials),
    ("DELETE", "/api/v1/tokens", "?id=0123456789abcdef", Needs::Credentials),
    ("GET", "/api/v1/users", "", Needs::Admin),
    ("GET", "/api/v1/access", "", Needs::Admin),
    ("GET", "/api/v1/access", "?user=alice&repository=team/app", Needs::Admin),
    ("POST", "/api/v1/users", "", Needs::Admin),
    ("DELETE", "/api/v1/users", "?name=nobody", Needs::Admin),
    ("POST", "/api/v1/users/password", "", Needs::Credentials),
    ("PATCH", "/api/v1/users", "?name=nobody", Needs::Admin),
    ("GET", "/api/v1/groups", "", Needs::Admin),
    ("GET", "/api/v1/lockouts", "", Needs::Admin),
    ("DELETE", "/api/v1/lockouts", "?user=nobody", Needs::Admin),
    // There is nothing to write to.
    ("DELETE", "/api/v1/repositories", "?repository=team/none", Needs::Write),
    ("DELETE", "/api/v1/tags", "?repository=team/none&tag=v1", Needs::Write),
    ("POST", "/api/v1/tags/delete", "?repository=team/none", Needs::Write),
    ("DELETE", "/api/v1/manifests", "?repository=team/none&digest=sha256:x", Needs::Write),
    ("POST", "/api/v1/undelete", "?repository=team/none", Needs::Write),
];

/// Whether a request of somebody who is let in does what it asks for: these lack a body, or name what is not there.
fn is_whole(method: &str, path: &str) -> bool {
    let lacking = [
        "/api/v1/me/logins",
        "/api/v1/tokens",
        "/api/v1/users",
        "/api/v1/users/password",
        "/api/v1/lockouts",
    ];
    method == "GET" || !lacking.contains(&path)
}

impl Needs {
    /// How such a request of this user is answered; nothing where it is let in.
    fn refusal(self, user: &str) -> Option<StatusCode> {
        let may = match self {
            Self::Nothing => true,
            Self::Secret => return Some(StatusCode::UNAUTHORIZED),
            Self::Pull => ["reader", "admin"].contains(&user),
            Self::Admin | Self::Write => user == "admin",
            Self::Credentials => !user.is_empty(),
        };
        let refusal = if user.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        (!may).then_some(refusal)
    }
}

async fn ask(door: &Door, user: &str, method: &str, path: &str) -> Response {
    let request = http_client().request(method.parse::<Method>().unwrap(), format!("{}{path}", door.url()));
    let request = if user.is_empty() { request } else { request.basic_auth(user, Some(password(user))) };
    request.send().await.unwrap()
}

/// A door of which nothing but `admin` may do everything, and two repositories behind it.
pub(crate) async fn filled(guard: &Guard, registry: &Registry) -> Door {
    let door = guard
        .door(registry.url())
        .set("AUTH__RULES", RULES.replace('\n', " "))
        .set("NOTIFICATIONS__SECRET", "0123456789abcdef")
        .start()
        .await;
    for (number, repository) in ["team/app", "private/app"].into_iter().enumerate() {
        push(&door, registry, repository, number as u64).await;
    }
    door
}

/// `admin` pushes an image under the tag `latest`.
pub(crate) async fn push(door: &Door, registry: &Registry, repository: &str, number: u64) {
    push_image(door, registry, repository, &Image::small(number)).await;
}

async fn push_image(door: &Door, registry: &Registry, repository: &str, image: &Image) {
    image.push_blobs(&registry.url(), repository).await;
    let scope = format!("repository:{repository}:pull,push");
    let token = crate::support::guard::token(&door.url(), "admin", &[&scope]).await;
    let authorization = reqwest::header::HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let headers = [(reqwest::header::AUTHORIZATION, authorization)].into_iter().collect();
    let client = crate::support::http::client_builder().default_headers(headers).build().unwrap();
    let put = image.put_by(&client, &door.url(), repository, "latest").await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED, "{repository}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_api_is_for_whom_the_rules_say_and_tells_others_whether_they_are_known() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    let document: Value = ask(&door, "", "GET", "/api/v1/openapi.json").await.json().await.unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            let is_walked = REQUESTS
                .iter()
                .any(|(known, request, ..)| request == path && known.eq_ignore_ascii_case(method));
            assert_eq!(operations.get(method).is_some(), is_walked, "{method} {path}");
        }
    }
    for (method, path, query, needs) in REQUESTS {
        for user in ["", "stranger", "mounter", "reader", "admin"] {
            let answer = ask(&door, user, method, &format!("{path}{query}")).await;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let about = format!("{user}: {method} {path}{query}");
            match needs.refusal(user) {
                None if is_whole(method, path) && !matches!(needs, Needs::Write) => {
                    assert!(status.is_success(), "{about}: {status}");
                }
                None => assert!([400, 404].contains(&status.as_u16()), "{about}: {status}"),
                Some(refusal) => {
                    assert_eq!(status, refusal, "{about}");
                    assert_error(answer, status, &about).await;
                    assert!(headers.contains_key("www-authenticate"), "{about}");
                }
            }
        }
        // Wrong credentials are those of nobody.
        let url = format!("{}{path}{query}", door.url());
        let wrong = http_client().request(method.parse::<Method>().unwrap(), url).bearer_auth("nonsense");
        let answer = wrong.send().await.unwrap();
        if !matches!(needs, Needs::Nothing | Needs::Secret) {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}{query}");
            assert_error(answer, StatusCode::UNAUTHORIZED, path).await;
        }
    }
}

/// Fails unless the answer has the one form that errors of the API have.
async fn assert_error(answer: Response, status: StatusCode, about: &str) {
    assert_eq!(answer.headers()["content-type"], "application/json", "{about}");
    let body: Value = answer.json().await.unwrap();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{about}: {body}"));
    assert_eq!((body.as_object().unwrap().len(), error.len()), (1, 2), "{about}: {body}");
    let code = match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        _ => error["code"].as_str().unwrap(),
    };
    assert_eq!(error["code"], code, "{about}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{about}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_api_have_one_form_whoever_makes_them() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    for (method, path, status) in [
        ("GET", "/api/v1/manifests", 400),
        ("GET", "/api/v1/tags?repository=team/app&n=0", 400),
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/api/v1/tags?repository=team/app", 400),
        ("PUT", "/api/v1/tags?repository=team/app", 405),
        ("PUT", "/api/v1/status", 405),
        ("GET", "/api/v1/tags?repository=unknown", 404),
    ] {
        let answer = ask(&door, "admin", method, path).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        if status == 405 {
            assert!(answer.headers().contains_key("allow"), "{method} {path}");
        }
        let status = answer.status();
        assert_error(answer, status, path).await;
    }
    // Clients of a registry hear what they understand.
    let answer = ask(&door, "reader", "GET", "/v2/private/app/tags/list").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0]["code"], "DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_all_repositories_shows_what_the_caller_may_pull() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    for (user, seen) in [
        ("admin", vec!["team/app", "private/app"]),
        ("reader", vec!["team/app"]),
        ("mounter", vec![]),
        ("stranger", vec![]),
    ] {
        for order in ["asc", "desc"] {
            let path = format!("/api/v1/events?order={order}&n=1000");
            let list: Value = ask(&door, user, "GET", &path).await.json().await.unwrap();
            let mut repositories: Vec<&str> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["repository"].as_str().unwrap())
                .collect();
            repositories.dedup();
            if order == "desc" {
                repositories.reverse();
            }
            assert_eq!(repositories, seen, "{user} {order}");
            assert_eq!(list["next"], Value::Null, "{user}");
        }
    }
    let by = async |user: &str| {
        let list = ask(&door, "reader", "GET", &format!("/api/v1/events?user={user}")).await;
        list.json::<Value>().await.unwrap()["items"].as_array().unwrap().len()
    };
    assert!(by("admin").await > 0);
    assert_eq!(by("reader").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_repositories_of_a_namespace_share_is_counted_once_of_what_the_caller_may_pull() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    // Two manifests of the same layer and configuration, and one of them twice.
    let (one, other) = (Image::small(0), Image::docker(0));
    push_image(&door, &registry, "team/other", &other).await;
    push_image(&door, &registry, "team/deep/copy", &one).await;
    let blobs: usize = one.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(one.blobs, other.blobs);
    let private = Image::small(1);
    let private_bytes =
        private.manifest.len() + private.blobs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let namespaces = async |user: &str| {
        let path = "/api/v1/repositories?group_by=namespace&sort=size";
        let list: Value = ask(&door, user, "GET", path).await.json().await.unwrap();
        assert!(list["age_seconds"].as_u64().unwrap() < 300, "{list}");
        let item = |item: &Value| {
            let number = |name: &str| usize::try_from(item[name].as_u64().unwrap()).unwrap();
            (item["namespace"].as_str().unwrap().to_owned(), number("repositories"), number("bytes"))
        };
        list["items"].as_array().unwrap().iter().map(item).collect::<Vec<_>>()
    };
    let all = one.manifest.len() + other.manifest.len() + blobs;
    let expected = [("team".to_owned(), 3, all), ("private".to_owned(), 1, private_bytes)];
    assert_eq!(namespaces("admin").await, expected);
    // The reader sees of the namespace what they may pull.
    assert_eq!(namespaces("reader").await, [("team".to_owned(), 1, one.manifest.len() + blobs)]);
    for user in ["mounter", "stranger"] {
        assert_eq!(namespaces(user).await, []);
    }
    assert_eq!(namespaces("admin").await, expected, "whatever others were told");
}
