//! What the end-to-end tests stand on: real registries and real doors as child processes, images made in memory, and the
//! comparison of what the registry holds with what the door recorded.

pub mod attacker;
pub mod binary;
pub mod connection;
pub mod disk;
pub mod door;
pub mod engine;
pub mod guard;
pub mod haproxy;
pub mod http;
pub mod image;
pub mod leaping;
pub mod line;
pub mod memory;
pub mod metrics;
pub mod pooler;
pub mod port;
pub mod postgres;
pub mod prometheus;
pub mod pushing;
pub mod random;
pub mod raw;
pub mod registry;
pub mod relay;
pub mod scripted;
pub mod standby;
pub mod state;
pub mod sweep;
pub mod throttle;
pub mod tool;
pub mod unread;
pub mod wait;
