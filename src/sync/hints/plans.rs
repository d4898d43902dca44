//! Which hints are looked at when: pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Backoff;
use crate::oci::RepositoryName;
use crate::store::{Hint, HintedReference};

/// A registry tells of a push before it has written the tag: it is asked once more after this.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// Among how many hints that are due one is looked for whose repository is free; else one that is looked at has to end.
const LOOKED_THROUGH: usize = 1_000;
/// The pauses after questions without an answer.
pub(super) const PAUSES: Backoff =
    Backoff::new(Duration::from_secs(1), Duration::from_mins(5)).with_jitter(0.5);
/// A hint that got no clear answer for so long is given up: it must not hold its place for ever, and sweeps see what it
/// was about. Counted from the start of the door, if that was later.
const GIVEN_UP: Duration = Duration::from_hours(24);

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
    /// Looks so far that did not settle it.
    failures: u32,
    /// Whether the registry has answered once.
    looked: bool,
    /// Since when it waits.
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

impl Plan {
    /// To be looked at now.
    fn new(number: u64, now: Instant) -> Self {
        Self { number, next: Some(now), failures: 0, looked: false, since: now, again: None }
    }
}

impl Plans {
    /// How many hints are known.
    pub(super) fn len(&self) -> usize {
        self.plans.len()
    }

    /// Takes up what the store keeps, and forgets what it does not any more.
    pub(super) fn update(&mut self, kept: Vec<Hint>, now: Instant) {
        let numbers: HashSet<u64> = kept.iter().map(|hint| hint.number).collect();
        self.plans.retain(|_, plan| numbers.contains(&plan.number) || plan.next.is_none());
        self.due.retain(|(_, number), _| numbers.contains(number));
        self.add(kept, now);
    }

    /// Takes up what has come. Costs no more than that.
    pub(super) fn add(&mut self, hints: Vec<Hint>, now: Instant) {
        for Hint { about, number, .. } in hints {
            match self.plans.get_mut(&about) {
                // Known, or given again since.
                Some(plan) if plan.number.max(plan.again.unwrap_or_default()) >= number => {}
                Some(plan) if plan.next.is_none() => plan.again = Some(number),
                Some(plan) => {
                    if let Some(next) = plan.next {
                        self.due.remove(&(next, plan.number));
                    }
                    self.plan(about, Plan::new(number, now));
                }
                None => self.plan(about, Plan::new(number, now)),
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
        let (_, number) = key;
        self.busy.insert(about.repository.clone());
        if let Some(plan) = self.plans.get_mut(&about) {
            plan.next = None;
        }
        Some(Hint::new(about, number))
    }

    /// A hint was looked at. Whether it is done.
    pub(super) fn note(&mut self, hint: &Hint, followed: Followed, now: Instant) -> bool {
        self.busy.remove(&hint.about.repository);
        let Some(mut plan) = self.plans.remove(&hint.about) else { return true };
        if let Some(number) = plan.again {
            self.plan(hint.about.clone(), Plan::new(number, now));
            return false;
        }
        let wait = match followed {
            Followed::Answered if plan.looked => return true,
            Followed::Answered => {
                plan.looked = true;
                SECOND_LOOK
            }
            Followed::Unsettled(left) => {
                plan.failures = plan.failures.saturating_add(1);
                PAUSES.jittered(plan.failures, &mut self.random).min(left)
            }
            Followed::Unanswered(_) if now.duration_since(plan.since) >= GIVEN_UP => {
                let HintedReference { repository, reference } = &hint.about;
                tracing::warn!(%repository, %reference, "a hint had no clear answer for a day and is given up");
                metrics::counter!("portreeve_hints_total", "result" => "given_up").increment(1);
                return true;
            }
            Followed::Unanswered(wanted) => {
                plan.failures = plan.failures.saturating_add(1);
                PAUSES.at_least(wanted, plan.failures, &mut self.random)
            }
        };
        plan.next = Some(now + wait);
        self.plan(hint.about.clone(), plan);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::LONGEST_RETRY_AFTER;
    use crate::oci::Reference;

    fn hint(tag: &str, number: u64) -> Hint {
        let reference = Reference::parse(tag).unwrap();
        let repository = RepositoryName::parse(&format!("of-{tag}")).unwrap();
        Hint::new(HintedReference { repository, reference }, number)
    }

    fn known(plans: &Plans) -> usize {
        assert_eq!(plans.due.len(), plans.plans.len());
        plans.due.len()
    }

    #[tokio::test(start_paused = true)]
    async fn hints_are_looked_at_in_the_order_of_their_arrival_and_twice() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        let (first, second) = (hint("z", 1), hint("a", 2));
        plans.update(vec![second.clone(), first.clone()], now);
        assert_eq!(plans.take(now), Some(first.clone()));
        assert_eq!(plans.take(now), Some(second));
        assert_eq!(plans.take(now), None);
        assert!(!plans.note(&first, Followed::Answered, now));
        assert_eq!(plans.take(now), None);
        let later = now + SECOND_LOOK;
        assert_eq!(plans.take(later), Some(first.clone()));
        assert!(plans.note(&first, Followed::Answered, later));
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_repository_one_hint_is_looked_at_at_a_time_in_order() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        let of_one = |number| {
            let mut hint = hint("a", number);
            hint.about.reference = Reference::parse(&format!("tag-{number}")).unwrap();
            hint
        };
        let elsewhere = hint("b", 3);
        plans.add(vec![of_one(1), of_one(2), elsewhere.clone()], now);
        assert_eq!(plans.take(now), Some(of_one(1)));
        assert_eq!(plans.take(now), Some(elsewhere));
        assert_eq!((plans.take(now), plans.next()), (None, None));
        assert!(!plans.note(&of_one(1), Followed::Unanswered(None), now));
        assert_eq!(plans.take(now), Some(of_one(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_believed_yet_is_asked_for_again_ever_later_and_no_later_than_it_will_be() {
        let (mut plans, mut now) = (Plans::default(), Instant::now());
        plans.add(vec![hint("a", 1)], now);
        let believed = now + Duration::from_mins(1);
        let mut looks = 0;
        while now < believed {
            let hint = plans.take(now).unwrap();
            assert!(!plans.note(&hint, Followed::Unsettled(believed - now), now));
            now = plans.next().unwrap();
            looks += 1;
        }
        assert_eq!(now, believed);
        assert!((5..15).contains(&looks), "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_again_while_it_is_looked_at_is_looked_at_anew() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        plans.update(vec![hint("a", 1)], now);
        let first = plans.take(now).unwrap();
        plans.update(vec![hint("a", 2)], now);
        assert_eq!(plans.take(now), None, "not twice at once");
        assert!(!plans.note(&first, Followed::Answered, now));
        assert_eq!(plans.take(now), Some(hint("a", 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_again_before_it_was_looked_at_counts_once() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        plans.update(vec![hint("a", 1)], now);
        plans.update(vec![hint("a", 2)], now);
        assert_eq!(known(&plans), 1);
        assert_eq!(plans.take(now), Some(hint("a", 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_that_is_told_late_does_not_take_the_place_of_a_newer_one() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        plans.update(vec![hint("a", 2)], now);
        plans.add(vec![hint("a", 1)], now);
        assert_eq!(known(&plans), 1);
        assert_eq!(plans.take(now), Some(hint("a", 2)));
        plans.add(vec![hint("a", 3), hint("a", 1)], now);
        assert!(!plans.note(&hint("a", 2), Followed::Answered, now));
        assert_eq!(plans.take(now), Some(hint("a", 3)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_has_forgotten_is_forgotten() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        plans.update(vec![hint("a", 1), hint("b", 2)], now);
        plans.update(vec![hint("b", 2)], now);
        assert_eq!(known(&plans), 1);
        assert_eq!(plans.take(now), Some(hint("b", 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_the_longest_and_are_never_the_same_for_all() {
        let (mut plans, mut now) = (Plans::default(), Instant::now());
        plans.update(vec![hint("a", 1)], now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let hint = plans.take(now).unwrap();
            assert!(!plans.note(&hint, Followed::Unanswered(None), now));
            let next = plans.next().unwrap();
            waits.push(next.duration_since(now));
            now = next;
        }
        for (number, wait) in waits.iter().enumerate() {
            let most = PAUSES.pause(1 + u32::try_from(number).unwrap());
            assert!(most / 2 <= *wait && *wait <= most, "{waits:?}");
        }
        assert!(waits.iter().any(|wait| wait.subsec_millis() != 0), "{waits:?}");
    }
    #[tokio::test(start_paused = true)]
    async fn one_without_a_clear_answer_is_given_up_after_a_day() {
        let (mut plans, begun) = (Plans::default(), Instant::now());
        plans.update(vec![hint("a", 1)], begun);
        let (mut now, mut looks) = (begun, 0);
        loop {
            let hint = plans.take(now).unwrap();
            looks += 1;
            if plans.note(&hint, Followed::Unanswered(None), now) {
                break;
            }
            now = plans.next().unwrap();
        }
        let waited = now.duration_since(begun);
        assert!(GIVEN_UP <= waited && waited <= GIVEN_UP + PAUSES.max, "{waited:?}");
        assert!(looks > 250, "{looks}");
        assert_eq!(known(&plans), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_asks_for_time_gets_it_but_not_for_ever() {
        let now = Instant::now();
        for (wanted, waits) in [(42, 42), (1_000_000, LONGEST_RETRY_AFTER.as_secs())] {
            let mut plans = Plans::default();
            plans.update(vec![hint("a", 1)], now);
            let hint = plans.take(now).unwrap();
            assert!(!plans.note(&hint, Followed::Unanswered(Some(Duration::from_secs(wanted))), now));
            assert_eq!(plans.next().unwrap().duration_since(now).as_secs(), waits);
        }
    }
}
