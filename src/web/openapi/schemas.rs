//! Types of the floors below, as the API shows them: the floors themselves know nothing of OpenAPI.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::{LockKind, LoginKind, TokenKind, UserName};
use crate::clock::Timestamp;
use crate::oci::{self, Digest, ManifestKind, MediaType, RepositoryName, Tag};
use crate::store::{self, AuthEventKind, Epoch, EventKind, Flaw, Sequence, Source, SweepKind};
use crate::sync;

/// Types that are one value.
macro_rules! values {
    ($($type:ty, $name:literal, $build:expr;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let build: fn(ObjectBuilder) -> ObjectBuilder = $build;
                build(ObjectBuilder::new().schema_type(Type::String)).build().into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

values! {
    Timestamp, "Timestamp", |object| object
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("RFC 3339, UTC."));
    RepositoryName, "RepositoryName", |object| object.max_length(Some(255)).min_length(Some(1));
    Tag, "Tag", |object| object.pattern(Some("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"));
    Digest, "Digest", |object| object.pattern(Some("^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"));
    MediaType, "MediaType", |object| object;
    Epoch, "Epoch", |object| object.pattern(Some("^[0-9A-Fa-f]{32}$"));
    Sequence, "Sequence", |object| object
        .schema_type(Type::Integer)
        .minimum(Some(0));
    EventKind, "EventKind", |object| object.enum_values(Some(EventKind::ALL.map(EventKind::as_str)));
    Source, "Source", |object| object.enum_values(Some(["observed", "verified", "swept", "hinted"]));
    ManifestKind, "ManifestKind", |object| object.enum_values(Some(["image", "index", "opaque"]));
    UserName, "UserName", |object| object.max_length(Some(255)).min_length(Some(1));
    TokenKind, "TokenKind", |object| object.enum_values(Some(TokenKind::ALL.map(TokenKind::as_str)));
    LoginKind, "LoginKind", |object| object.enum_values(Some(LoginKind::ALL.map(LoginKind::as_str)));
    LockKind, "LockKind", |object| object.enum_values(Some(LockKind::ALL.map(LockKind::as_str)));
    Flaw, "Flaw", |object| object.enum_values(Some(Flaw::ALL.map(Flaw::as_str)));
    SweepKind, "SweepKind", |object| object.enum_values(Some(["shallow", "deep"]));
    AuthEventKind, "AuthEventKind", |object| object.enum_values(Some([
        "token", "login", "login_failed", "refused", "account", "policy", "signed_out",
    ]));
}

/// Types that are shown as a shape says.
macro_rules! shaped {
    ($($type:ty = $shape:ident;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $shape::schema()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($shape))
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $shape::schemas(schemas);
            }
        }
    )+};
}

shaped! {
    oci::Descriptor = Descriptor;
    store::Missing = Missing;
    store::AuthEvent = AuthEvent;
    store::Totals = Totals;
    store::FlawCounts = FlawCounts;
    sync::SweepStatus = SweepStatus;
}

/// A content descriptor (OCI image specification).
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct Descriptor {
    media_type: MediaType,
    digest: Digest,
    /// In bytes.
    size: u64,
    platform: Option<Platform>,
    artifact_type: Option<MediaType>,
    #[schema(required = false)]
    annotations: BTreeMap<String, String>,
}

/// A platform, as in `linux/arm64/v8`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// How much of what is recorded the registry denies.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct Missing {
    tags: u64,
    manifests: u64,
}

/// How much is held.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct Totals {
    repositories: u64,
    tags: u64,
    /// Counted once for each repository that has them.
    manifests: u64,
    /// Of manifests and blobs, each counted once for each repository that has it.
    bytes: u64,
}

/// How much is wrong with what is held, by kind.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct FlawCounts {
    /// Indexes of which the repository lacks manifests.
    missing_children: u64,
    /// Manifests about others that the repository lacks.
    missing_subject: u64,
    /// Tags that the registry denies.
    lost_tag: u64,
    empty_repository: u64,
    /// Manifests to which no tag and no index leads, and that are about no other one.
    untagged: u64,
}

/// Something that happened at the gate, once or several times.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct AuthEvent {
    /// When, the last time.
    time: Timestamp,
    /// When, the first time, if that is another.
    first: Option<Timestamp>,
    kind: AuthEventKind,
    user: Option<String>,
    address: Option<String>,
    /// What it was about: scopes, an account.
    about: String,
    /// How often.
    count: u64,
}

/// What the sweeps are at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct SweepStatus {
    running: Option<RunningSweep>,
    last: Option<FinishedSweep>,
    past: PastSweeps,
    next_at: Option<Timestamp>,
    /// Another time means another record, whose numbers are others.
    numbered_since: Timestamp,
}

/// A sweep that is under way.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct RunningSweep {
    number: u64,
    kind: SweepKind,
    /// `catalog` or `unlisted`.
    phase: String,
    started_at: Timestamp,
    /// Whether it goes on where an earlier run of the door left it.
    resumed: bool,
    repositories_done: u64,
    repositories_expected: Option<u64>,
    repositories_per_second: f64,
    seconds_left: Option<u64>,
    tags: u64,
    /// Corrections so far.
    found: u64,
    problems: u64,
}

/// A sweep that has ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct FinishedSweep {
    number: u64,
    kind: SweepKind,
    started_at: Timestamp,
    ended_at: Timestamp,
    /// `complete`, `partial` or `failed`.
    outcome: String,
    cause: Option<String>,
    /// `listed`, `disabled`, `failed` or `not_read`.
    catalog: String,
    repositories: u64,
    tags: u64,
    /// Corrections.
    found: u64,
    /// What could not be compared, the first of them.
    problems: Vec<Problem>,
    problem_count: u64,
    held: Missing,
    unsettled: u64,
}

/// Sweeps that have ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct PastSweeps {
    /// The last 20, the latest first.
    recent: Vec<PastSweep>,
    /// The last 30 days on which any ended, the latest first.
    days: Vec<SweepDay>,
}

/// A sweep that has ended, in short.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct PastSweep {
    number: u64,
    kind: SweepKind,
    started_at: Timestamp,
    ended_at: Timestamp,
    /// `complete`, `partial` or `failed`.
    outcome: String,
    repositories: u64,
    tags: u64,
    /// Corrections.
    found: u64,
    /// How many could not be compared.
    problems: u64,
}

/// What the sweeps came to that ended on one day.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct SweepDay {
    /// As `2026-11-27`, in UTC.
    day: String,
    sweeps: u64,
    /// Corrections.
    found: u64,
    /// How many could not be compared.
    problems: u64,
}

/// Something that could not be compared.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes another type")]
struct Problem {
    repository: Option<String>,
    message: String,
}
