//! What clients do at a door of the model, and others around it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::acknowledged::{Awaited, Promised};
use super::history::Action;
use super::registry::Outage;
use super::simulation::Door;
use crate::oci::{Digest, Manifest, Reference, RepositoryName};
use crate::registry::OutgoingWrite;
use crate::store::{Actor, HintedReference, SweepKind};
use crate::sync::{ManifestWrite, WriteRequest};

impl Door {
    /// Does what happens at this door.
    pub(super) async fn act(&self, action: Action) {
        match action {
            Action::Push { repository, reference, manifest, patience } => {
                let parsed = Arc::new(Manifest::parse(manifest.clone(), None).unwrap());
                let digest = Some(Digest::sha256(&manifest));
                let write = ManifestWrite::Put {
                    repository: RepositoryName::parse(repository).unwrap(),
                    reference: reference.clone(),
                    tags: Vec::new(),
                    manifest: parsed,
                };
                let request = request(write, Method::PUT, &reference, manifest);
                self.carry(request, repository, &reference, digest, patience).await;
            }
            Action::Delete { repository, reference, patience } => {
                let write = ManifestWrite::Delete {
                    repository: RepositoryName::parse(repository).unwrap(),
                    reference: reference.clone(),
                };
                let request = request(write, Method::DELETE, &reference, Bytes::new());
                self.carry(request, repository, &reference, None, patience).await;
            }
            Action::PushAround { repository, reference, manifest } => {
                self.registry.put(repository, &reference, &manifest);
            }
            Action::DeleteAround { repository, reference } => self.registry.delete(repository, &reference),
            Action::Forget { repository } => self.registry.forget(repository),
            Action::Hint { repository, reference } => {
                let repository = RepositoryName::parse(repository).unwrap();
                let hint = HintedReference { repository, reference };
                let version = self.registry.history().now();
                if self.hints.add(vec![hint.clone()]).await.is_ok() {
                    self.acknowledged().hints.push((hint, version));
                }
            }
            Action::Sweep { deep } => {
                // Where the store fails, it is not asked for, or it is and no caller knows.
                let _ = self.sweeper.request(if deep { SweepKind::Deep } else { SweepKind::Shallow }).await;
            }
            Action::Outage { outage, length } => {
                self.registry.go_down(Instant::now() + length, outage);
            }
            Action::LoseStorage { length } => {
                self.registry.lose_storage();
                tokio::time::sleep(length).await;
                self.registry.regain_storage();
            }
            Action::Restart { length } => {
                self.registry.go_down(Instant::now() + length, Outage::Deaf);
                self.registry.lose_connections();
            }
            Action::Freeze { length } => {
                self.steps.freeze(length);
                // The history does not end before the door has gone on.
                tokio::time::sleep(length.unwrap_or_default()).await;
            }
        }
    }

    /// Carries a write for a client; when that hears of a success, looks whether it is in the store.
    async fn carry(
        &self,
        request: WriteRequest,
        repository: &str,
        reference: &Reference,
        digest: Option<Digest>,
        patience: Option<Duration>,
    ) {
        let store = &self.observer;
        let awaited = Awaited::begin(store, &self.registry, repository, reference, digest).await;
        let carrying = self.carrier.carry(request);
        let answer = match patience {
            Some(patience) => match tokio::time::timeout(patience, carrying).await {
                Ok(answer) => answer,
                Err(_) => return,
            },
            None => carrying.await,
        };
        if !answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
            self.acknowledged().refused += 1;
        } else {
            match awaited.succeeded(store, &self.registry).await {
                Ok(Promised { deletion, undecided, version }) => {
                    let mut acknowledged = self.acknowledged();
                    acknowledged.deletions.extend(deletion);
                    acknowledged.hints.extend(undecided.into_iter().map(|about| (about, version)));
                }
                Err(wrong) => self.acknowledged().wrong = Some(wrong),
            }
        }
    }
}

fn request(write: ManifestWrite, method: Method, reference: &Reference, body: Bytes) -> WriteRequest {
    let path_and_query = format!("/v2/{}/manifests/{reference}", write.repository());
    WriteRequest {
        write,
        actor: Actor::default(),
        outgoing: OutgoingWrite {
            method,
            path_and_query,
            headers: HeaderMap::new(),
            body,
            credentials: None,
        },
    }
}
