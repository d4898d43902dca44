//! The pages, as a browser shows them: Debian's Chromium before a real door and a real registry.

mod browser;
mod defects;
mod driver;
mod findings;
mod look;
