//! `GET /ui/flaws?kind=&after=`: what is wrong with what is held, by kind.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::error::ApiError;
use super::super::flaws::{self, FlawItem};
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::error::PageError;
use super::format::{Number, ShortDigest};
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::pager::Pager;
use super::visit::{Visit, rendered};
use crate::store::{Flaw, FlawCounts};

/// How many are shown at once.
const ROWS: &str = "50";
/// Of so many digests that something lacks each is shown.
const LACKING: usize = 5;

/// A kind of what may be wrong, with how many there are.
pub(super) struct FlawKind {
    pub name: &'static str,
    pub meaning: &'static str,
    pub page: String,
    pub count: Number,
    /// `warning` where there are some that are surely not meant.
    pub level: &'static str,
    pub is_here: bool,
}

#[derive(Template)]
#[template(path = "flaws.html", config = "src/web/pages/templates/askama.toml")]
struct Flaws {
    layout: Layout,
    kinds: Vec<FlawKind>,
    meaning: &'static str,
    rows: Vec<FlawRow>,
    pager: Pager,
}

impl Flaws {
    fn shows_digests(&self) -> bool {
        self.rows.iter().any(|row| row.digest.is_some())
    }

    fn shows_what_lacks(&self) -> bool {
        self.rows.iter().any(|row| !row.lacks.is_empty())
    }
}

struct FlawRow {
    repository: String,
    repository_page: String,
    /// The tag, with where it leads.
    tag: Option<(String, String)>,
    digest: Option<ShortDigest>,
    lacks: Vec<ShortDigest>,
    /// How many more it lacks, as far as they are told.
    more: Option<Number>,
}

/// Shows them.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let parameters = Parameters::of_form(&visit.query, &["kind", "after"])?.or("n", ROWS);
    let kind = parameters.optional::<Flaw>("kind")?.ok_or(ApiError::MissingParameter { name: "kind" })?;
    let list = flaws::of_kind(&state, kind, &parameters).await?;
    let counts = flaws::counts(&state).await?;
    let part = |after: &str| links::to(links::FLAWS, &[("kind", kind.as_str()), ("after", after)]);
    rendered(&Flaws {
        layout: visit.layout(Section::Sync, name_of(kind)),
        kinds: kinds(&counts, Some(kind)),
        meaning: meaning_of(kind),
        rows: list.items.into_iter().map(FlawRow::from).collect(),
        pager: Pager::new(parameters.text("after").map(|_| part("")), list.next.map(|after| part(&after))),
    })
}

/// All kinds; `here` is the one that is listed.
pub(super) fn kinds(counts: &FlawCounts, here: Option<Flaw>) -> Vec<FlawKind> {
    let kind = |flaw: Flaw| FlawKind {
        name: name_of(flaw),
        meaning: meaning_of(flaw),
        page: links::to(links::FLAWS, &[("kind", flaw.as_str())]),
        count: Number(counts.of(flaw)),
        level: match flaw {
            Flaw::MissingChildren | Flaw::LostTag if counts.of(flaw) > 0 => "warning",
            _ => "",
        },
        is_here: here == Some(flaw),
    };
    Flaw::ALL.into_iter().map(kind).collect()
}

const fn name_of(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::MissingChildren => "Broken indexes",
        Flaw::MissingSubject => "Referrers to nothing",
        Flaw::LostTag => "Denied tags",
        Flaw::EmptyRepository => "Empty repositories",
        Flaw::Untagged => "Untagged manifests",
    }
}

const fn meaning_of(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::MissingChildren => {
            "Indexes that name manifests which their repository does not have: a pull for those platforms fails. Push them again."
        }
        Flaw::MissingSubject => {
            "Signatures, SBOMs and the like about a manifest that their repository does not have. They can be deleted."
        }
        Flaw::LostTag => {
            "Tags that the registry denies, and that the record keeps all the same until that lasts or is accepted."
        }
        Flaw::EmptyRepository => "Repositories that hold nothing any more.",
        Flaw::Untagged => {
            "Manifests to which no tag and no index leads. That may be meant so; what is not needed takes room."
        }
    }
}

impl From<FlawItem> for FlawRow {
    fn from(FlawItem { repository, tag, digest, lacks }: FlawItem) -> Self {
        let more = (lacks.len() as u64).saturating_sub(LACKING as u64);
        Self {
            repository_page: links::repository(&repository),
            tag: tag.map(|tag| (tag.to_string(), links::tag(&repository, &tag))),
            digest: digest.as_ref().map(|digest| ShortDigest::of(&repository, digest)),
            lacks: lacks.iter().take(LACKING).map(ShortDigest::from).collect(),
            more: (more > 0).then_some(Number(more)),
            repository: repository.to_string(),
        }
    }
}
