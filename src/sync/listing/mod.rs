//! Walking the registry's listings page by page: [`LoopGuard`] tells a listing that never ends, [`Marks`] remember which
//! names were met. Used by the sweep and by the comparison of names.

mod loop_guard;
mod marks;

pub(super) use loop_guard::LoopGuard;
pub(super) use marks::{KeptMarks, Marks};
