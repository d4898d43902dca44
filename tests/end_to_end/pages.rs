//! The pages, as a browser shows them: Debian's Chromium before a real door and a real registry.

mod access;
mod activity;
mod artifact;
mod browser;
mod changes;
mod defects;
mod driver;
mod every_page;
mod findings;
mod gate;
mod hostile;
mod look;
mod past;
mod sample;
mod story;
mod sync;
mod typing;
