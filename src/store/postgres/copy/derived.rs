//! Looks whether what the database keeps beside the rows follows from them: columns by which rows are found, what indexes name, what is
//! noted to be wrong, and sums. The database compares, within the transaction in which the rows were read; its own indexes are its own.

use super::super::failure::{Failure, NotThere, decode, number};
use super::super::query::query;
use super::super::ticket::Sums;
use super::super::transaction::{NOT_NOTED, NOTED_WRONGLY};
use super::session::Session;
use crate::oci::{ImageConfig, MediaType};
use crate::store::copy::{FindingKind, Part, Tally, Telling};
use crate::store::image::platform_of;
use crate::store::{Flaw, StoreError};

/// A column as JSON of the database, which knows no character of the number 0: nothing that is compared here has one.
macro_rules! json {
    ($column:expr) => {
        concat!("replace(convert_from(", $column, ", 'UTF8'), E'\\\\u0000', E'\\\\u0001')::json")
    };
}

/// The rows of a table whose columns are not what their content says.
macro_rules! columns {
    ($table:literal, $place:literal, $content:literal, $differ:literal) => {
        concat!(
            "SELECT ",
            $place,
            ", '",
            $table,
            "' FROM ",
            $table,
            " CROSS JOIN LATERAL (SELECT ",
            json!($content),
            " AS c) j WHERE ",
            $differ,
            " ORDER BY 1 LIMIT 1001"
        )
    };
}

/// Each answers places, and names of tables.
const COLUMNS: [&str; 9] = [
    columns!(
        "repositories",
        "name",
        "content",
        "is_empty <> ((c->>'tags')::numeric = 0 AND (c->>'manifests')::numeric = 0) OR is_missing <> \
         (coalesce((c->>'missing_tags')::numeric, 0) + coalesce((c->>'missing_manifests')::numeric, 0) > 0)"
    ),
    columns!(
        "tags",
        "repository || ':' || tag",
        "content",
        "digest IS DISTINCT FROM c->>'digest' OR is_missing <> (c->'missing' IS NOT NULL)"
    ),
    columns!(
        "manifests",
        "repository || '@' || digest",
        "document",
        "subject IS DISTINCT FROM c->'subject'->>'digest'"
    ),
    columns!(
        "events",
        "'event ' || sequence",
        "content",
        "sequence IS DISTINCT FROM (c->>'sequence')::bigint OR repository IS DISTINCT FROM c->>'repository' \
         OR time IS DISTINCT FROM (extract(epoch FROM (c->>'time')::timestamptz) * 1000)::bigint"
    ),
    columns!(
        "intents",
        "'intent ' || sequence",
        "content",
        "sequence IS DISTINCT FROM (c->>'sequence')::bigint OR repository IS DISTINCT FROM c->>'repository'"
    ),
    columns!(
        "hints",
        "repository || ' ' || reference",
        "content",
        "number IS DISTINCT FROM (c->>'number')::bigint"
    ),
    columns!(
        "tombstones",
        "repository || ' ' || reference",
        "content",
        "at IS DISTINCT FROM (extract(epoch FROM (c->>'at')::timestamptz) * 1000)::bigint OR digest IS DISTINCT FROM c->'past'->'tag'->>'digest'"
    ),
    columns!(
        "auth_events",
        "'event ' || number || ' of the gate'",
        "content",
        "kind IS DISTINCT FROM c->>'kind' OR time IS DISTINCT FROM (extract(epoch FROM (c->>'time')::timestamptz) * 1000)::bigint"
    ),
    "SELECT repository || '@' || digest, 'deleted_manifests' FROM deleted_manifests
     WHERE size <> octet_length(document) + octet_length(bytes) ORDER BY 1 LIMIT 1001",
];

/// What indexes name.
macro_rules! named {
    () => {
        concat!(
            "SELECT m.repository, e->>'digest' AS child, m.digest AS parent FROM manifests m
         CROSS JOIN LATERAL json_array_elements(",
            json!("m.document"),
            "->'children') e WHERE e->>'media_type' = ANY($1::text[])"
        )
    };
}

const UNNAMED: &str = concat!(
    "SELECT repository || '@' || parent, child FROM (SELECT repository, child, parent FROM children EXCEPT ",
    named!(),
    ") n ORDER BY 1 LIMIT 1001"
);
const LACKING: &str = concat!(
    "SELECT repository || '@' || parent, child FROM (",
    named!(),
    " EXCEPT SELECT repository, child, parent FROM children) n ORDER BY 1 LIMIT 1001"
);

const IMAGES: &str = "
SELECT repository, digest, platform, content FROM images WHERE (repository, digest) > ($1, $2)
ORDER BY repository, digest LIMIT 1000";

/// The flaws whose number is not as many as are noted.
const COUNTS: &str = "
SELECT c.kind, c.count, (SELECT count(*) FROM flaws f WHERE f.kind = c.kind) FROM flaw_counts c ORDER BY c.kind";

/// See the module. The rows come to this tally.
pub(super) fn check_derived(
    session: &Session,
    tally: &Tally,
    telling: &mut Telling<'_>,
) -> Result<(), Failure> {
    for sql in COLUMNS {
        for row in session.ask(&query!(sql))? {
            let what = format!(
                "the columns of `{}` by which it is found are not what it says",
                row.try_get::<_, &str>(1)?
            );
            found(telling, FindingKind::Index, row.try_get(0)?, what)?;
        }
        goes_on(telling)?;
    }
    let types: Vec<&str> = MediaType::of_manifests().to_vec();
    for (sql, what) in [(LACKING, "which `children` lacks"), (UNNAMED, "by `children` alone")] {
        for row in session.ask(&query!(sql, types.clone()))? {
            let what = format!("it names {}, {what}", row.try_get::<_, &str>(1)?);
            found(telling, FindingKind::Index, row.try_get(0)?, what)?;
        }
        goes_on(telling)?;
    }
    for (sql, what) in [(NOT_NOTED, "is not noted"), (NOTED_WRONGLY, "is noted, and it is not so")] {
        for row in session.ask(&query!(sql))? {
            let what = format!("`{}` {what}", row.try_get::<_, &str>(1)?);
            found(telling, FindingKind::Flaws, row.try_get(0)?, what)?;
        }
        goes_on(telling)?;
    }
    check_images(session, telling)?;
    for row in session.ask(&query!(COUNTS))? {
        let [kept, noted] = [1, 2].map(|place| row.try_get::<_, i64>(place));
        compare(telling, FindingKind::Flaws, row.try_get(0)?, number(kept?), number(noted?))?;
    }
    check_sums(session, tally, telling)
}

/// What an image says may be no text for the database, so that it cannot compare it.
fn check_images(session: &Session, telling: &mut Telling<'_>) -> Result<(), Failure> {
    let (mut repository, mut digest) = (String::new(), String::new());
    loop {
        let rows = session.ask(&query!(IMAGES, repository.clone(), digest.clone()))?;
        let Some(last) = rows.last() else { return Ok(()) };
        (repository, digest) = (last.try_get(0)?, last.try_get(1)?);
        for row in &rows {
            let place = format!("{}@{}", row.try_get::<_, &str>(0)?, row.try_get::<_, &str>(1)?);
            let config: Option<ImageConfig> = decode(|| format!("image {place}"), row.try_get(3)?)?;
            let kept: Option<&[u8]> = row.try_get(2)?;
            if platform_of(config.as_ref()).as_deref().map(str::as_bytes) != kept {
                let what = "its platform is not the one that the image says".to_owned();
                found(telling, FindingKind::Index, place, what)?;
            }
        }
    }
}

fn check_sums(session: &Session, tally: &Tally, telling: &mut Telling<'_>) -> Result<(), Failure> {
    let rows = session.ask(&query!("SELECT content FROM ledger"))?;
    let row = rows.first().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
    let sums: Sums = decode(|| "ticket".into(), row.try_get(0)?)?;
    let flaws = |flaw: Flaw| flaw.as_str();
    for (name, kept, found) in [
        ("repositories", sums.totals.repositories, tally.totals.repositories),
        ("tags", sums.totals.tags, tally.totals.tags),
        ("manifests", sums.totals.manifests, tally.totals.manifests),
        ("bytes", sums.totals.bytes, tally.totals.bytes),
        (flaws(Flaw::EmptyRepository), sums.empty_repositories, tally.empty_repositories),
        ("tags that the registry denies", sums.missing.tags, tally.missing.tags),
        ("manifests that the registry denies", sums.missing.manifests, tally.missing.manifests),
        ("open intents", sums.open_intents, tally.of(Part::Intents)),
        ("events", sums.events, tally.of(Part::Events)),
        ("tombstones", sums.tombstones, tally.of(Part::Tombstones)),
        ("deleted manifests", sums.deleted.count, tally.deleted.count),
        ("bytes of deleted manifests", sums.deleted.bytes, tally.deleted.bytes),
        ("hints", sums.hints, tally.of(Part::Hints)),
    ] {
        compare(telling, FindingKind::RecordSums, name, kept, found)?;
    }
    let kinds = sums.auth_events.keys().chain(tally.auth_events.keys());
    for kind in kinds.copied().collect::<std::collections::BTreeSet<_>>() {
        let [kept, found] =
            [&sums.auth_events, &tally.auth_events].map(|of| of.get(&kind).copied().unwrap_or(0));
        compare(telling, FindingKind::RecordSums, &format!("events of the gate, {kind:?}"), kept, found)?;
    }
    Ok(())
}

fn found(telling: &mut Telling<'_>, kind: FindingKind, place: String, what: String) -> Result<(), Failure> {
    telling.found(kind, place, what).map_err(Failure::Refused)
}

fn compare(
    telling: &mut Telling<'_>,
    kind: FindingKind,
    name: &str,
    kept: u64,
    found: u64,
) -> Result<(), Failure> {
    telling.compare(kind, "the record", name, kept, found).map_err(Failure::Refused)
}

fn goes_on(telling: &mut Telling<'_>) -> Result<(), Failure> {
    telling.looked_at(0).map_err(|error: StoreError| Failure::Refused(error))
}
