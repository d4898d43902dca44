//! Sweeps: what came to be behind the door's back is found, and nothing is removed because a listing does not name it.

mod cache;
mod children;
mod command;
mod discoveries;
mod listings;
mod paging;
mod progress;
mod resuming;
mod silence;
mod under_load;
