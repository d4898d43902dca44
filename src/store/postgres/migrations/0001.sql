-- Rows are JSON in `bytea`, as every backend keeps them, beside the columns by which they are found and sorted: JSON of the
-- database would refuse what a manifest may say. Texts are compared bytewise.

CREATE TABLE doors (
    door bigint PRIMARY KEY,
    epoch bigint NOT NULL,
    beat bigint NOT NULL,
    -- The last transaction of this door that was committed.
    batch bigint NOT NULL,
    -- In which order they came.
    joined bigint NOT NULL,
    -- When it was taken for dead, or left. Only tells when the row may go.
    died timestamptz
);

CREATE TABLE leases (
    name text COLLATE "C" PRIMARY KEY,
    door bigint,
    door_epoch bigint,
    epoch bigint NOT NULL
);

CREATE TABLE epochs (
    -- The last number before it.
    before bigint PRIMARY KEY,
    epoch bytea NOT NULL
);

CREATE TABLE intents (
    sequence bigint PRIMARY KEY,
    repository text COLLATE "C" NOT NULL,
    door bigint NOT NULL,
    door_epoch bigint NOT NULL,
    -- Without it, it waits; with it alone, it is carried; with `retry`, its outcome is not known.
    since bigint,
    retry bytea,
    content bytea NOT NULL
);
CREATE INDEX intents_by_repository ON intents (repository, sequence);
CREATE INDEX intents_by_door ON intents (door, door_epoch);

CREATE TABLE events (
    sequence bigint PRIMARY KEY,
    repository text COLLATE "C" NOT NULL,
    time bigint NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX events_by_repository ON events (repository, sequence);
CREATE INDEX events_by_time ON events (time);

CREATE TABLE repositories (
    name text COLLATE "C" PRIMARY KEY,
    is_empty boolean NOT NULL,
    is_missing boolean NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX repositories_empty ON repositories (name) WHERE is_empty;
CREATE INDEX repositories_missing ON repositories (name) WHERE is_missing;

CREATE TABLE tags (
    repository text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    is_missing boolean NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (repository, tag)
);
CREATE INDEX tags_by_manifest ON tags (repository, digest, tag);
CREATE INDEX tags_missing ON tags (repository, tag) WHERE is_missing;

CREATE TABLE manifests (
    repository text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    subject text COLLATE "C",
    content bytea NOT NULL,
    document bytea NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX manifests_by_subject ON manifests (repository, subject, digest) WHERE subject IS NOT NULL;

-- Everything that an index names and that is a manifest.
CREATE TABLE children (
    repository text COLLATE "C" NOT NULL,
    child text COLLATE "C" NOT NULL,
    parent text COLLATE "C" NOT NULL,
    -- In which order the index names them.
    place integer NOT NULL,
    PRIMARY KEY (repository, child, parent)
);
CREATE INDEX children_by_parent ON children (repository, parent);

CREATE TABLE blobs (
    repository text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (repository, digest)
);

CREATE TABLE images (
    repository text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    -- What the image says, which may be no text for the database.
    platform bytea,
    content bytea NOT NULL,
    PRIMARY KEY (repository, digest)
);

CREATE TABLE tombstones (
    repository text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    -- What a tag pointed to.
    digest text COLLATE "C",
    content bytea NOT NULL,
    PRIMARY KEY (repository, reference)
);
CREATE INDEX tombstones_by_age ON tombstones (at, repository, reference);
CREATE INDEX tombstones_by_manifest ON tombstones (repository, digest) WHERE digest IS NOT NULL;

CREATE TABLE deleted_manifests (
    repository text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    size bigint NOT NULL,
    document bytea NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX deleted_manifests_by_age ON deleted_manifests (at, repository, digest);

-- Flaws of manifests; the others are seen in the rows of repositories and tags.
CREATE TABLE flaws (
    kind text COLLATE "C" NOT NULL,
    repository text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, repository, digest)
);
CREATE INDEX flaws_by_manifest ON flaws (repository, digest);

CREATE TABLE flaw_counts (
    kind text COLLATE "C" PRIMARY KEY,
    count bigint NOT NULL
);
INSERT INTO flaw_counts VALUES ('missing_children', 0), ('missing_subject', 0), ('untagged', 0);

CREATE TABLE days (
    day bigint PRIMARY KEY,
    content bytea NOT NULL
);

CREATE TABLE hints (
    repository text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (repository, reference)
);

-- What is kept of sweeps, by name.
CREATE TABLE sweep (
    name text COLLATE "C" PRIMARY KEY,
    content bytea NOT NULL
);

CREATE TABLE sweep_marks (
    piece bigint PRIMARY KEY,
    marks bytea NOT NULL
);

-- Keys may be any text, also one that the database would not take for text.
CREATE TABLE accounts (
    kind text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE auth_events (
    number bigint PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    time bigint NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX auth_events_by_kind ON auth_events (kind, number);
