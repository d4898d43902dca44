//! Changes: facts about the registry, and how they were learnt.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};

/// One fact about the registry.
#[derive(Clone, Debug)]
pub enum Change {
    /// The repository holds this manifest, and these tags point to it (none for a push by digest).
    ManifestPut {
        /// In which repository.
        repository: RepositoryName,
        /// The manifest, under the digest by which the registry names it.
        manifest: Arc<Manifest>,
        /// The tags that point to it now.
        tags: Vec<Tag>,
    },
    /// The tag is not there; its manifest may be.
    TagDeleted {
        /// In which repository.
        repository: RepositoryName,
        /// Which tag.
        tag: Tag,
    },
    /// The manifest is not there, nor any tag that pointed to it, but for those of which that is not known.
    ManifestDeleted {
        /// In which repository.
        repository: RepositoryName,
        /// Which manifest.
        digest: Digest,
        /// Of the tags that are recorded for it those that may be there: their rows stay, without a manifest, until the
        /// registry was asked about each of them.
        undecided: Vec<Tag>,
    },
    /// The registry denies a recorded reference, and that is not believed yet: the record keeps and serves it.
    ReferenceMissing {
        /// In which repository.
        repository: RepositoryName,
        /// Which tag or manifest.
        reference: Reference,
    },
    /// The registry has what was missing.
    ReferencePresent {
        /// In which repository.
        repository: RepositoryName,
        /// Which tag or manifest.
        reference: Reference,
    },
    /// The repository is there, if only by its name: it may hold nothing.
    RepositoryFound {
        /// Which repository.
        repository: RepositoryName,
    },
    /// The repository is not there, nor anything in it.
    RepositoryGone {
        /// Which repository.
        repository: RepositoryName,
    },
}

/// How a change was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The door carried it and saw the registry's answer.
    Observed,
    /// The registry was asked about an unknown outcome.
    Verified,
    /// The sweep found it.
    Swept,
    /// A notification led to it, and the registry confirmed it.
    Hinted,
}

impl Source {
    /// Its name in rows, answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Verified => "verified",
            Self::Swept => "swept",
            Self::Hinted => "hinted",
        }
    }
}

/// Who asked for a write. Empty for what was found rather than seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The authenticated name; absent for an anonymous client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The client's address, behind trusted proxies the one that they report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The client's `User-Agent`, cut to 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Actor {
    /// How much of a client's `User-Agent` is recorded.
    pub const AGENT_BYTES: usize = 256;
}
