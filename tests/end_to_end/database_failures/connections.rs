//! A database all of whose connections others have.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use reqwest::StatusCode;

use super::{SOON, assert_heals_whole, assert_refuses, assert_serves_on, door, until_ready};
use crate::support::image::Image;
use crate::support::postgres::{Database, Extras, PASSWORD, Server, USER};
use crate::support::pushing::Pushing;
use crate::support::registry::Registry;
use crate::support::wait::until;

/// Others that have connections, and do nothing. They let go of them when this is dropped.
struct Others(Vec<Child>);

impl Others {
    /// So many that there is none left.
    async fn take_all(server: &Server, database: &Database) -> Self {
        let mut others = Self(Vec::new());
        let url = format!("postgres://{USER}@127.0.0.1:{}/{}", server.port(), database.name());
        until("all connections are taken", SOON, async || {
            let mut other = Command::new("psql");
            // It waits for commands.
            other.arg(&url).arg("--no-psqlrc").env("PGPASSWORD", PASSWORD).stdin(Stdio::piped());
            let other = other.stdout(Stdio::null()).stderr(Stdio::null());
            others.0.push(other.spawn().unwrap());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            others.0.iter_mut().any(|other| other.try_wait().unwrap().is_some())
        })
        .await;
        others
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for other in &mut self.0 {
            let _ = other.kill();
            let _ = other.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_gets_no_connection_refuses_and_serves_on_and_heals_and_one_that_starts_says_so() {
    let access = "host all all 127.0.0.1/32 scram-sha-256\n";
    let server = Server::listening(Extras { settings: "max_connections = 20", access, ..Extras::default() });
    let database = server.database();
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let url = format!("postgres://{USER}@127.0.0.1:{}/{}", server.port(), database.name());
    let first = door(&registry, &url, &files, "first").start().await;
    let image = Arc::new(Image::small(1));
    image.push(&first.url(), "team/app", "before").await;
    let pushing = Pushing::to(&first.url(), &image);
    pushing.until_acknowledged(20).await;

    // Who has a connection goes on.
    let others = Others::take_all(&server, &database).await;
    pushing.until_acknowledged(20).await;
    assert_serves_on(&first, &image).await;
    let refused = door(&registry, &url, &files, "second").try_start().await;
    let (status, said) = refused.map(|_| ()).unwrap_err();
    assert!(!status.success() && said.contains("others have all its connections"), "{status} {said}");

    let doors = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portreeve' AND datname = '{}'",
        database.name()
    );
    let mut more = Vec::new();
    until("the door has no connection either", SOON, async || {
        server.run("postgres", &doors);
        more.push(Others::take_all(&server, &database).await);
        let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'portreeve'";
        server.run("postgres", left) == "0\n"
    })
    .await;
    assert_refuses(&first, &registry, &image).await;
    assert_serves_on(&first, &image).await;
    until_ready(&first, StatusCode::SERVICE_UNAVAILABLE).await;

    drop((others, more));
    assert_heals_whole(&first, &registry, pushing).await;
}
