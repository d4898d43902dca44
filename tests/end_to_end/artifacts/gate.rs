//! The same clients where tokens are required: they log in, get what the rules say, and are refused the rest.

use serde_json::Value;

use crate::auth::catalog::sweep;
use crate::auth::clients::refused;
use crate::clients::write_layout;
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::tool::Tool;

const SBOM: &str = "application/vnd.example.sbom";

/// `crane` as this user, or as nobody.
async fn crane(address: &str, user: &str) -> Tool {
    let crane = Tool::brought("crane");
    if !user.is_empty() {
        let login = ["auth", "login", "--username", user, "--password", &password(user), address];
        crane.run(&login).await;
    }
    crane
}

/// `oras` as this user, or as nobody, with a file to attach.
async fn oras(address: &str, user: &str) -> Tool {
    let oras = Tool::brought("oras");
    std::fs::write(oras.home().join("file"), format!("by {user}\n")).unwrap();
    if !user.is_empty() {
        let login = ["login", "--plain-http", "--username", user, "--password", &password(user), address];
        oras.run(&login).await;
    }
    oras
}

/// What refers to an image, as `oras discover` finds it.
async fn discovered(oras: &Tool, image: &str) -> Vec<String> {
    let said = oras.run(&["discover", "--plain-http", "--format", "json", image]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    let digest = |referrer: &Value| referrer["digest"].as_str().unwrap().to_owned();
    let mut found: Vec<_> = said["referrers"].as_array().unwrap().iter().map(digest).collect();
    found.sort_unstable();
    found
}

/// Attaches the file to an image: the artifact's digest.
async fn attach(oras: &Tool, image: &str) -> String {
    let attach = ["attach", "--plain-http", "--format", "json", "--artifact-type", SBOM, image, "file"];
    let said: Value = serde_json::from_str(&oras.run(&attach).await).unwrap();
    said["digest"].as_str().unwrap().to_owned()
}

async fn crane_and_oras_do_what_the_rules_say(door: &Door) {
    let address = door.address().to_string();
    let tagged = |name: &str| format!("{address}/{name}");
    let (first, second, elsewhere) = (tagged("team/app:v1"), tagged("team/app:v2"), tagged("private/app:v1"));
    let (alice, reader) = (crane(&address, "alice").await, crane(&address, "reader").await);
    let (admin, nobody) = (crane(&address, "admin").await, crane(&address, "").await);

    let image = Image::small(1);
    for tool in [&alice, &reader, &admin, &nobody] {
        write_layout(&tool.home().join("layout"), &image, std::slice::from_ref(&image));
    }
    refused(&nobody, &["push", "layout", &first]).await;
    refused(&reader, &["push", "layout", &first]).await;
    refused(&alice, &["push", "layout", &elsewhere]).await;
    alice.run(&["push", "layout", &first]).await;
    alice.run(&["copy", &first, &second]).await;
    alice.run(&["copy", &first, &tagged("team/second:v1")]).await;
    admin.run(&["push", "layout", &elsewhere]).await;

    // An artifact before the door's record is complete, and one after it.
    let (attaching, looking) = (oras(&address, "alice").await, oras(&address, "reader").await);
    let early = attach(&attaching, &first).await;
    assert_eq!(discovered(&looking, &first).await, std::slice::from_ref(&early));
    sweep(door).await;
    std::fs::write(attaching.home().join("file"), "another one\n").unwrap();
    let mut both = vec![early, attach(&attaching, &first).await];
    both.sort_unstable();
    assert_eq!(discovered(&looking, &first).await, both);
    refused(&looking, &["attach", "--plain-http", "--artifact-type", SBOM, &first, "file"]).await;
    refused(&looking, &["discover", "--plain-http", &elsewhere]).await;
    refused(&oras(&address, "").await, &["discover", "--plain-http", &first]).await;

    assert_eq!(reader.run(&["digest", &first]).await, image.digest);
    assert_eq!(
        reader.run(&["manifest", &tagged(&format!("team/app@{}", image.digest))]).await.as_bytes(),
        image.manifest
    );
    assert!(reader.run(&["ls", &tagged("team/app")]).await.ends_with("v1\nv2"));
    assert_eq!(reader.run(&["catalog", &address]).await, "team/app\nteam/second");
    assert_eq!(admin.run(&["catalog", &address]).await, "private/app\nteam/app\nteam/second");
    for arguments in
        [&["digest", &elsewhere][..], &["copy", &first, &tagged("team/app:v3")], &["delete", &first]]
    {
        refused(&reader, arguments).await;
    }
    for arguments in [&["digest", &first][..], &["ls", &tagged("team/app")], &["delete", &first]] {
        refused(&nobody, arguments).await;
    }
    alice.run(&["delete", &first]).await;
    refused(&alice, &["digest", &first]).await;
    assert_eq!(alice.run(&["digest", &second]).await, image.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_and_oras_before_an_open_registry() {
    let guard = Guard::new();
    let registry = Registry::start().await;
    let door = guard.door(registry.url()).start().await;
    crane_and_oras_do_what_the_rules_say(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_and_oras_before_a_registry_that_verifies_tokens() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    crane_and_oras_do_what_the_rules_say(&door).await;
}
