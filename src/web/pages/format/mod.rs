//! How pages write numbers, sizes, times and digests: each is a small piece of HTML of its own, which escapes what it is given.

mod day;
mod digest;
mod number;
mod size;
mod text;
mod time;

pub(super) use day::Day;
pub(super) use digest::ShortDigest;
pub(super) use number::{Number, counted};
pub(super) use size::{Size, SizeOfParts};
pub(super) use text::{CutText, shortened};
pub(super) use time::{Time, span};
