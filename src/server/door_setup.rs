//! What only a door has: the service for its clients.

use std::io;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::auth_setup::{AuthSetup, external_origin};
use super::composition::Composition;
use super::descriptors;
use super::start_error::StartError;
use crate::auth::RequirementOf;
use crate::config::{AnswersFrom, Config, RegistryHost};
use crate::door::{
    self, Answering, BodyMemory, Certificates, Door, OwnPaths, Parts, PublicAddress, RefusalAnswer, Service,
    ServiceParts, UpstreamSettings,
};
use crate::plugins::PreparedPlugins;
use crate::registry::{Authorities, RegistryTimeouts};
use crate::web::{self, WebState};

/// The door with its pipeline of plugins, and the exchanges that it counts.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn build(
    config: &Config,
    composition: &Composition,
    plugins: PreparedPlugins,
    auth: &AuthSetup,
    web: WebState,
    certificates: Option<&Arc<Certificates>>,
    available_descriptors: usize,
) -> Result<(Door, TaskTracker), StartError> {
    let (engine, access) = (&composition.engine, &composition.access.settings);
    let (requirement_of, refusal): (RequirementOf, RefusalAnswer) = match config.pages.enabled {
        true => (web::requirement_with_pages, web::refusal_with_pages),
        false => (web::requirement_of, web::refusal),
    };
    let parts = Parts {
        carrier: engine.carrier.clone(),
        tag_deleter: engine.tag_deleter(),
        pulls: Arc::clone(&engine.pulls),
        seen: Arc::clone(&engine.seen),
        gate: auth.gate.clone(),
        requirement_of,
        credentials: Arc::clone(&access.credentials),
        answering: Arc::new(Answering {
            records: Arc::clone(&engine.store) as _,
            completeness: Arc::clone(engine.sweeper.completeness()),
            is_from_record: config.answers.from == AnswersFrom::Record,
            is_exclusive: config.registry.is_exclusive,
        }),
    };
    let mut shares = descriptors::share(config, available_descriptors);
    shares.warn_if_lowered(config, available_descriptors);
    shares.connections.trusted_proxies = plugins.trusted_proxies.clone();
    let pipeline = plugins.build(&parts);
    let limits = door::Limits {
        client_timeout: config.listen.client_timeout,
        head_timeout: config.limits.head_timeout,
        idle_timeout: config.limits.idle_timeout,
        requests: shares.requests,
        registry: RegistryTimeouts { timeout: access.timeout, commit_timeout: access.commit_timeout },
    };
    let keeps_host = config.registry.host == RegistryHost::Keep;
    let address = PublicAddress { origin: external_origin(config), keeps_host };
    let exchanges = TaskTracker::new();
    let service = Service::new(ServiceParts {
        pipeline,
        own: OwnPaths { router: web::door_router(web), requirement_of, refusal },
        backends: Arc::clone(&access.backends),
        limits,
        memory: BodyMemory::new(config.limits.body_memory),
        address,
        seal: Arc::clone(&auth.seal),
        trusted_proxies: shares.connections.trusted_proxies.clone(),
        exchanges: exchanges.clone(),
        answers_tags: parts.answering.is_exclusive && parts.answering.is_from_record,
    });
    let tls = certificates.map(Certificates::server_configuration).transpose()?;
    let threads = config.server.threads.get();
    let upstream = UpstreamSettings {
        kept_connections: shares.kept,
        authorities: authorities_file(composition.access.authorities.as_ref())?,
    };
    let door = Door::new(service, threads, tls, exchanges.clone(), shares.connections, upstream);
    Ok((door, exchanges))
}

/// The file of authorities, by the only kind of name that pingora takes.
fn authorities_file(authorities: Option<&Authorities>) -> Result<Option<String>, StartError> {
    let name = |authorities: &Authorities| {
        let name = authorities.path().to_str().map(str::to_owned);
        name.ok_or_else(|| io::Error::other("the path in registry.ca is not valid UTF-8").into())
    };
    authorities.map(name).transpose()
}
