//! An entry of the history in words, written by `templates/event.html`.

use std::net::IpAddr;

use super::super::super::events::EventItem;
use super::super::format::{ShortDigest, Time};
use super::super::links;
use super::super::visit::Visit;
use crate::oci::Digest;
use crate::store::{EventKind, Sequence, Source};

/// An entry of the history.
pub(in crate::web::pages) struct EventRow {
    pub sequence: Sequence,
    pub time: Time,
    pub words: Words,
    pub repository: String,
    pub repository_page: String,
    pub tag: Option<String>,
    /// Where the tag leads; nothing where it is gone.
    pub tag_page: Option<String>,
    /// What is there now.
    pub digest: Option<ShortDigest>,
    /// What was there before.
    pub was: Option<ShortDigest>,
    pub learnt: Learnt,
    /// Who did it, with what else they did; nothing where that is not known, or not to whoever looks.
    pub user: Option<(String, String)>,
    pub address: Option<IpAddr>,
    pub agent: Option<String>,
}

/// What happened: as a sentence about who did it, and as one about what it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web::pages) struct Words {
    /// The icon in front of it.
    pub icon: &'static str,
    /// `good`, `warning`, `bad` or nothing: the class of that icon.
    pub level: &'static str,
    /// Such as `deleted a manifest of`, behind who did it.
    pub active: &'static str,
    /// Such as `A manifest of`, in front of what it happened to.
    pub subject: &'static str,
    /// Such as `was deleted`, behind that.
    pub passive: &'static str,
}

/// How something was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web::pages) struct Learnt {
    pub icon: &'static str,
    pub word: &'static str,
    /// What that means.
    pub meaning: &'static str,
}

impl EventRow {
    /// As the API shows it.
    pub(in crate::web::pages) fn new(event: EventItem, visit: &Visit) -> Self {
        let EventItem {
            sequence,
            time,
            kind,
            source,
            repository,
            tag,
            digest,
            previous,
            media_type: _,
            actor,
        } = event;
        let is_somebodys = actor.user.is_some() || actor.address.is_some() || source == Source::Observed;
        let (tagged, moved) = (tag.is_some(), previous.is_some());
        let is_there = matches!(kind, EventKind::ManifestPut | EventKind::TagRestored);
        let linked = |digest: Option<Digest>| digest.map(|digest| ShortDigest::of(&repository, &digest));
        let (digest, was) =
            if is_there { (linked(digest), linked(previous)) } else { (None, linked(digest)) };
        Self {
            sequence,
            time: visit.time(time),
            words: Words::of(kind, is_somebodys, tagged, moved),
            repository_page: links::repository(&repository),
            tag_page: tag.as_ref().filter(|_| is_there).map(|tag| links::tag(&repository, tag)),
            repository: repository.to_string(),
            tag: tag.map(|tag| tag.to_string()),
            digest,
            was,
            learnt: Learnt::by(source),
            user: actor.user.map(|user| {
                let page = links::to(links::ACTIVITY, &[("user", &user)]);
                (user, page)
            }),
            address: actor.address,
            agent: actor.agent,
        }
    }
}

impl Words {
    /// Of an event that is somebody's, or was found; about a tag, or not; that moved it from another manifest, or not.
    fn of(kind: EventKind, is_somebodys: bool, tagged: bool, moved: bool) -> Self {
        let words = |icon, level, active, subject, passive| Self { icon, level, active, subject, passive };
        match (kind, is_somebodys) {
            (EventKind::ManifestPut, true) if moved => words("tag", "", "re-tagged", "", "was re-tagged"),
            (EventKind::ManifestPut, true) if tagged => words("upload", "good", "pushed", "", "was pushed"),
            (EventKind::ManifestPut, true) => words(
                "upload",
                "good",
                "pushed a manifest without a tag to",
                "A manifest of",
                "was pushed, without a tag",
            ),
            (EventKind::ManifestPut, false) if moved => {
                words("tag", "warning", "re-tagged", "", "was found to be re-tagged")
            }
            (EventKind::ManifestPut, false) if tagged => words("search", "", "pushed", "", "was found"),
            (EventKind::ManifestPut, false) => {
                words("search", "", "pushed a manifest to", "A manifest of", "was found, without a tag")
            }
            (EventKind::TagRestored, _) => {
                words("undo-2", "good", "brought back", "", "came back, with its past")
            }
            (EventKind::TagDeleted, true) => words("trash-2", "bad", "deleted", "", "was deleted"),
            (EventKind::TagDeleted, false) => words("trash-2", "bad", "deleted", "", "was found to be gone"),
            (EventKind::ManifestDeleted, true) => {
                words("trash-2", "bad", "deleted a manifest of", "A manifest of", "was deleted")
            }
            (EventKind::ManifestDeleted, false) => {
                words("trash-2", "bad", "deleted a manifest of", "A manifest of", "was found to be gone")
            }
            (EventKind::RepositoryFound, _) => {
                words("box", "", "emptied", "The repository", "was found, with nothing in it")
            }
            (EventKind::RepositoryGone, true) => {
                words("trash-2", "bad", "deleted the repository", "The repository", "was deleted")
            }
            (EventKind::RepositoryGone, false) => {
                words("trash-2", "bad", "deleted the repository", "The repository", "was found to be gone")
            }
        }
    }
}

impl Learnt {
    const fn by(source: Source) -> Self {
        let (icon, word, meaning) = match source {
            Source::Observed => ("anchor", "observed", "The door carried it, and the registry's answer."),
            Source::Verified => ("shield-check", "verified", "The registry was asked about it."),
            Source::Swept => ("refresh-cw", "swept", "A sweep found it: the door had not carried it."),
            Source::Hinted => ("bell", "hinted", "A notification of the registry's led to it."),
        };
        Self { icon, word, meaning }
    }
}

/// What an event may be, for a choice of one.
pub(in crate::web::pages) const fn kind_in_words(kind: EventKind) -> &'static str {
    match kind {
        EventKind::ManifestPut => "Pushed or re-tagged",
        EventKind::TagRestored => "Came back",
        EventKind::TagDeleted => "Tag deleted",
        EventKind::ManifestDeleted => "Manifest deleted",
        EventKind::RepositoryFound => "Empty repository found",
        EventKind::RepositoryGone => "Repository gone",
    }
}
