//! What redb does with a damaged page is not all errors: some it meets with an assertion. Whatever calls into redb does so
//! through [`caught`], so that a panic becomes an error in words, and neither ends a thread nor clutters the log.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

use super::failure::Failure;

/// The database panicked.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot make sense of a page of its file ({0})")]
pub(super) struct Panicked(String);

thread_local! {
    /// How many calls of [`caught`] this thread is in.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

static QUIET: Once = Once::new();

/// Runs what calls into redb. A panic is a damaged file.
///
/// When it panics, what `run` owns is dropped while the stack unwinds: transactions belong outside, since a second panic
/// in the midst of that would end the process.
pub(super) fn caught<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    QUIET.call_once(|| {
        let otherwise = take_hook();
        set_hook(Box::new(move |panic| {
            if CATCHING.get() == 0 {
                otherwise(panic);
            }
        }));
    });
    CATCHING.set(CATCHING.get() + 1);
    // What may be left half done is looked at before it is used again: see `Writer::inspect`.
    let done = catch_unwind(AssertUnwindSafe(run));
    CATCHING.set(CATCHING.get() - 1);
    done.unwrap_or_else(|payload| {
        let words = payload.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words");
        let first = words.lines().next().unwrap_or_default();
        Err(Failure::Corrupt { what: "file".to_owned(), cause: Arc::new(Panicked(first.to_owned())) })
    })
}

/// Drops something of redb's.
pub(super) fn dropped<T>(owned: T) -> Result<(), Failure> {
    caught(|| {
        drop(owned);
        Ok(())
    })
}

/// Whether a panic stands behind a failure.
pub(super) fn is_panic(failure: &Failure) -> bool {
    matches!(failure, Failure::Corrupt { cause, .. } if cause.is::<Panicked>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_words() {
        let failure = caught::<()>(|| panic!("page {} is odd", 7)).unwrap_err();
        assert!(is_panic(&failure));
        let error = failure.into_error("be read").to_string();
        assert!(error.contains("page 7 is odd"), "{error}");
        assert!(caught(|| Ok(1)).is_ok_and(|one| one == 1));
    }
}
