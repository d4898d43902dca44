//! Of which repositories a caller sees the events: of those that they may pull from.

use std::collections::HashMap;

use crate::auth::Viewer;
use crate::oci::{Access, RepositoryName};
use crate::store::Event;

/// Of so many repositories is remembered what the rules say of them.
const REMEMBERED: usize = 1_024;

/// What a caller sees of the events, for as long as the rules stay.
pub(super) struct Sight {
    viewer: Viewer,
    /// Administrators see all of them.
    sees_all: bool,
    known: HashMap<RepositoryName, bool>,
}

impl Sight {
    /// That of a caller.
    pub(super) fn of(viewer: Viewer) -> Self {
        let sees_all = viewer.may(&Access::Admin);
        Self { viewer, sees_all, known: HashMap::new() }
    }

    /// Whether they see every event.
    pub(super) const fn is_unlimited(&self) -> bool {
        self.sees_all
    }

    /// Whether they are told who did it.
    pub(super) fn shows_actors(&self) -> bool {
        self.viewer.may_see_actors()
    }

    /// Whether they see this event.
    pub(super) fn sees(&mut self, event: &Event) -> bool {
        if self.sees_all {
            return true;
        }
        if let Some(known) = self.known.get(&event.repository) {
            return *known;
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let sees = self.viewer.may(&Access::to_pull(event.repository.clone()));
        self.known.insert(event.repository.clone(), sees);
        sees
    }
}
