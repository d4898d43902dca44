//! Which hints are looked at when: pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Backoff;
use crate::oci::RepositoryName;
use crate::store::{Hint, HintedReference, Retry};
use crate::sync::moment::Moment;
use crate::telemetry::CounterFamily;

pub(in crate::sync) static FOLLOWED: CounterFamily = CounterFamily {
    name: "portreeve_hints_total",
    help: "Looks at hinted references by what was found",
    labels: &[("result", &["same", "different", "unsettled", "unanswered", "given_up"])],
};

/// A registry tells of a push before it has written the tag: it is asked once more after this.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// Among how many hints that are due one is looked for whose repository is free; else one that is looked at has to end.
const LOOKED_THROUGH: usize = 1_000;
/// The pauses after looks without an answer.
pub(super) const LOOK_PAUSES: Backoff =
    Backoff::new(Duration::from_secs(1), Duration::from_mins(5)).with_jitter(0.5);
/// A hint that got no clear answer for so long is given up: it must not hold its place for ever, and sweeps see what it
/// was about. Counted on the monotonic clock of the door that follows it, from when that saw it first, so that no clock
/// that jumps makes it end.
const GIVEN_UP: Duration = Duration::from_hours(24);
/// It is given up after so many looks as well, so that doors that take over from each other, or start again and again, do not
/// keep it for ever. Their pauses come to a day, however short chance makes them.
const MOST_LOOKS: u32 = 600;

/// Which hints are looked at when. It knows as many as the store keeps, which bounds it.
#[derive(Default)]
pub(super) struct Plans {
    plans: HashMap<HintedReference, Plan>,
    /// What is due, in the order of time, and of arrival among equals.
    due: BTreeMap<(Instant, u64), HintedReference>,
    /// The repositories of which a hint is looked at.
    busy: HashSet<RepositoryName>,
    random: fastrand::Rng,
}

/// When a hint is looked at next.
#[derive(Clone, Copy)]
struct Plan {
    /// Of which hint: another number is a new hint about the same.
    number: u64,
    /// None while it is looked at.
    next: Option<Instant>,
    /// Whether the registry has answered once.
    is_second_look: bool,
    /// The looks so far that did not settle it, as they stand in the store, or are to.
    retry: Retry,
    /// Since when this door knows it.
    since: Instant,
    /// The number of a new hint about the same, that came while this one was looked at.
    again: Option<u64>,
}

/// What following a hint came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// The registry answered, and the record says the same now.
    Answered,
    /// There was no answer, and perhaps the registry wants to be left alone for so long.
    Unanswered(Option<Duration>),
    /// The answer contradicts what was observed just now, and is believed after this time only.
    Unsettled(Duration),
}

/// What becomes of a hint that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is done.
    Done,
    /// It is looked at later, as it says.
    Postponed(Hint),
    /// It was given again meanwhile: it is looked at anew, as the store says already.
    GivenAgain,
}

impl Plan {
    /// As the store has it.
    fn of(hint: &Hint, at: Moment) -> Self {
        let Hint { about: _, number, is_second_look, retry } = *hint;
        let next = Some(at.now + retry.wait(at.time));
        Self { number, next, is_second_look, retry, since: at.now, again: None }
    }

    /// Of one that was given just now.
    fn new(number: u64, now: Instant) -> Self {
        Self { number, next: Some(now), is_second_look: false, retry: Retry::FIRST, since: now, again: None }
    }
}

impl Plans {
    /// How many hints are known.
    pub(super) fn len(&self) -> usize {
        self.plans.len()
    }

    /// Takes up what the store keeps, and forgets what it does not any more.
    pub(super) fn update(&mut self, kept: Vec<Hint>, at: Moment) {
        let numbers: HashSet<u64> = kept.iter().map(|hint| hint.number).collect();
        self.plans.retain(|_, plan| numbers.contains(&plan.number) || plan.next.is_none());
        self.due.retain(|(_, number), _| numbers.contains(number));
        self.add(kept, at);
    }

    /// Takes up what has come. Costs no more than that.
    pub(super) fn add(&mut self, hints: Vec<Hint>, at: Moment) {
        for hint in hints {
            match self.plans.get_mut(&hint.about) {
                // Known, or given again since.
                Some(plan) if plan.number.max(plan.again.unwrap_or_default()) >= hint.number => {}
                Some(plan) if plan.next.is_none() => plan.again = Some(hint.number),
                Some(plan) => {
                    if let Some(next) = plan.next {
                        self.due.remove(&(next, plan.number));
                    }
                    let plan = Plan::of(&hint, at);
                    self.plan(hint.about, plan);
                }
                None => {
                    let plan = Plan::of(&hint, at);
                    self.plan(hint.about, plan);
                }
            }
        }
    }

    fn plan(&mut self, about: HintedReference, plan: Plan) {
        if let Some(next) = plan.next {
            self.due.insert((next, plan.number), about.clone());
        }
        self.plans.insert(about, plan);
    }

    /// When the next hint is due that may be looked at: one of a repository of which nothing is looked at just now, so that
    /// the hints of an event are followed in their order, and a repository whose questions hang takes one place only.
    pub(super) fn next(&self) -> Option<Instant> {
        self.free().map(|((next, _), _)| *next)
    }

    fn free(&self) -> Option<(&(Instant, u64), &HintedReference)> {
        self.due.iter().take(LOOKED_THROUGH).find(|(_, about)| !self.busy.contains(&about.repository))
    }

    /// The next hint to look at now, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> Option<Hint> {
        let (key, _) = self.free().filter(|((next, _), _)| *next <= now)?;
        let key = *key;
        let about = self.due.remove(&key)?;
        let plan = self.plans.get_mut(&about)?;
        plan.next = None;
        let (number, is_second_look, retry) = (plan.number, plan.is_second_look, plan.retry);
        self.busy.insert(about.repository.clone());
        Some(Hint { about, number, is_second_look, retry })
    }

    /// A hint was looked at.
    pub(super) fn note(&mut self, hint: &Hint, followed: Followed, at: Moment) -> Noted {
        let Moment { now, time } = at;
        self.busy.remove(&hint.about.repository);
        let Some(mut plan) = self.plans.remove(&hint.about) else { return Noted::Done };
        if let Some(number) = plan.again {
            self.plan(hint.about.clone(), Plan::new(number, now));
            return Noted::GivenAgain;
        }
        let mut attempts = plan.retry.attempts;
        let pause = match followed {
            Followed::Answered if plan.is_second_look => return Noted::Done,
            Followed::Answered => {
                plan.is_second_look = true;
                SECOND_LOOK
            }
            Followed::Unsettled(left) => {
                attempts = attempts.saturating_add(1);
                LOOK_PAUSES.jittered(attempts, &mut self.random).min(left)
            }
            Followed::Unanswered(_)
                if now.duration_since(plan.since) >= GIVEN_UP || attempts >= MOST_LOOKS =>
            {
                let HintedReference { repository, reference } = &hint.about;
                tracing::warn!(%repository, %reference, "a hint had no clear answer for a day and is given up");
                FOLLOWED.with(["given_up"]).increment(1);
                return Noted::Done;
            }
            Followed::Unanswered(wanted) => {
                attempts = attempts.saturating_add(1);
                LOOK_PAUSES.at_least(wanted, attempts, &mut self.random)
            }
        };
        plan.retry = Retry::after(attempts, pause, time);
        plan.next = Some(now + pause);
        let Plan { number, is_second_look, retry, .. } = plan;
        self.plan(hint.about.clone(), plan);
        Noted::Postponed(Hint { about: hint.about.clone(), number, is_second_look, retry })
    }
}

#[cfg(test)]
mod tests;
