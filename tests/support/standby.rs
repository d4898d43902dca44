//! A PostgreSQL server and a standby that it waits for.

use std::time::Duration;

use super::postgres::{Database, Extras, Server};
use super::wait::until_seen;

const SOON: Duration = Duration::from_secs(30);

/// A server, the standby without which it acknowledges nothing, and a database of theirs.
pub async fn synchronous_pair() -> (Server, Server, Database) {
    let access = "local replication all trust\nhost all all all scram-sha-256\n";
    let extras = Extras { access, ..Extras::default() };
    let primary = Server::listening(extras);
    let database = primary.database();
    let standby = Server::standby_of(&primary, extras);
    let followers = "SELECT application_name, sync_state FROM pg_stat_replication";
    let attached = async || primary.run("postgres", followers).trim().to_owned();
    until_seen("the standby follows", SOON, attached, |seen| seen == "standby|async").await;
    primary.run("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    primary.run("postgres", "SELECT pg_reload_conf()");
    until_seen("the standby is waited for", SOON, attached, |seen| seen == "standby|sync").await;
    (primary, standby, database)
}
