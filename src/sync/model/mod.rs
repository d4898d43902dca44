//! The model test: random histories of a door between clients who push and delete, and a registry that fails in every way
//! it can, in virtual time. Clients lose patience, the door crashes at any of its steps or at any time, the registry is
//! slow, down or started anew, others push and delete around the door, hints come rightly and wrongly, and sweeps at any
//! time. Whatever happened:
//!
//! - what a client was acknowledged is in the store at that version (P1);
//! - when all is quiet and a deep sweep has passed, asked for or by schedule, the store equals the registry; without any
//!   sweep where everything went through the door (P2, P4, P5);
//! - the history holds no removal of anything that was there all the time since the history last spoke of it, nor a find of
//!   what was not (P3), and is never rewritten (P6).
//!
//! `registry` is the registry, of one `nature` or another, with the lies of its `listing`s and the `faulty_transport` to it, `history`
//! what happens, `simulation` the doors, with the `actions` of their clients and the `steps` that they take; `registry_history` knows what was there when, `acknowledged` what clients heard, and
//! `checks` what has to be true.
//! The same seed makes the same history. A history that fails is made smaller as long as it fails, and shown.
//!
//! ```text
//! PORTREEVE_MODEL_HISTORIES=1000000 cargo test --lib model    many
//! PORTREEVE_MODEL_SEED=42 cargo test --lib model              one again
//! ```

mod acknowledged;
mod actions;
mod checks;
mod faulty_transport;
mod history;
mod listing;
mod nature;
mod random;
mod registry;
mod registry_history;
mod simulation;
mod steps;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use history::History;
use simulation::live;

/// How many histories a usual run tries.
const HISTORIES: u64 = 2_000;
/// After so many a run shows how far it is.
const SHOWN: u64 = 50_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a whole number"))
}

/// Lives through a history. What was not true of it, if anything.
fn fault_of(history: &History) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| live(history))) {
        Ok(Ok(())) => None,
        Ok(Err(wrong)) => Some(wrong),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        }
    }
}

/// The smallest history that still fails, and how.
fn shrink(mut history: History, mut wrong: String) -> (History, String) {
    loop {
        let smaller =
            history.smaller().into_iter().find_map(|less| fault_of(&less).map(|wrong| (less, wrong)));
        match smaller {
            Some((less, how)) => (history, wrong) = (less, how),
            None => return (history, wrong),
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed has to be known when it fails")]
fn after_any_history_the_record_equals_the_registry_and_nothing_was_removed_that_was_there() {
    let (first, count) = match number("PORTREEVE_MODEL_SEED") {
        Some(seed) => (seed, 1),
        None => {
            let first = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() << 20;
            (first, number("PORTREEVE_MODEL_HISTORIES").unwrap_or(HISTORIES))
        }
    };
    println!("{count} histories from seed {first} on");
    let done = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let failed = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| first_failure(first, count, &done))).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).min_by_key(|(seed, _)| *seed)
    });
    let Some((seed, wrong)) = failed else { return };
    let (smallest, how) = shrink(History::from_seed(seed), wrong.clone());
    panic!(
        "seed {seed}, history {} of {count}: {wrong}\n\nthe smallest like it: {how}\n{smallest}\n\n\
         again: PORTREEVE_MODEL_SEED={seed} cargo test --lib model",
        seed - first + 1
    );
}

/// Lives through histories that nobody else has taken, until one fails.
#[expect(clippy::print_stdout, reason = "a long run shows how far it is")]
fn first_failure(first: u64, count: u64, done: &AtomicU64) -> Option<(u64, String)> {
    loop {
        let number = done.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return None;
        }
        if number > 0 && number.is_multiple_of(SHOWN) {
            println!("{number} histories");
        }
        if let Some(wrong) = fault_of(&History::from_seed(first + number)) {
            // The others need not go on.
            done.store(count, Ordering::Relaxed);
            return Some((first + number, wrong));
        }
    }
}
