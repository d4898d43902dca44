//! Three doors on a PostgreSQL with a synchronous standby, each by a network of its own, behind a real HAProxy: while clients push,
//! move, delete and pull tags, doors are killed, stopped, frozen and cut off from their database, and the server of that is lost. At
//! the end record and registry are equal, what was acknowledged is so and stands in the history, and no two doors have swept at once.
//!
//! `PORTREEVE_STORM_SECONDS` says how long it lasts (40, at most 600), `PORTREEVE_SEED` repeats the choices of a run. What they
//! meet is the machine's choice all the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portreeve::clock::Timestamp;
use reqwest::header::{ACCEPT, USER_AGENT};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::database_failures::door;
use crate::support::door::Door;
use crate::support::haproxy::Proxy;
use crate::support::http::client_builder;
use crate::support::image::Image;
use crate::support::line::Line;
use crate::support::postgres::Server;
use crate::support::random::{Random, seed};
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::standby::synchronous_pair;
use crate::support::state::{ACCEPT_ALL, all, assert_in_step, assert_nothing_is_asked_about, record};
use crate::support::sweep::sweep;

const LONGEST: u64 = 600;
const WORKERS: u64 = 4;
const IMAGES: u64 = 5;
const REPOSITORIES: [&str; 2] = ["team/app", "team/other"];
/// Within which time a client gives up.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Within which time all is known again, on a machine that is busy.
const SETTLED: Duration = Duration::from_secs(120);
/// A question of a sweep may be so long on its way to the registry.
const ON_ITS_WAY: f64 = 1.0;

/// What a client knows of a tag that nobody else writes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It points there, or is not there.
    Is(Option<String>),
    /// The last write of it was not acknowledged. Nothing is written to it any more.
    Open,
}

/// A write that was acknowledged, by its `User-Agent`, which no other one has.
type Acknowledged = (String, &'static str);

/// What came of the work of one client.
#[derive(Default)]
struct Work {
    tags: BTreeMap<(String, String), Known>,
    acknowledged: Vec<Acknowledged>,
    refused: usize,
    pulled: usize,
}

/// Writes and reads its own tags until it is told to stop.
async fn work(url: String, worker: u64, mut random: Random, stop: CancellationToken) -> Work {
    let client = client_builder().timeout(CLIENT_TIMEOUT).build().unwrap();
    let images: Vec<Image> = (0..IMAGES).map(Image::small).collect();
    let (mut done, mut number) = (Work::default(), 0);
    while !stop.is_cancelled() {
        number += 1;
        let known: Vec<_> =
            done.tags.iter().filter(|(_, known)| **known != Known::Open).map(|(at, _)| at.clone()).collect();
        let is_new = known.len() < 6 || random.below(4) == 0;
        let (repository, tag) = match is_new {
            true => ((*random.one_of(&REPOSITORIES)).to_owned(), format!("w{worker}-{number}")),
            false => random.one_of(&known).clone(),
        };
        let agent = format!("storm/{worker}/{number}/{tag}");
        let path = format!("{url}/v2/{repository}/manifests/{tag}");
        match random.below(10) {
            0 | 1 if !is_new => {
                let deleted = client.delete(&path).header(USER_AGENT, &agent).send().await;
                match deleted.map(|answer| answer.status().as_u16()) {
                    Ok(202) => {
                        done.acknowledged.push((agent, "tag_deleted"));
                        done.tags.insert((repository, tag), Known::Is(None));
                    }
                    // It was deleted before; or, by the second of two requests, just now: of what a door that was killed had begun
                    // HAProxy says by HTTP/2 that it was not begun, and the client asks again.
                    Ok(404) => drop(done.tags.insert((repository, tag), Known::Is(None))),
                    answer => {
                        assert_is_an_outage(&answer, &agent, &done.tags, &(repository.clone(), tag.clone()));
                        done.refused += 1;
                        done.tags.insert((repository, tag), Known::Open);
                    }
                }
            }
            2..=4 if !is_new => pull(&client, &path, &done.tags[&(repository, tag)], &mut done.pulled).await,
            _ => {
                let image = random.one_of(&images);
                let put = client.put(&path).header(USER_AGENT, &agent);
                let put = put.header("content-type", &image.media_type).body(image.manifest.clone());
                match put.send().await.map(|answer| answer.status().as_u16()) {
                    Ok(201) => {
                        done.acknowledged.push((agent, "manifest_put"));
                        done.tags.insert((repository, tag), Known::Is(Some(image.digest.clone())));
                    }
                    answer => {
                        assert_is_an_outage(&answer, &agent, &done.tags, &(repository.clone(), tag.clone()));
                        done.refused += 1;
                        done.tags.insert((repository, tag), Known::Open);
                    }
                }
            }
        }
        // The pace of the storm, not a way to wait for anything.
        sleep(Duration::from_millis(random.below(30))).await;
    }
    done
}

/// What is answered to a pull is what was acknowledged, or that there is an outage.
async fn pull(client: &Client, path: &str, known: &Known, pulled: &mut usize) {
    let Known::Is(expected) = known else { return };
    let Ok(answer) = client.get(path).header(ACCEPT, ACCEPT_ALL).send().await else { return };
    match (answer.status().as_u16(), expected) {
        (200, Some(digest)) => {
            assert_eq!(answer.headers()["docker-content-digest"].to_str().unwrap(), digest, "{path}");
            *pulled += 1;
        }
        (404, None) => *pulled += 1,
        (500..600, _) => {}
        (status, _) => panic!("{path}, which is {known:?}, was answered {status}"),
    }
}

/// No answer, or one that promises nothing.
fn assert_is_an_outage(
    answer: &Result<u16, reqwest::Error>,
    agent: &str,
    tags: &BTreeMap<(String, String), Known>,
    at: &(String, String),
) {
    let is_so = answer.as_ref().map_or(true, |status| (500..600).contains(status));
    assert!(is_so, "{agent} at {at:?}, which is {:?}, was answered {answer:?}", tags.get(at));
}

/// One of the doors, and how it may be disturbed.
struct Disturbed {
    door: Door,
    line: Line,
    /// What stands between it and the registry.
    _relay: Relay,
}

impl Disturbed {
    async fn disturb(&mut self, random: &mut Random) -> &'static str {
        let time = Duration::from_millis(500 + random.below(9_000));
        match random.below(4) {
            0 => {
                self.door.kill().await;
                sleep(time / 4).await;
                self.door.restart_listening().await;
                "killed"
            }
            1 => {
                self.door.signal("TERM");
                self.door.wait_exit(SETTLED).await;
                self.door.restart_listening().await;
                "stopped"
            }
            2 => {
                self.door.signal("STOP");
                sleep(time).await;
                self.door.signal("CONT");
                "frozen"
            }
            _ => {
                self.line.cut();
                sleep(time).await;
                self.line.mend();
                "cut off"
            }
        }
    }
}

/// When which door asked the registry for a list, as only sweeps do.
type Asked = Arc<Mutex<Vec<(f64, usize)>>>;

/// The time of day in seconds.
fn now() -> f64 {
    Timestamp::now().as_milliseconds() as f64 / 1e3
}

/// Has the database write down when the lease for sweeps went where.
const WATCH_LEASES: &str = "
    CREATE TABLE watched (number bigserial, at timestamptz, door bigint, epoch bigint);
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO public.watched (at, door, epoch) VALUES (clock_timestamp(), NEW.door, NEW.epoch);
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT OR UPDATE ON leases FOR EACH ROW WHEN (NEW.name = 'sweep') EXECUTE FUNCTION watch()";

/// From one change of the lease to the next only the door that has it asks.
fn assert_one_sweeps_at_a_time(asked: &[(f64, usize)], server: &Server, database: &str) -> usize {
    let rows = "SELECT extract(epoch FROM at), coalesce(door::text, ''), epoch FROM watched ORDER BY number";
    let changes: Vec<(f64, bool)> = server
        .run(database, rows)
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('|').collect();
            (fields[0].parse().unwrap(), !fields[1].is_empty())
        })
        .collect();
    let mut held = 0;
    for (place, (since, is_held)) in changes.iter().enumerate() {
        let until = changes.get(place + 1).map_or(f64::MAX, |(at, _)| *at);
        let within = asked.iter().filter(|(at, _)| *at > since + ON_ITS_WAY && *at < until);
        let doors: BTreeSet<usize> = within.map(|(_, door)| *door).collect();
        assert!(doors.len() <= usize::from(*is_held), "of a lease since {since} to {until} {doors:?} ask");
        held += usize::from(*is_held);
    }
    held
}

/// Every write that was acknowledged stands in the history, whose numbers grow.
fn assert_in_history(events: &[Value], acknowledged: &[Acknowledged]) {
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "numbers are given out twice");
    let mut by_agent: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in events {
        by_agent.entry(event["actor"]["agent"].as_str().unwrap_or_default()).or_default().push(event);
    }
    for (agent, kind) in acknowledged {
        let found = by_agent.get(agent.as_str());
        let is_there = found.is_some_and(|events| events.iter().any(|event| event["kind"] == *kind));
        assert!(is_there, "{kind} by {agent} was acknowledged, and the history has {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_three_doors_and_their_database_loses_nothing_that_was_acknowledged() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let length = Duration::from_secs(number("PORTREEVE_STORM_SECONDS").unwrap_or(40).min(LONGEST));
    let seed = number("PORTREEVE_SEED").unwrap_or_else(seed);
    eprintln!("PORTREEVE_SEED={seed}");
    let mut random = Random::new(seed);

    let (primary, standby, database) = synchronous_pair().await;
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    for repository in REPOSITORIES {
        for image in (0..IMAGES).map(Image::small) {
            image.push_blobs(&registry.url(), repository).await;
            assert_eq!(
                image.put(&registry.url(), repository, &image.digest).await.status(),
                StatusCode::CREATED
            );
        }
    }
    let asked = Asked::default();
    let mut doors = Vec::new();
    for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
        let relay = Relay::start(&registry.url()).await;
        let asked = Arc::clone(&asked);
        relay.script(move |request| {
            if request.path == "/v2/_catalog" || request.path.ends_with("/tags/list") {
                asked.lock().unwrap().push((now(), number));
            }
            Fault::None
        });
        let line = Line::through_network_to_either([&primary, &standby], &database).await;
        let door = door(&registry, line.url(), &files, name)
            .set("REGISTRY__URL", relay.url())
            .set("SYNC__INTERVAL", "1s")
            .set("SYNC__DEEP_INTERVAL", "4s")
            .set("SERVER__GRACE", "5s")
            .set("PLUGINS__ACCESS_LOG__ENABLED", "false")
            .start()
            .await;
        if number == 0 {
            database.run(WATCH_LEASES);
        }
        doors.push(Disturbed { door, line, _relay: relay });
    }
    let proxy = Proxy::start(doors.iter().map(|disturbed| &disturbed.door)).await;
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let random = Random::new(random.next());
            tokio::spawn(work(proxy.url().to_owned(), worker, random, stop.clone()))
        })
        .collect();

    let (begun, mut happened, mut is_lost) = (Instant::now(), BTreeMap::<&str, usize>::new(), false);
    while begun.elapsed() < length {
        sleep(Duration::from_millis(random.below(3_000))).await;
        let what = if !is_lost && begun.elapsed() > length / 3 {
            is_lost = true;
            primary.crash();
            sleep(Duration::from_millis(random.below(4_000))).await;
            standby.promote();
            "the database's server lost"
        } else {
            let chosen = usize::try_from(random.below(doors.len() as u64)).unwrap();
            doors[chosen].disturb(&mut random).await
        };
        *happened.entry(what).or_default() += 1;
        assert!(!workers.iter().any(tokio::task::JoinHandle::is_finished), "a client has failed");
    }
    stop.cancel();
    let (mut tags, mut acknowledged, mut refused, mut pulled) = (BTreeMap::new(), Vec::new(), 0, 0);
    for worker in workers {
        let done = worker.await.unwrap();
        tags.extend(done.tags);
        acknowledged.extend(done.acknowledged);
        refused += done.refused;
        pulled += done.pulled;
    }

    let first = &doors[0].door;
    assert_nothing_is_asked_about(&first.url(), SETTLED).await;
    sweep(first, true).await;
    for Disturbed { door, .. } in &doors {
        assert_in_step(&door.url(), &registry.url(), SETTLED).await;
    }
    let recorded = record(&first.url()).await;
    for (at, known) in &tags {
        if let Known::Is(digest) = known {
            assert_eq!(recorded.get(at), digest.as_ref(), "{at:?} is {known:?}");
        }
    }
    assert_in_history(&all(&first.url(), "/api/v1/events?n=1000").await, &acknowledged);
    let asked = asked.lock().unwrap().clone();
    let held = assert_one_sweeps_at_a_time(&asked, &standby, database.name());
    eprintln!(
        "{happened:?}: {} writes acknowledged, {refused} refused or cut off, {pulled} pulls as they should be; the lease for \
         sweeps was given {held} times, and doors asked for {} lists",
        acknowledged.len(),
        asked.len()
    );
    assert!(acknowledged.len() > 50 && held > 0, "there was hardly anything to lose");
}
