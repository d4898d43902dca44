//! Clients of artifacts, signatures and catalogs, through the door and at a registry alone: whatever they get from the registry
//! itself they get through the door as well, and what is recorded is what the registry holds.

mod conformance;
mod cosign;
mod crane;
mod gate;
mod oras;
mod regctl;

use std::process::Output;

use crate::support::door::Door;
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{ACCEPT_ALL, record, truth};
use crate::support::sweep::sweep_through;
use crate::support::tool::Tool;

/// Stands for a registry's address in the arguments of a client, and in what it says.
const HOST: &str = "HOST";

/// A registry that clients reach by itself, and another one that they reach through a door.
struct Sides {
    alone: Registry,
    behind: Registry,
    door: Door,
}

impl Sides {
    /// Both registries are empty, and the door has not looked at its own: it answers nothing from its record.
    async fn new() -> Self {
        let (alone, behind) = (Registry::start_lenient().await, Registry::start_lenient().await);
        let door = Door::builder(behind.url()).start().await;
        Self { alone, behind, door }
    }

    /// From here on the door answers from its record.
    async fn compare(&self) {
        assert_eq!(sweep_through(&self.door, true).await, 0, "what the door carried is in the books");
    }

    /// Where the two are: alone, and behind the door.
    fn addresses(&self) -> [String; 2] {
        [self.alone.address().to_string(), self.door.address().to_string()]
    }

    /// Pushes an image to both.
    async fn push(&self, image: &Image, repository: &str, reference: &str) {
        for base in [self.alone.url(), self.door.url()] {
            image.push(&base, repository, reference).await;
        }
    }

    /// Runs a client at both: each has to succeed, and to say the same. What it says.
    async fn same(&self, tool: &Tool, arguments: &[&str]) -> String {
        let [alone, behind] = self.addresses();
        let of_registry = run(tool, arguments, &alone).await;
        let of_door = run(tool, arguments, &behind).await;
        assert_eq!(of_door, of_registry, "{arguments:?}");
        of_door
    }

    /// Runs a client through the door, where it has to succeed. What it says.
    async fn through_the_door(&self, tool: &Tool, arguments: &[&str]) -> String {
        run(tool, arguments, &self.door.address().to_string()).await
    }

    /// Runs a client at the registry alone, whatever comes of it.
    async fn attempt_alone(&self, tool: &Tool, arguments: &[&str]) -> Output {
        let address = self.alone.address().to_string();
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.replace(HOST, &address)).collect();
        tool.attempt(&arguments).await
    }

    /// Fails unless what is recorded is what the registry behind the door holds, and the tags of this repository are these.
    async fn assert_tags(&self, repository: &str, tags: &[&str]) {
        let (held, recorded) = (truth(&self.behind.url()).await, record(&self.door.url()).await);
        assert_eq!(recorded, held);
        let of_repository = held.into_keys().filter(|(name, _)| name == repository).map(|(_, tag)| tag);
        assert_eq!(of_repository.collect::<Vec<_>>(), tags, "{repository}");
    }

    /// Whether the registry behind the door itself holds a manifest.
    async fn is_held(&self, repository: &str, reference: &str) -> bool {
        let url = format!("{}/v2/{repository}/manifests/{reference}", self.behind.url());
        http_client().head(url).header("accept", ACCEPT_ALL).send().await.unwrap().status() == 200
    }
}

/// Runs a client that has to succeed at the registry with this address. What it says, without the address.
async fn run(tool: &Tool, arguments: &[&str], address: &str) -> String {
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.replace(HOST, address)).collect();
    tool.run(&arguments).await.replace(address, HOST)
}

/// The fallback tag of the referrers of a manifest (OCI distribution specification).
fn fallback_tag(digest: &str) -> String {
    digest.replace(':', "-")
}

/// Whether the registry of this run deletes tags by themselves, as distribution does from 3.0 on.
async fn deletes_tags(registry: &Registry) -> bool {
    let image = Image::small(u64::MAX);
    image.push(&registry.url(), "probe", "probe").await;
    delete(&registry.url(), "probe", "probe").await.status() == 202
}
