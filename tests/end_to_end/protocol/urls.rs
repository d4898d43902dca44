//! URLs of the registry's own: whatever it calls itself, and wherever its uploads go on, clients stay with the door. And how
//! clients may call the door.

mod arrival;
mod host;
mod links;
mod preflight;
mod redirects;
mod uploads;
