//! Doors, each with a fault that is really there.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio_util::task::AbortOnDropHandle;

use super::House;
use crate::auth::accounts;
use crate::support::disk::Disk;
use crate::support::door::{Door, DoorBuilder};
use crate::support::guard::Guard;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::port;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::sweep::{sweep, sweep_through};
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

/// All of them, and a healthy one.
pub(super) async fn all() -> Vec<House> {
    vec![
        healthy().await,
        down().await,
        registry_unreachable().await,
        registry_failing_and_slow().await,
        backend_down().await,
        storage_lost().await,
        misconfigured().await,
        store_lost().await,
        refused_by_the_registry().await,
        attacked().await,
    ]
}

fn house<P: 'static>(name: &'static str, door: Door, expected: &'static [&'static str], parts: P) -> House {
    let target = door.admin().trim_start_matches("http://").to_owned();
    House { name, target, expected, _parts: Box::new((door, parts)) }
}

/// Requests that are made again and again.
fn traffic<F: Future<Output = ()> + Send + 'static>(
    request: impl Fn() -> F + Send + Sync + 'static,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            request().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}

fn gets(url: String) -> AbortOnDropHandle<()> {
    let client = http_client();
    traffic(move || {
        let request = client.get(&url).header("accept", "application/vnd.oci.image.manifest.v1+json");
        async move {
            // Whatever comes of it.
            if let Ok(answer) = request.send().await {
                let _ = answer.bytes().await;
            }
        }
    })
}

/// A certificate that ends when this time after now is over, in files of this directory; a door that shows it.
fn with_certificate(door: DoorBuilder, directory: &std::path::Path, ends_in: Duration) -> DoorBuilder {
    let now = std::time::Duration::from_millis(portreeve::clock::Timestamp::now().as_milliseconds());
    let mut parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    parameters.not_after = date_time_ymd(1970, 1, 1) + now + ends_in;
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let (certificate_file, key_file) = (directory.join("certificate.pem"), directory.join("key.pem"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    door.set("LISTEN__TLS__CERT", certificate_file.to_str().unwrap())
        .set("LISTEN__TLS__KEY", key_file.to_str().unwrap())
}

/// It sweeps, has users and a certificate, is pushed to and pulled from.
async fn healthy() -> House {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let door = Door::builder(registry.url()).set("SYNC__INTERVAL", "1s");
    let door = with_certificate(door, directory.path(), Duration::from_secs(60 * 86_400)).start().await;
    Image::small(1).push(&door.url(), "team/app", "latest").await;
    sweep_through(&door, false).await;
    let pulls = gets(format!("{}/v2/team/app/manifests/latest", door.url()));
    let unknown = gets(format!("{}/v2/team/app/manifests/unknown", door.url()));
    house("healthy", door, &[], (registry, directory, pulls, unknown))
}

async fn down() -> House {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let target = door.admin().trim_start_matches("http://").to_owned();
    door.kill().await;
    House { name: "down", target, expected: &["PortreeveDown"], _parts: Box::new((door, registry)) }
}

/// The registry was cut off in the middle of a write, two hours ago.
async fn registry_unreachable() -> House {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let image = Image::small(1);
    let mut before = Door::builder(relay.url()).set("CLOCK__OFFSET", "-2h").store(&store).start().await;
    image.push_blobs(&before.url(), "team/app").await;
    relay.script(|_| Fault::ResetAfter);
    assert_eq!(image.put(&before.url(), "team/app", "latest").await.status(), 502);
    before.kill().await;
    let door = Door::builder(relay.url()).set("SYNC__INTERVAL", "1s").store(&store).start_listening().await;
    let pulls = gets(format!("{}/v2/team/app/manifests/latest", door.url()));
    let expected = &[
        "PortreeveRegistryUnreachable",
        "PortreeveSweepTooOld",
        "PortreeveIntentsStuck",
        "PortreeveServerErrors door",
    ];
    house("registry-unreachable", door, expected, (registry, relay, directory, before, pulls))
}

async fn registry_failing_and_slow() -> House {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    relay.script(|request| match request.path.rsplit('/').next() {
        Some("broken") => Fault::RefuseBefore(500),
        Some("slow") => Fault::Delay(Duration::from_secs(3)),
        _ => Fault::None,
    });
    let broken = gets(format!("{}/v2/team/app/manifests/broken", door.url()));
    let slow: Vec<_> = (0..4).map(|_| gets(format!("{}/v2/team/app/manifests/slow", door.url()))).collect();
    let expected = &["PortreeveServerErrors registry", "PortreeveRegistrySlow"];
    house("registry-failing", door, expected, (registry, relay, broken, slow))
}

async fn backend_down() -> House {
    let registry = Registry::start().await;
    let door = Door::builder(format!("{},http://{}", registry.url(), port::free())).start().await;
    house("backend-down", door, &["PortreeveRegistryBackendDown"], registry)
}

async fn storage_lost() -> House {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v0").await;
    // More than are believed to go at once.
    for number in 1..70 {
        assert_eq!(image.put(&door.url(), "team/app", &format!("v{number}")).await.status(), 201);
    }
    registry.lose_storage();
    let held = sweep(&door, false).await;
    assert!(held["held"]["tags"].as_u64().unwrap() > 0, "{held:#}");
    house("storage-lost", door, &["PortreeveRemovalsHeld"], registry)
}

/// Its clock is another than the registry's, its certificate ends in a few days, and its configuration was broken.
async fn misconfigured() -> House {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let configuration = guard.path("portreeve.toml");
    std::fs::write(&configuration, "[sync]\nconcurrency = 4\n").unwrap();
    let door = guard.door(registry.url()).set("CLOCK__OFFSET", "-10m").configured_by(&configuration);
    let door = with_certificate(door, &guard.path(""), Duration::from_secs(3 * 86_400)).start().await;
    until("the door warns of its certificate", SOON, async || door.log().contains(": renew it")).await;
    std::fs::write(&configuration, "[sync\n").unwrap();
    until("the configuration is refused", SOON, async || door.log().contains("the old rules stay")).await;
    let expected = &["PortreeveClockOff", "PortreeveCertificateExpiring", "PortreeveConfigurationRefused"];
    house("misconfigured", door, expected, (registry, guard))
}

/// Its store is on a small disk, and was moved away.
async fn store_lost() -> House {
    let registry = Registry::start().await;
    let disk = Disk::mount("64m");
    let store = disk.path().join("portreeve.redb");
    let door = Door::builder(registry.url()).store(&store).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "latest").await;
    std::fs::rename(&store, disk.path().join("moved.redb")).unwrap();
    let url = door.url();
    let pushes = traffic(move || {
        let (image, url) = (image.clone(), url.clone());
        async move {
            let _ = image.put_by(&http_client(), &url, "team/app", "latest").await;
        }
    });
    let expected = &["PortreeveStoreNotWritable", "PortreeveStoreDiskShort", "PortreeveServerErrors door"];
    house("store-lost", door, expected, (registry, pushes, disk))
}

/// The registry takes another password than the door has.
async fn refused_by_the_registry() -> House {
    let registry = Registry::start_with_password("door", "secret").await;
    let door = Door::builder(registry.url())
        .set("REGISTRY__AUTH", "basic")
        .set("REGISTRY__USERNAME", "door")
        .set("REGISTRY__PASSWORD", "another")
        .start_listening()
        .await;
    house("refused", door, &["PortreeveRegistryRefusesDoor"], registry)
}

/// Somebody guesses passwords, and the token of a robot ends within days.
async fn attacked() -> House {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = accounts::door_before(&guard, &registry.url()).await;
    let create =
        ["token", "create", "--name", "ci", "--repositories", "**", "--actions", "pull", "--expires", "5d"];
    accounts::portreeve(&guard, &create, "", true).await;
    let url = format!("{}/token", door.url());
    let guesses: Vec<_> = ["alice", "reader", "mounter", "nobody"]
        .into_iter()
        .map(|user| {
            let (client, url) = (http_client(), url.clone());
            traffic(move || {
                let request = client.get(&url).basic_auth(user, Some("a-guess"));
                async move {
                    let _ = request.send().await;
                }
            })
        })
        .collect();
    let expected = &["PortreeveLoginAttack", "PortreeveRobotTokensExpiring"];
    house("attacked", door, expected, (registry, guesses, guard))
}
