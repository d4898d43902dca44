//! A small world that looks like a company's registry after some weeks: who pushed what, from where and when, what was moved and
//! deleted, and who pulls.

use super::past::Past;
use super::story::story;
use crate::support::door::{Door, DoorBuilder};
use crate::support::guard::Guard;
use crate::support::registry::Registry;
use crate::support::sweep::sweep_through;

const RULES: &str = r#"[
    { who = "admin", repositories = "**", actions = ["*", "catalog", "admin"] },
    { who = "ci", repositories = "**", actions = ["pull", "push"] },
    { who = "group:developers", repositories = ["web/**", "api/**", "charts/**"], actions = ["pull", "push", "delete"] },
    { who = "group:developers", repositories = "data/**", actions = "pull" },
    { who = "dora", repositories = ["data/**", "ml/**", "sandbox/${user}/**"], actions = ["pull", "push", "delete"] },
    { who = "*", repositories = ["base/**", "platform/**"], actions = "pull" },
]"#;

/// The world: the registry, and what outlives its doors, their record among it.
pub(super) struct Sample {
    registry: Registry,
    guard: Guard,
}

impl Sample {
    /// Makes it.
    pub(super) async fn fill() -> Self {
        let (guard, registry) = (Guard::new(), Registry::start().await);
        guard.write_users(&["admin", "alice", "ben", "ci", "dora"]);
        let sample = Self { registry, guard };
        let clock = sample.guard.path("clock");
        let past = Past::before(sample.guarded(), clock, sample.registry.url()).await;
        past.play(story()).await;
        past.end().await;
        sample
    }

    fn guarded(&self) -> DoorBuilder {
        let door = self.guard.door(self.registry.url()).store(self.guard.path("store.redb"));
        let groups = "{ developers = [\"alice\", \"ben\"] }";
        door.set("AUTH__RULES", RULES.replace('\n', " ")).set("AUTH__GROUPS", groups)
    }

    /// A door before it that lets everybody in, whose pages change what they are asked to, and that has compared its record with the registry. One at a time.
    pub(super) async fn open_door(&self) -> Door {
        let door = Door::builder(self.registry.url()).store(self.guard.path("store.redb"));
        let door = door.set("PAGES__OPEN_WRITES", "true").start().await;
        sweep_through(&door, true).await;
        door
    }

    /// A door before it that asks who its callers are. One at a time.
    pub(super) async fn guarded_door(&self) -> Door {
        self.guarded().start().await
    }
}
