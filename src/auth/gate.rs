//! The gate: everything that decides who comes in, put together for the plugin that enforces and for the token endpoint.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::authenticator::{Authenticator, LoginError};
use super::identity::Credentials;
use super::rules::Rules;
use super::scope::Access;
use super::subject::{Identity, Subject};
use super::token::Issuer;
use super::uploads::UploadMarks;
use crate::clock::Clock;

/// What can be changed without a restart: all of it at once, or nothing.
#[derive(Debug, Default)]
pub struct Policy {
    /// Who may do what.
    pub rules: Rules,
    /// The groups of each user, beside those that their source names.
    pub groups: HashMap<String, Vec<String>>,
}

/// The parts of the gate.
pub struct Gate {
    /// Finds out who it is.
    pub authenticator: Authenticator,
    /// Makes and checks tokens.
    pub issuer: Arc<Issuer>,
    /// Binds uploads to the tokens that opened them.
    pub marks: UploadMarks,
    /// The door's own clock.
    pub clock: Clock,
    /// How long an upload may go on after its token has expired.
    pub upload_grace: Duration,
    /// Scheme and authority by which clients know the door, where that is configured.
    pub external: Option<String>,
    policy: ArcSwap<Policy>,
}

impl Gate {
    /// Puts the gate together.
    pub fn new(
        authenticator: Authenticator,
        issuer: Arc<Issuer>,
        marks: UploadMarks,
        clock: Clock,
        upload_grace: Duration,
        external: Option<String>,
        policy: Policy,
    ) -> Self {
        let policy = ArcSwap::from_pointee(policy);
        Self { authenticator, issuer, marks, clock, upload_grace, external, policy }
    }

    /// From now on this is what may be done. Tokens that were made before stay good until they expire.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Who it is, with all their groups.
    ///
    /// # Errors
    /// When it is nobody, or that cannot be found out.
    pub async fn login(&self, credentials: &Credentials, address: IpAddr) -> Result<Identity, LoginError> {
        let mut identity = self.authenticator.login(credentials, address).await?.as_ref().clone();
        if let Some(more) = self.policy.load().groups.get(identity.name.as_str()) {
            let news = more.iter().filter(|group| !identity.groups.contains(group));
            let news: Vec<String> = news.cloned().collect();
            identity.groups.extend(news);
        }
        Ok(identity)
    }

    /// Whether somebody may do this.
    pub fn allows(&self, subject: &Subject, access: &Access) -> bool {
        let granted = self.policy.load().rules.grant(subject, std::slice::from_ref(access));
        granted.iter().any(|granted| granted.covers(access))
    }

    /// The part of what is asked for that somebody may do.
    pub fn grant(&self, subject: &Subject, wanted: &[Access]) -> Vec<Access> {
        self.policy.load().rules.grant(subject, wanted)
    }

    /// What tokens are for.
    pub fn service(&self) -> &str {
        &self.issuer.settings().service
    }

    /// Where tokens are to be had, for a client that reached the door in this way.
    pub fn realm(&self, scheme: &str, host: Option<&str>) -> String {
        match (&self.external, host.filter(|host| is_authority(host))) {
            (Some(external), _) => format!("{external}/token"),
            (None, Some(host)) => format!("{scheme}://{host}/token"),
            (None, None) => "/token".to_owned(),
        }
    }
}

/// Whether text may stand in a quoted header as the authority of a URL: whoever sends a request has chosen it.
fn is_authority(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    !host.is_empty() && host.len() <= 255 && host.bytes().all(is_allowed)
}
