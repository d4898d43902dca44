//! `GET /ui/activity?repository=&user=&kind=&tag=&day=&after=`: what happened, the newest first, day by day. The script adds what
//! happens meanwhile; who may see the statistics sees how much happened on each day.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::events::{self, EventItem};
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::super::statistics;
use super::activity_plots::{ActivityPlots, DAYS};
use super::error::PageError;
use super::format::Day;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::pager::Pager;
use super::rows::{EventRow, kind_in_words};
use super::visit::{Visit, rendered};
use crate::store::EventKind;

/// How many events are shown at once.
const ROWS: &str = "20";

#[derive(Template)]
#[template(path = "activity.html", config = "src/web/pages/templates/askama.toml")]
struct Activity {
    layout: Layout,
    wanted: Wanted,
    kinds: Vec<Kind>,
    /// For those who may see the statistics.
    plots: Option<ActivityPlots>,
    days: Vec<EventDay>,
    /// The stream that goes on from this page, for the script; nothing where a part of the past is shown.
    live: Option<String>,
    here: String,
    pager: Pager,
}

/// Which events are wanted, as the form has it.
struct Wanted {
    repository: String,
    tag: String,
    /// For those who may know who did something.
    user: Option<String>,
    day: String,
    is_anything: bool,
    /// Some of what happened in that time, not all.
    is_part: bool,
}

/// A kind of events that can be chosen.
struct Kind {
    value: &'static str,
    words: &'static str,
    is_chosen: bool,
}

/// Events of one day.
struct EventDay {
    day: Day,
    name: String,
    date: String,
    rows: Vec<EventRow>,
}

/// Shows what happened.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let known = &["repository", "tag", "user", "kind", "day", "after"];
    let mut asked = Parameters::of_form(&visit.query, known)?.or("order", "desc").or("n", ROWS);
    let day = asked.optional::<Day>("day")?;
    let times = day.map(|day| (day.begins().to_string(), day.ends().to_string()));
    if let Some((since, until)) = &times {
        asked = asked.or("since", since).or("until", until);
    }
    let last = events::last(&state);
    let events::Events { list, epoch } = events::listed(&state, visit.viewer.clone(), &asked).await?;
    let text = |name| asked.text(name).unwrap_or_default();
    let filters = ["repository", "tag", "user", "kind"].map(|name| (name, text(name)));
    let part = |after: &str| {
        let mut asked = filters.to_vec();
        asked.extend([("day", text("day")), ("after", after)]);
        links::to(links::ACTIVITY, &asked)
    };
    let is_part = filters.iter().any(|(_, value)| !value.is_empty());
    let today = visit.today();
    let is_past = day.is_some_and(|day| day != today) || asked.text("after").is_some();
    // Streams are for those who have signed in, or for everybody at an open door.
    let live = (!is_past && !visit.viewer.is_nobody()).then(|| {
        let (epoch, last) = (epoch.to_string(), last.to_string());
        let mut asked = filters.to_vec();
        asked.extend([("after", &*last), ("epoch", &*epoch)]);
        links::to("/api/v1/events/stream", &asked)
    });
    let kind = |kind: EventKind| Kind {
        value: kind.as_str(),
        words: kind_in_words(kind),
        is_chosen: text("kind") == kind.as_str(),
    };
    let plots = match (visit.may_ask("/api/v1/statistics"), day) {
        (false, _) => None,
        (true, None) => {
            Some(ActivityPlots::of_last_days(&statistics::days(&state, DAYS as usize).await?, today))
        }
        (true, Some(day)) => {
            let days = statistics::days(&state, statistics::MAXIMUM_DAYS).await?;
            Some(ActivityPlots::of_day(day, &days, today))
        }
    };
    rendered(&Activity {
        layout: visit.layout(Section::Activity, "Activity"),
        wanted: Wanted {
            repository: text("repository").to_owned(),
            tag: text("tag").to_owned(),
            user: visit.viewer.may_see_actors().then(|| text("user").to_owned()),
            day: text("day").to_owned(),
            is_anything: is_part || day.is_some(),
            is_part,
        },
        kinds: EventKind::ALL.map(kind).into(),
        plots,
        days: by_day(list.items, &visit),
        live,
        here: visit.here(),
        pager: Pager::new(asked.text("after").map(|_| part("")), list.next.map(|after| part(&after)))
            .called("Newest", "Older"),
    })
}

/// Events, the newest first, by their days. A clock that was set back may make a day appear twice.
fn by_day(events: Vec<EventItem>, visit: &Visit) -> Vec<EventDay> {
    let mut days: Vec<EventDay> = Vec::new();
    for event in events {
        let day = Day::of(event.time);
        let row = EventRow::new(event, visit);
        match days.last_mut().filter(|last| last.day == day) {
            Some(last) => last.rows.push(row),
            None => {
                let (name, date) = (day.in_words(visit.today()), day.date());
                days.push(EventDay {
                    day,
                    date: if name == date { String::new() } else { date },
                    name,
                    rows: vec![row],
                });
            }
        }
    }
    days
}
