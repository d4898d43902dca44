//! A door that lets in whom it knows: users, rules, and the tokens that they get.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve::auth::{Issuer, KeyAlgorithm, KeyDirectory, TokenSettings};
use portreeve::clock::{Clock, Timestamp};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use super::door::{Door, DoorBuilder};
use super::http::http_client;
use super::registry::Trust;

/// Everybody's password begins with this.
const PASSWORD: &str = "pass-of-";
/// Low, since tests log in often.
const COST: u32 = 4;

/// Who may do what, in tests.
const RULES: &str = r#"[
    { who = "admin", repositories = "**", actions = ["*", "catalog", "admin"] },
    { who = "group:developers", repositories = ["team/**", "home/${user}/**"], actions = ["pull", "push", "delete"] },
    { who = "reader", repositories = "team/**", actions = "pull" },
    { who = "mounter", repositories = "home/mounter/**", actions = ["pull", "push"] },
    { who = "anonymous", repositories = "public/**", actions = "pull" },
    { who = "*", repositories = "team/secret/**", actions = "*", deny = true },
]"#;

/// What outlives the doors of a test: keys and users.
pub struct Guard {
    directory: TempDir,
}

impl Guard {
    /// With the users `admin`, `alice` (a developer), `reader`, `mounter` (who has a home of their own) and `stranger`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let guard = Self { directory };
        guard.write_users(&["admin", "alice", "reader", "mounter", "stranger"]);
        guard
    }

    /// The users are these from now on, and `disabled`, who cannot log in.
    pub fn write_users(&self, users: &[&str]) {
        let line = |user: &str| format!("{user}:{}\n", bcrypt::hash(password(user), COST).unwrap());
        let aside = self.path("htpasswd.new");
        let shut_out = line("disabled").replacen(':', ":!", 1);
        std::fs::write(&aside, users.iter().map(|user| line(user)).collect::<String>() + shut_out.as_str())
            .unwrap();
        std::fs::rename(aside, self.path("htpasswd")).unwrap();
    }

    /// A file or directory beside the users.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory with the keys.
    pub fn keys(&self) -> KeyDirectory {
        KeyDirectory::new(self.path("keys"), KeyAlgorithm::Es256, std::time::Duration::from_secs(3600))
    }

    /// A file that lets a registry verify tokens; the key is made if there is none.
    pub fn trust(&self) -> Trust {
        let keys = self.keys();
        let ring = keys.open(Timestamp::now()).unwrap();
        let trust = Trust::here(|name| self.path(name));
        let content = match &trust {
            Trust::Certificates(_) => keys.certificates().unwrap(),
            Trust::KeySet(_) => serde_json::to_string(&ring.jwks()).unwrap(),
        };
        std::fs::write(trust.path(), content).unwrap();
        trust
    }

    /// What makes tokens as its doors do.
    pub fn issuer(&self) -> Issuer {
        let carries_certificate = matches!(Trust::here(|name| self.path(name)), Trust::Certificates(_));
        let settings = TokenSettings {
            issuer: "portreeve".to_owned(),
            service: "portreeve".to_owned(),
            ttl: std::time::Duration::from_secs(300),
            leeway: std::time::Duration::from_secs(60),
            carries_certificate,
        };
        Issuer::new(settings, self.keys().open(Timestamp::now()).unwrap(), Clock::SYSTEM)
    }

    /// A door that requires tokens.
    pub fn door(&self, registry_url: impl Into<String>) -> DoorBuilder {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        Door::builder(registry_url)
            .set("AUTH__MODE", "on")
            .set("AUTH__VERIFIED_BY", Trust::here(|name| self.path(name)).name())
            .set("AUTH__HTPASSWD", text(&self.path("htpasswd")))
            .set("AUTH__KEYS", text(&self.path("keys")))
            .set("AUTH__GROUPS", "{ developers = [\"alice\"] }")
            .set("AUTH__RULES", RULES.replace('\n', " "))
    }
}

/// Somebody's password.
pub fn password(user: &str) -> String {
    format!("{PASSWORD}{user}")
}

/// Asks the token endpoint as `docker` does: for somebody, or for nobody if the name is empty.
pub async fn ask_token(door: &str, user: &str, query: &str) -> Response {
    let request = http_client().get(format!("{door}/token?{query}"));
    let request = if user.is_empty() { request } else { request.basic_auth(user, Some(password(user))) };
    request.send().await.unwrap()
}

/// A token with these scopes.
pub async fn token(door: &str, user: &str, scopes: &[&str]) -> String {
    let query: Vec<String> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
    let response = ask_token(door, user, &query.join("&")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["token"], answer["access_token"]);
    answer["token"].as_str().unwrap().to_owned()
}

/// The header of a token.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

/// The claims of a token.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, place: usize) -> Value {
    let part = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// What a token grants: actions by repository, in their order.
pub fn grants(token: &str) -> BTreeMap<String, Vec<String>> {
    let access = claims(token)["access"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entry = |access: &Value| {
        let actions = access["actions"].as_array().unwrap().iter().map(text).collect();
        (format!("{}:{}", text(&access["type"]), text(&access["name"])), actions)
    };
    access.iter().map(entry).collect()
}
