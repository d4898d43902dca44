//! The door: the pingora service that clients talk to.
//!
//! # The life of a request
//!
//! ```text
//! connection ── listen ── TLS? ── HTTP/1.1 or HTTP/2 ── pingora, or the direct way ── service
//!   request line ── Route or refusal                                   (oci::Route; what does not parse goes nowhere)
//!   Plugin::on_request, in table order
//!   ├─ pages and API ── bridge ── axum router
//!   ├─ manifest PUT, DELETE ── body read whole ── Plugin::on_write, in table order; the last one carries it (sync/)
//!   └─ all else ── backend chosen ── headers for the registry ── streamed both ways
//!   Location and Link lead back to the door ── Plugin::on_response, in reverse ── client
//!   Plugin::on_end, in reverse, however it ended
//! ```
//!
//! Only this module, `plugins/` and `server.rs` name pingora. It knows the [`Plugin`] trait but no plugin, and an axum
//! router but no page: `server.rs` hands it both.

mod body;
mod body_memory;
mod bounded_head;
mod bridge;
mod certificate;
mod certificate_details;
mod client_connection;
mod client_stream;
mod clock_retry;
mod concurrency_limit;
mod connections;
mod context;
mod direct;
mod early_answer;
mod exchange;
mod failed_exchange;
mod failure;
mod fair_queue;
mod forward;
mod forward_target;
mod forwarded;
mod header_names;
mod hooks;
mod http2_windows;
mod inbound;
mod limits;
mod link_header;
mod listen;
mod location_header;
mod normalization;
mod own_paths;
mod pipeline;
mod plugin;
mod public_address;
mod pull_target;
mod refused_connections;
mod request_id;
mod request_limiter;
mod request_metrics;
mod respond;
mod service;
mod sticky;
mod upload_target;
mod upstream_connection;
mod upstream_peer;
mod uri_reference;
mod url_rewriting;
mod watchdog;

pub use body_memory::BodyMemory;
pub use certificate::{CertificateError, Certificates};
pub use certificate_details::{CertificateDetails, Validity};
pub use connections::ConnectionLimits;
pub use exchange::{
    AnswerOrigin, CatalogScope, Client, Exchange, ExchangeOutcome, ForwardedAuthorization, Forwarding,
    Scheme, Target,
};
pub use forward::{end_to_end_headers, remove_hop_by_hop};
pub use forwarded::{Hop, read_forwarded};
pub use limits::Limits;
pub use listen::{Door, Listener, UpstreamSettings, Worker};
pub use normalization::is_authority;
pub use own_paths::{OwnPaths, RefusalAnswer};
pub use pipeline::Pipeline;
pub use plugin::{
    Answering, BoxError, Entry, Flow, InvalidOption, Parts, Plugin, PluginOption, Prepared, Refusal,
    Response, ResponseBody, read_options,
};
pub use public_address::PublicAddress;
pub use request_id::RequestId;
pub use request_limiter::RequestLimits;
pub use service::{Service, ServiceParts};

/// The response head as plugins see and change it.
pub use pingora_http::ResponseHeader as ResponseHead;

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    request_metrics::describe();
    certificate::describe();
    for counter in [
        &refused_connections::REFUSED,
        &request_limiter::SHED,
        &fair_queue::DELAYED,
        &watchdog::STALLS,
        &body_memory::REFUSED,
    ] {
        counter.describe();
    }
    describe_gauge!("portreeve_connections", "Open connections, by listener");
    describe_counter!("portreeve_plugin_panics_total", "Exchanges that failed because a plugin panicked");
}
