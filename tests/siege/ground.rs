//! What is besieged: a registry that verifies tokens, a door behind TLS in front of it, users, and something to pull.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use bytes::Bytes;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::attackers::Attack;
use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::guard::Guard;
use crate::support::http::client_builder;
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;

/// Users who log in for the first time, one after the other.
pub const NEWCOMERS: usize = 20_000;
/// Everybody's password but the attackers'.
pub const PASSWORD: &str = "a password that is right";
/// An insider: who has this name and password may push to a place of their own.
pub const INSIDER: (&str, &str) = ("insider", "a password that is an insider's");
/// What hashes cost, as operators are advised to choose it.
const COST: u32 = 10;
/// The bytes of the blob that anybody may pull: more than all buffers on the way hold.
const BIG: usize = 64 << 20;
/// What the operator does before the siege, which the audit keeps.
const ROBOTS: usize = 5;

/// A besieged door.
pub struct Ground {
    /// It.
    pub door: Door,
    guard: Guard,
    _registry: Registry,
    target: Target,
}

/// What the attackers know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Where the door is.
    pub address: SocketAddr,
    /// Its certificate.
    pub certificate: PathBuf,
    /// A blob in `public/big` that anybody may pull.
    pub blob: String,
}

/// The attackers' process.
pub struct Attackers(Child);

impl Ground {
    /// Starts it all.
    pub async fn prepare() -> Self {
        let guard = Guard::new();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(guard.path("tls.crt"), cert.pem()).unwrap();
        std::fs::write(guard.path("tls.key"), signing_key.serialize_pem()).unwrap();
        write_users(&guard);
        let registry = Registry::start_verifying(&guard.trust()).await;
        let rules = r#"[
            { who = "admin", repositories = "**", actions = ["*", "catalog", "admin"] },
            { who = "*", repositories = "team/**", actions = ["pull", "push"] },
            { who = "insider", repositories = "insider/**", actions = ["pull", "push"] },
            { who = "anonymous", repositories = "public/**", actions = "pull" },
        ]"#;
        let text = |name: &str| guard.path(name).to_str().unwrap().to_owned();
        let door = guard
            .door(registry.url())
            .set("AUTH__RULES", rules.replace('\n', " "))
            .set("REGISTRY__AUTH", "token")
            .set("LISTEN__TLS__CERT", text("tls.crt"))
            .set("LISTEN__TLS__KEY", text("tls.key"))
            .set("SERVER__SOCKET", text("socket"))
            .store(guard.path("store.redb"))
            .start()
            .await;
        for number in 0..ROBOTS {
            create_robot(&guard, number).await;
        }
        let blob = put_big_blob(&door).await;
        let target = Target { address: door.address(), certificate: guard.path("tls.crt"), blob };
        Self { door, guard, _registry: registry, target }
    }

    /// Where clients reach it.
    pub fn url(&self) -> String {
        self.door.url()
    }

    /// Sends the attackers, or only some of them.
    pub fn send_attackers(&self, only: &[Attack]) -> Attackers {
        let target = serde_json::to_string(&self.target).unwrap();
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe().unwrap()).args(["--target", &target]);
        for attack in only {
            command.args(["--only", &attack.name()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Attackers(command.spawn().unwrap())
    }

    /// How much of what the audit has to keep is in it: robots that were created, and the first login.
    pub async fn kept_in_audit(&self) -> Result<(), String> {
        let client = client_builder().build().unwrap();
        let (mut robots, mut logins, mut after) = (0, 0, None);
        loop {
            let page = after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
            let url = format!("{}/api/v1/events?kind=auth&n=1000{page}", self.url());
            let request = client.get(url).basic_auth("admin", Some(PASSWORD));
            let response = request.send().await.map_err(|error| format!("the audit: {error}"))?;
            let status = response.status();
            let text = response.text().await.map_err(|error| format!("the audit: {error}"))?;
            if status != 200 {
                return Err(format!("the audit is answered with {status}: {text}"));
            }
            let page: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            for event in page["items"].as_array().into_iter().flatten() {
                robots += usize::from(event["kind"] == "account");
                logins += usize::from(event["kind"] == "login" && event["user"] == "newcomer-0");
            }
            let next = page["next"].as_u64().map(|next| next.to_string());
            after = next.or_else(|| page["next"].as_str().map(str::to_owned));
            if after.is_none() {
                break;
            }
        }
        match (robots >= ROBOTS, logins >= 1) {
            (true, true) => Ok(()),
            _ => Err(format!(
                "of {ROBOTS} robots {robots} are in the audit, and the first login {logins} times"
            )),
        }
    }

    /// Shows the end of what the door said.
    pub fn show_log(&self) {
        let log = self.door.log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("\"target\":\"access\"")).collect();
        for line in &lines[lines.len().saturating_sub(60)..] {
            eprintln!("{}", line.chars().take(400).collect::<String>());
        }
        let length: usize = log.len();
        eprintln!(
            "siege: the door's log has {length} bytes; the guard's files are in {}",
            self.guard.path("").display()
        );
    }
}

impl Attackers {
    /// Ends them, and says what each of them did.
    pub async fn stop(mut self) -> String {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
        let status = self.0.wait().await.unwrap();
        assert!(status.success(), "the attackers ended with {status}");
        said
    }
}

/// All newcomers have one hash: making twenty thousand would take longer than the siege.
fn write_users(guard: &Guard) {
    let (right, insider) = (bcrypt::hash(PASSWORD, COST).unwrap(), bcrypt::hash(INSIDER.1, COST).unwrap());
    let mut text = format!("admin:{right}\nworker:{right}\nrotated:{right}\n{}:{insider}\n", INSIDER.0);
    for number in 0..NEWCOMERS {
        text += &format!("newcomer-{number}:{right}\n");
    }
    std::fs::write(guard.path("htpasswd"), text).unwrap();
}

async fn create_robot(guard: &Guard, number: usize) {
    let name = format!("robot-{number}");
    let output = portreeve()
        .args(["token", "create", "--name", &name, "--repositories", "team/**", "--actions", "pull"])
        .args(["--expires", "90d"])
        .current_dir(guard.path(""))
        .env("PORTREEVE__STORE__URL", format!("redb:{}", guard.path("store.redb").display()))
        .env("PORTREEVE__SERVER__SOCKET", guard.path("socket"))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A blob in `public/big`, which the administrator puts there.
async fn put_big_blob(door: &Door) -> String {
    let bytes = Bytes::from(vec![7; BIG]);
    let digest = digest(&bytes);
    let image = Image { blobs: vec![(digest.clone(), bytes)], ..Image::small(0) };
    let (client, base) = (client_builder().build().unwrap(), door.url());
    for (digest, bytes) in &image.blobs {
        let url = format!("{base}/v2/public/big/blobs/uploads/?digest={digest}");
        let token = token(&client, &base, "admin", "repository:public/big:pull,push").await.unwrap();
        let start = client.post(format!("{base}/v2/public/big/blobs/uploads/")).bearer_auth(&token);
        let started = start.send().await.unwrap();
        assert_eq!(started.status(), 202, "{url}");
        let location = started.headers()["location"].to_str().unwrap().to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let put = client.put(format!("{location}{separator}digest={digest}")).bearer_auth(&token);
        let put = put.header("content-type", "application/octet-stream").body(bytes.clone());
        assert_eq!(put.send().await.unwrap().status(), 201);
    }
    digest
}

/// A token for somebody with the common password; for nobody if the name is empty.
pub async fn token(client: &reqwest::Client, base: &str, user: &str, scope: &str) -> Result<String, String> {
    token_by(client, base, (user, PASSWORD), scope).await
}

/// A token for somebody.
pub async fn token_by(
    client: &reqwest::Client,
    base: &str,
    (user, password): (&str, &str),
    scope: &str,
) -> Result<String, String> {
    let request = client.get(format!("{base}/token?service=portreeve&scope={scope}"));
    let request = if user.is_empty() { request } else { request.basic_auth(user, Some(password)) };
    let response = request.send().await.map_err(|error| format!("/token: {error:?}"))?;
    let status = response.status();
    let text = response.text().await.map_err(|error| format!("/token: {error:?}"))?;
    if status != 200 {
        return Err(format!("/token for {user}: {status} {text}"));
    }
    let answer: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(answer["token"].as_str().unwrap_or_default().to_owned())
}

/// Waits for what tells the attackers to stop: the end of their input.
pub async fn until_told_to_stop() {
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await.unwrap().unwrap();
}
