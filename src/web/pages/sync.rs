//! `GET /ui/sync`: whether the record is in step with the registry, and what keeps it so. `POST /ui/sync/start` asks for a sweep,
//! `POST /ui/sync/accept` accepts what the registry denies to be gone.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;

use super::super::command_peer::MaybePeer;
use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::super::removals::{self, HeldRepository};
use super::super::state::WebState;
use super::super::status::{self, Status};
use super::super::status_source::BackendStatus;
use super::super::{flaws, sync};
use super::clock_axis::ClockAxis;
use super::error::PageError;
use super::flaws::{FlawKind, kinds};
use super::format::{Day, Number, Time, counted, span};
use super::icon::Icon;
use super::in_step::InStep;
use super::layout::{Layout, Section};
use super::plot::Plot;
use super::redirect::see_other;
use super::visit::{Visit, rendered};
use super::{form, links};
use crate::store::{Missing, SweepKind};
use crate::sync::{PastSweep, PastSweeps, RunningSweep, SweepDay, SweepOutcome, SweepPhase, SweepStatus};

/// How many repositories of which something is held are shown.
const HELD: &str = "20";
/// Of how many days the numbers are shown.
const DAYS: u64 = 30;

#[derive(Template)]
#[template(path = "sync.html", config = "src/web/pages/templates/askama.toml")]
struct Sync {
    layout: Layout,
    in_step: InStep,
    notice: Option<Notice>,
    /// Whether sweeps are started and removals accepted here.
    may_change: bool,
    /// Whether much of it will be another in a moment.
    is_moving: bool,
    running: Option<Running>,
    next: Option<Time>,
    open_intents: Number,
    verifications: Number,
    hints: Number,
    held: Option<Held>,
    corrections: Plot,
    /// The same with how many sweeps there were, the latest first.
    days: Vec<SweepDay>,
    sweeps: Vec<SweepRow>,
    problems: Vec<ProblemRow>,
    more_problems: Option<Number>,
    backends: Vec<BackendRow>,
    clock: Option<ClockAxis>,
    flaws: Vec<FlawKind>,
}

/// What was done on the page before.
struct Notice {
    level: &'static str,
    words: String,
}

struct Running {
    number: Number,
    kind: &'static str,
    phase: &'static str,
    began: Time,
    resumed: bool,
    done: u64,
    /// About how many there are.
    expected: Option<u64>,
    progress: String,
    tags: Number,
    found: Number,
    problems: Number,
}

/// What the registry denies and the record keeps.
struct Held {
    missing: Missing,
    words: String,
    repositories: Vec<HeldRow>,
    has_more: bool,
    all: String,
}

struct HeldRow {
    name: String,
    page: String,
    tags: Number,
    manifests: Number,
}

struct SweepRow {
    number: Number,
    kind: &'static str,
    ended: Time,
    took: String,
    repositories: Number,
    tags: Number,
    found: u64,
    problems: u64,
    outcome: &'static str,
    level: &'static str,
}

struct ProblemRow {
    repository: Option<String>,
    message: String,
}

struct BackendRow {
    url: String,
    words: String,
    level: &'static str,
    latency: Option<String>,
}

/// Shows it.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let parameters = Parameters::of_form(&visit.query, &["done", "sweep"])?;
    let status = status::read(&state).await?;
    let notice = notice(&parameters, &status.sweep)?;
    let held = match status.store.missing {
        missing if missing.is_none() => None,
        missing => Some(held(&state, missing).await?),
    };
    let counts = flaws::counts(&state).await?;
    let in_step = InStep::new(&status, &visit);
    let Status { registry, open_intents, verifications, hints, sweep, .. } = status;
    let SweepStatus { running, last, next_at, past, numbered_since: _ } = sweep;
    let (problems, problem_count) = last.map(|last| (last.problems, last.problem_count)).unwrap_or_default();
    let more = problem_count.saturating_sub(problems.len() as u64);
    let is_waiting = notice.as_ref().is_some_and(|notice| notice.level.is_empty());
    rendered(&Sync {
        layout: visit.layout(Section::Sync, "In step"),
        in_step,
        may_change: visit.may_change(),
        is_moving: running.is_some() || is_waiting,
        notice,
        running: running.map(|running| Running::new(running, &visit)),
        next: next_at.map(|next| visit.time(next)),
        open_intents: Number(open_intents),
        verifications: Number(verifications.pending),
        hints: Number(hints.waiting),
        held,
        corrections: corrections(&past, visit.today()),
        days: past.days,
        sweeps: past.recent.into_iter().map(|sweep| SweepRow::new(sweep, &visit)).collect(),
        problems: problems
            .into_iter()
            .map(|problem| ProblemRow { repository: problem.repository, message: problem.message })
            .collect(),
        more_problems: (more > 0).then_some(Number(more)),
        backends: registry.backends.into_iter().map(BackendRow::from).collect(),
        clock: registry.clock.map(ClockAxis::new),
        flaws: kinds(&counts, None),
    })
}

/// `POST /ui/sync/start`: asks for a sweep.
pub(super) async fn start(State(state): State<WebState>, request: Request) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let kind = match Parameters::of_form(&sent, &["kind"])?.text("kind") {
        Some("shallow") => SweepKind::Shallow,
        Some("deep") => SweepKind::Deep,
        _ => return Err(ApiError::MissingParameter { name: "kind" }.into()),
    };
    let asked = sync::request(&state, kind).await?;
    Ok(done("asked", Some(asked.sweep)))
}

/// `POST /ui/sync/accept`: accepts the removal of what is held, as long as it is what was shown.
pub(super) async fn accept(
    State(state): State<WebState>,
    visit: Visit,
    peer: MaybePeer,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let shown = Parameters::of_form(&sent, &["tags", "manifests"])?;
    let shown = Missing { tags: shown.required("tags")?, manifests: shown.required("manifests")? };
    if status::read(&state).await?.store.missing != shown {
        return Ok(done("changed", None));
    }
    let asked = removals::accepted(&state, &visit.viewer, peer).await?;
    Ok(done("accepted", Some(asked.sweep)))
}

/// Leads back to the page, which says what was done.
fn done(what: &str, sweep: Option<u64>) -> Response {
    let sweep = sweep.map(|sweep| sweep.to_string()).unwrap_or_default();
    see_other(&links::to(links::SYNC, &[("done", what), ("sweep", &sweep)]))
}

/// What was done, and what has come of it.
fn notice(parameters: &Parameters<'_>, sweeps: &SweepStatus) -> Result<Option<Notice>, ApiError> {
    let sweep = parameters.optional::<u64>("sweep")?.unwrap_or_default();
    let before = match parameters.text("done") {
        None => return Ok(None),
        Some("changed") => {
            let words = "What is held has changed meanwhile, so nothing was accepted. Look at it again.";
            return Ok(Some(Notice { level: "warning", words: words.to_owned() }));
        }
        Some("accepted") => "The removal of what is held is accepted. ",
        Some(_) => "",
    };
    let ended = sweeps.past.recent.iter().find(|past| past.number == sweep);
    let is_running = sweeps.running.as_ref().is_some_and(|running| running.number == sweep);
    let is_over = sweeps.last.as_ref().is_some_and(|last| last.number >= sweep);
    let (level, after) = match ended {
        Some(ended) if ended.outcome == SweepOutcome::Complete => {
            ("good", format!("Sweep {sweep} has ended, with {}.", corrections_in_words(ended.found)))
        }
        Some(_) => ("warning", format!("Sweep {sweep} has ended, and could not compare everything.")),
        None if is_over => ("good", format!("Sweep {sweep} has ended.")),
        None if is_running => ("", format!("Sweep {sweep} is under way.")),
        None => ("", format!("Sweep {sweep} is asked for, and begins as soon as it can.")),
    };
    Ok(Some(Notice { level, words: format!("{before}{after}") }))
}

fn corrections_in_words(found: u64) -> String {
    match found {
        0 => "no difference".to_owned(),
        1 => "one difference, which is mended".to_owned(),
        found => format!("{} differences, which are mended", Number(found)),
    }
}

async fn held(state: &WebState, missing: Missing) -> Result<Held, ApiError> {
    let list = removals::held(state, &Parameters::default().or("n", HELD)).await?;
    let row = |HeldRepository { repository, tags, manifests }| HeldRow {
        page: links::repository(&repository),
        name: repository.to_string(),
        tags: Number(tags),
        manifests: Number(manifests),
    };
    Ok(Held {
        missing,
        words: format!("{} and {}", counted(missing.tags, "tag"), counted(missing.manifests, "manifest")),
        repositories: list.items.into_iter().map(row).collect(),
        has_more: list.next.is_some(),
        all: links::to(links::FLAWS, &[("kind", "lost_tag")]),
    })
}

/// What sweeps mended on each day.
fn corrections(past: &PastSweeps, today: Day) -> Plot {
    let found = |day: Day| {
        let name = day.to_string();
        past.days.iter().find(|known| known.day == name).map_or(0, |known| known.found)
    };
    let days: Vec<_> = today.up_to(DAYS).map(|day| (day, found(day))).collect();
    Plot::of_days("corrections", "Differences found", &days)
}

const fn kind_in_words(kind: SweepKind) -> &'static str {
    match kind {
        SweepKind::Shallow => "shallow",
        SweepKind::Deep => "deep",
    }
}

impl Running {
    fn new(running: RunningSweep, visit: &Visit) -> Self {
        let done = Number(running.repositories_done);
        let mut progress = match running.repositories_expected {
            Some(expected) => format!("{done} of about {} repositories", Number(expected)),
            None => format!("{done} repositories"),
        };
        if let Some(left) = running.seconds_left {
            let left = span(std::time::Duration::from_secs(left));
            progress = format!("{progress}, about {left} left");
        }
        Self {
            number: Number(running.number),
            kind: kind_in_words(running.kind),
            phase: match running.phase {
                SweepPhase::Catalog => "through the registry's catalog",
                SweepPhase::Unlisted => "through known repositories that the catalog did not list",
            },
            began: visit.time(running.started_at),
            resumed: running.resumed,
            done: running.repositories_done,
            expected: running.repositories_expected,
            progress,
            tags: Number(running.tags),
            found: Number(running.found),
            problems: Number(running.problems),
        }
    }
}

impl SweepRow {
    fn new(sweep: PastSweep, visit: &Visit) -> Self {
        let (outcome, level) = match sweep.outcome {
            SweepOutcome::Complete => ("complete", "good"),
            SweepOutcome::Partial => ("in part", "warning"),
            SweepOutcome::Failed => ("failed", "bad"),
        };
        Self {
            number: Number(sweep.number),
            kind: kind_in_words(sweep.kind),
            ended: visit.time(sweep.ended_at),
            took: span(sweep.ended_at.since(sweep.started_at)),
            repositories: Number(sweep.repositories),
            tags: Number(sweep.tags),
            found: sweep.found,
            problems: sweep.problems,
            outcome,
            level,
        }
    }
}

impl From<BackendStatus> for BackendRow {
    fn from(BackendStatus { url, healthy, foreign, latency_milliseconds }: BackendStatus) -> Self {
        let (words, level) = match (healthy, foreign) {
            (true, _) => ("answers".to_owned(), "good"),
            (false, Some(status)) => (format!("no registry: it answers {status}"), "bad"),
            (false, None) => ("does not answer".to_owned(), "bad"),
        };
        let latency = latency_milliseconds.filter(|_| healthy);
        let latency = latency.map(|latency| match latency {
            latency if latency < 10.0 => format!("{latency:.1} ms"),
            latency => format!("{latency:.0} ms"),
        });
        Self { url: url.trim_end_matches('/').to_owned(), words, level, latency }
    }
}
