use super::*;
use crate::clock::{LONGEST_RETRY_AFTER, Timestamp};
use crate::oci::Reference;
use crate::sync::hints::sample::hint;

fn start() -> Moment {
    Moment::at(Timestamp::from_milliseconds(1_000_000_000))
}

fn known(plans: &Plans) -> usize {
    assert_eq!(plans.due.len(), plans.plans.len());
    plans.due.len()
}

/// The next hint, which is looked at in vain; and when it is looked at again.
fn look_in_vain(plans: &mut Plans, at: Moment) -> (Hint, Duration) {
    let hint = plans.take(at.now).unwrap();
    let Noted::Postponed(postponed) = plans.note(&hint, Followed::Unanswered(None), at) else {
        panic!("it is not done")
    };
    let wait = plans.next().unwrap() - at.now;
    assert_eq!(postponed.retry, Retry::after(hint.retry.attempts + 1, wait, at.time));
    (postponed, wait)
}

#[tokio::test(start_paused = true)]
async fn hints_are_looked_at_in_the_order_of_their_arrival_and_twice() {
    let (mut plans, at) = (Plans::default(), start());
    let (first, second) = (hint("z", 1), hint("a", 2));
    plans.update(vec![second.clone(), first.clone()], at);
    assert_eq!(plans.take(at.now), Some(first.clone()));
    assert_eq!(plans.take(at.now), Some(second));
    assert_eq!(plans.take(at.now), None);
    let again = Hint { is_second_look: true, retry: Retry::after(0, SECOND_LOOK, at.time), ..first.clone() };
    assert_eq!(plans.note(&first, Followed::Answered, at), Noted::Postponed(again.clone()));
    assert_eq!(plans.take(at.now), None);
    let later = at.later_by(SECOND_LOOK);
    assert_eq!(plans.take(later.now), Some(again.clone()));
    assert_eq!(plans.note(&again, Followed::Answered, later), Noted::Done);
}

#[tokio::test(start_paused = true)]
async fn of_one_repository_one_hint_is_looked_at_at_a_time_in_order() {
    let (mut plans, at) = (Plans::default(), start());
    let of_one = |number| {
        let mut hint = hint("a", number);
        hint.about.reference = Reference::parse(&format!("tag-{number}")).unwrap();
        hint
    };
    let elsewhere = hint("b", 3);
    plans.add(vec![of_one(1), of_one(2), elsewhere.clone()], at);
    assert_eq!(plans.take(at.now), Some(of_one(1)));
    assert_eq!(plans.take(at.now), Some(elsewhere));
    assert_eq!((plans.take(at.now), plans.next()), (None, None));
    let noted = plans.note(&of_one(1), Followed::Unanswered(None), at);
    assert!(matches!(noted, Noted::Postponed(_)), "{noted:?}");
    assert_eq!(plans.take(at.now), Some(of_one(2)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_believed_yet_is_asked_for_again_ever_later_and_no_later_than_it_will_be() {
    let (mut plans, mut at) = (Plans::default(), start());
    plans.add(vec![hint("a", 1)], at);
    let believed = at.now + Duration::from_mins(1);
    let mut looks = 0;
    while at.now < believed {
        let hint = plans.take(at.now).unwrap();
        let noted = plans.note(&hint, Followed::Unsettled(believed - at.now), at);
        assert!(matches!(noted, Noted::Postponed(_)), "{noted:?}");
        at = at.later_by(plans.next().unwrap() - at.now);
        looks += 1;
    }
    assert_eq!(at.now, believed);
    assert!((5..15).contains(&looks), "{looks}");
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_again_while_it_is_looked_at_is_looked_at_anew() {
    let (mut plans, at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1)], at);
    let first = plans.take(at.now).unwrap();
    plans.update(vec![hint("a", 2)], at);
    assert_eq!(plans.take(at.now), None, "not twice at once");
    assert_eq!(plans.note(&first, Followed::Answered, at), Noted::GivenAgain);
    assert_eq!(plans.take(at.now), Some(hint("a", 2)));
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_again_before_it_was_looked_at_counts_once() {
    let (mut plans, at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1)], at);
    plans.update(vec![hint("a", 2)], at);
    assert_eq!(known(&plans), 1);
    assert_eq!(plans.take(at.now), Some(hint("a", 2)));
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_is_told_late_does_not_take_the_place_of_a_newer_one() {
    let (mut plans, at) = (Plans::default(), start());
    plans.update(vec![hint("a", 2)], at);
    plans.add(vec![hint("a", 1)], at);
    assert_eq!(known(&plans), 1);
    assert_eq!(plans.take(at.now), Some(hint("a", 2)));
    plans.add(vec![hint("a", 3), hint("a", 1)], at);
    assert_eq!(plans.note(&hint("a", 2), Followed::Answered, at), Noted::GivenAgain);
    assert_eq!(plans.take(at.now), Some(hint("a", 3)));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_forgotten_is_forgotten() {
    let (mut plans, at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1), hint("b", 2)], at);
    plans.update(vec![hint("b", 2)], at);
    assert_eq!(known(&plans), 1);
    assert_eq!(plans.take(at.now), Some(hint("b", 2)));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_up_to_the_longest_and_are_never_the_same_for_all() {
    let (mut plans, mut at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1)], at);
    let mut waits = Vec::new();
    for _ in 0..12 {
        let (_, wait) = look_in_vain(&mut plans, at);
        waits.push(wait);
        at = at.later_by(wait);
    }
    for (number, wait) in waits.iter().enumerate() {
        let most = LOOK_PAUSES.pause(1 + u32::try_from(number).unwrap());
        assert!(most / 2 <= *wait && *wait <= most, "{waits:?}");
    }
    assert!(waits.iter().any(|wait| wait.subsec_millis() != 0), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn another_door_goes_on_with_what_was_postponed_and_begins_anew_with_what_was_given_again() {
    let (mut plans, mut at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1)], at);
    for _ in 0..6 {
        let (_, wait) = look_in_vain(&mut plans, at);
        at = at.later_by(wait);
    }
    let (kept, wait) = look_in_vain(&mut plans, at);
    assert_eq!(kept.retry.attempts, 7);

    let mut other = Plans::default();
    let taken_over = at.later_by(wait / 3);
    other.update(vec![kept.clone()], taken_over);
    assert_eq!(other.take(taken_over.now), None);
    // Times that are written down are in whole milliseconds.
    let rounding = Duration::from_millis(2);
    let next = other.next().unwrap() - at.now;
    assert!(next.abs_diff(wait) <= rounding, "{next:?} {wait:?}");
    let due = at.later_by(wait + rounding);
    let (eighth, _) = look_in_vain(&mut other, due);
    assert_eq!(eighth.retry.attempts, 8);
    other.update(vec![kept, hint("a", 2)], due);
    let (anew, wait) = look_in_vain(&mut other, due);
    assert_eq!((anew.number, anew.retry.attempts), (2, 1));
    assert!(wait <= LOOK_PAUSES.pause(1), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_look_is_one_for_another_door_too() {
    let (mut plans, at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1)], at);
    let first = plans.take(at.now).unwrap();
    let Noted::Postponed(kept) = plans.note(&first, Followed::Answered, at) else { panic!("it is not done") };
    let mut other = Plans::default();
    other.update(vec![kept.clone()], at);
    let later = at.later_by(SECOND_LOOK);
    assert_eq!((other.take(at.now), other.take(later.now)), (None, Some(kept.clone())));
    assert_eq!(other.note(&kept, Followed::Answered, later), Noted::Done);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_delays_no_hint_beyond_its_pause_and_ends_none() {
    let at = start();
    let pause = LOOK_PAUSES.pause(3);
    for due_at in [0, 999_000_000, 1_000_000_500, 2_000_000_000, u64::MAX] {
        let retry = Retry { attempts: 3, pause, due_at: Timestamp::from_milliseconds(due_at) };
        let mut plans = Plans::default();
        plans.update(vec![Hint { retry, ..hint("a", 1) }], at);
        let wait = plans.next().unwrap() - at.now;
        assert!(wait <= pause, "{due_at}: {wait:?}");
        look_in_vain(&mut plans, at.later_by(wait));
    }
}

#[tokio::test(start_paused = true)]
async fn one_without_a_clear_answer_is_given_up_after_a_day() {
    let (mut plans, mut at) = (Plans::default(), start());
    plans.update(vec![hint("a", 1)], at);
    let (begun, mut looks) = (at.now, 0);
    loop {
        let hint = plans.take(at.now).unwrap();
        looks += 1;
        if plans.note(&hint, Followed::Unanswered(None), at) == Noted::Done {
            break;
        }
        at = at.later_by(plans.next().unwrap() - at.now);
    }
    let waited = at.now.duration_since(begun);
    assert!(GIVEN_UP <= waited && waited <= GIVEN_UP + LOOK_PAUSES.max, "{waited:?}");
    assert!(looks > 250, "{looks}");
    assert_eq!(known(&plans), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_passes_from_door_to_door_is_given_up_too_but_not_within_a_day() {
    let (mut at, mut kept) = (start(), hint("a", 1));
    let (begun, mut looks) = (at.now, 0);
    loop {
        let mut plans = Plans::default();
        plans.update(vec![kept.clone()], at);
        at = at.later_by(plans.next().unwrap() - at.now);
        let hint = plans.take(at.now).unwrap();
        looks += 1;
        assert!(looks <= MOST_LOOKS + 1, "it is kept for ever");
        match plans.note(&hint, Followed::Unanswered(None), at) {
            Noted::Postponed(postponed) => kept = postponed,
            noted => break assert_eq!(noted, Noted::Done),
        }
    }
    assert_eq!(looks, MOST_LOOKS + 1);
    assert!(at.now.duration_since(begun) >= GIVEN_UP);
    let shortest: Duration = (1..=MOST_LOOKS).map(|attempts| LOOK_PAUSES.pause(attempts) / 2).sum();
    assert!(shortest >= GIVEN_UP, "{shortest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_asks_for_time_gets_it_but_not_for_ever() {
    let at = start();
    for (wanted, waits) in [(42, 42), (1_000_000, LONGEST_RETRY_AFTER.as_secs())] {
        let mut plans = Plans::default();
        plans.update(vec![hint("a", 1)], at);
        let hint = plans.take(at.now).unwrap();
        let wanted = Some(Duration::from_secs(wanted));
        let Noted::Postponed(kept) = plans.note(&hint, Followed::Unanswered(wanted), at) else {
            panic!("it is not done")
        };
        let mut other = Plans::default();
        other.update(vec![kept], at);
        for plans in [plans, other] {
            assert_eq!(plans.next().unwrap().duration_since(at.now).as_secs(), waits);
        }
    }
}
