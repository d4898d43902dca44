//! What only a door has: its listeners, and the service for its clients.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::auth_setup::{AuthSetup, external_origin};
use super::composition::Composition;
use super::descriptors;
use super::start_error::StartError;
use crate::config::{Config, RegistryHost, Tls};
use crate::door::{
    self, BodyMemory, Certificates, Door, Listener, OwnPaths, Parts, PublicAddress, Service, ServiceParts,
};
use crate::plugins;
use crate::registry::RegistryTimeouts;
use crate::web::{self, WebState};

/// The bound ports, and the certificate of the door's.
pub(super) struct Listeners {
    pub door: Listener,
    pub admin: Listener,
    /// None for a door without TLS.
    pub certificates: Option<Arc<Certificates>>,
}

impl Listeners {
    /// Reads the certificate, and binds the ports.
    ///
    /// # Errors
    /// When the certificate cannot be used, or a port not be bound.
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let certificates = match &config.listen.tls {
            Some(Tls { certificate, key }) => {
                Some(Arc::new(Certificates::load(certificate.clone(), key.clone())?))
            }
            None => None,
        };
        Ok(Self {
            door: bind("listen.door", config.listen.door)?,
            admin: bind("listen.admin", config.listen.admin)?,
            certificates,
        })
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<Listener, StartError> {
    Listener::bind(address).map_err(|source| StartError::Listen { key, address, source })
}

/// The door with its pipeline of plugins, and the exchanges that it counts.
///
/// # Errors
/// When options of a plugin are wrong, or TLS cannot be set up.
pub(super) fn build(
    config: &Config,
    composition: &Composition,
    auth: &AuthSetup,
    web: WebState,
    certificates: Option<&Arc<Certificates>>,
    available_descriptors: usize,
) -> Result<(Door, TaskTracker), StartError> {
    let (engine, access) = (&composition.engine, &composition.access.settings);
    let parts = Parts {
        carrier: engine.carrier.clone(),
        pulls: Arc::clone(&engine.pulls),
        seen: Arc::clone(&engine.seen),
        gate: auth.gate.clone(),
        requirement_of: web::requirement_of,
        credentials: Arc::clone(&access.credentials),
    };
    let pipeline = plugins::build(&config.plugins, &parts)?;
    let mut shares = descriptors::share(config, available_descriptors);
    shares.warn_if_lowered(config, available_descriptors);
    shares.connections.trusted_proxies = plugins::trusted_proxies(&config.plugins)?;
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
        own: OwnPaths { router: web::door_router(web), requirement_of: web::requirement_of },
        backends: Arc::clone(&access.backends),
        limits,
        memory: BodyMemory::new(config.limits.body_memory),
        address,
        seal: Arc::clone(&auth.seal),
        trusted_proxies: shares.connections.trusted_proxies.clone(),
        exchanges: exchanges.clone(),
    });
    let tls = certificates.map(Certificates::server_configuration).transpose()?;
    let threads = config.server.threads.get();
    let door = Door::new(service, threads, tls, exchanges.clone(), shares.connections, shares.kept);
    Ok((door, exchanges))
}
