//! Followers of the stream of events, while manifests are pushed.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use portreeve::oci::{Digest, MediaType};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Fault;
use crate::door::{House, used};
use crate::load::Connection;
use crate::scripted::{self, Holdings};

const FOLLOWERS: u64 = 1_000;
const PER_SECOND: u64 = 1_000;
/// What they may add to the door's memory, in MiB.
const MOST: f64 = 64.0;
/// How many connections the pushes come over.
const PUSHING: u64 = 64;
/// Pushes before anything is measured.
const FIRST: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// When each push was answered, by its number.
type Answered = Arc<Mutex<Vec<Option<Instant>>>>;

/// Measures them for this time.
pub async fn measure(time: Duration) -> Result<(), Fault> {
    let registry = scripted::start(Holdings { repositories: 0, tags: 0 })?;
    let house = House::new(format!("http://{registry}"))?;
    let door = house.serve("0").await?;
    let events = PER_SECOND * time.as_secs().max(1);
    let answered: Answered = Arc::new(Mutex::new(vec![None; usize::try_from(FIRST + events)?]));
    let alone = push(door.address(), 0..FIRST, &answered).await?;
    // proc(5): what resets the peak.
    std::fs::write(format!("/proc/{}/clear_refs", door.process()), "5")?;
    let (_, before) = used(door.process())?;

    let received = Arc::new(AtomicU64::new(0));
    let mut followers = JoinSet::new();
    let delays = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
    for number in 0..FOLLOWERS {
        let from = Ipv4Addr::new(127, 0, 0, 10 + u8::try_from(number % 4)?);
        let mut connection = Connection::open(from, door.address()).await?;
        let stream = connection.send(Request::get("/api/v1/events/stream"), Bytes::new()).await?;
        if stream.status() != StatusCode::OK {
            return Err(format!("a follower was answered with {}", stream.status()).into());
        }
        let received = Arc::clone(&received);
        // One of them looks at what it is sent.
        let watch = (number == FOLLOWERS / 2).then(|| (Arc::clone(&answered), Arc::clone(&delays)));
        followers.spawn(async move {
            let _kept = connection;
            match watch {
                Some((answered, delays)) => look(stream.into_body(), &received, &answered, &delays).await,
                None => count(stream.into_body(), &received).await,
            }
        });
    }
    // Each stream begins with a block of its own.
    until(&received, FOLLOWERS).await?;
    let connected = used(door.process())?.1 - before;

    let (processor, begun) = (used(door.process())?.0, Instant::now());
    let rate = push(door.address(), FIRST..FIRST + events, &answered).await?;
    until(&received, FOLLOWERS * (1 + events)).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let (used, peak) = used(door.process())?;
    let delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
    let grown = peak - before;
    println!("\n| {FOLLOWERS} followers of {events} events | |");
    println!("| --- | --- |");
    println!("| pushes per second, wanted | {PER_SECOND} |");
    println!("| pushes per second, with the followers | {rate:.0} |");
    println!("| pushes per second before, without them | {alone:.0} |");
    println!("| events sent per second, to all together | {:.0} |", (FOLLOWERS * events) as f64 / elapsed);
    println!(
        "| from a push's answer to its event, p50 / p99 ms | {:.0} / {:.0} |",
        delays.value_at_quantile(0.5),
        delays.value_at_quantile(0.99)
    );
    println!("| door CPU s per second | {:.2} |", (used - processor) / elapsed);
    println!("| RSS before, MiB | {before:.1} |");
    println!("| RSS, more with all connected, MiB | {connected:.1} |");
    let reached = if grown <= MOST { "yes" } else { "**no**" };
    println!("| RSS, more at most, MiB (target ≤ {MOST}: {reached}) | {grown:.1} |");
    Ok(())
}

/// Pushes the manifests with these numbers, each to a tag of its own, at the wanted pace or as fast as they are answered.
/// Answers how many a second those were.
async fn push(
    door: std::net::SocketAddr,
    numbers: std::ops::Range<u64>,
    answered: &Answered,
) -> Result<f64, Fault> {
    let (begun, count) = (Instant::now(), numbers.end - numbers.start);
    let mut pushing = JoinSet::new();
    for first in 0..PUSHING {
        let (numbers, answered) = (numbers.clone(), Arc::clone(answered));
        pushing.spawn(async move {
            let mut connection = Connection::open(Ipv4Addr::LOCALHOST, door).await?;
            let period = Duration::from_secs(1) * u32::try_from(PUSHING)? / u32::try_from(PER_SECOND)?;
            let mut ticks = tokio::time::interval_at(
                (begun + period * u32::try_from(first)? / u32::try_from(PUSHING)?).into(),
                period,
            );
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for number in (numbers.start + first..numbers.end).step_by(usize::try_from(PUSHING)?) {
                ticks.tick().await;
                let manifest = manifest(number);
                let path = format!("/v2/team/app/manifests/tag-{number}");
                let request = Request::put(path).header("content-type", MediaType::OCI_MANIFEST);
                let response = connection.send(request, manifest).await?;
                if response.status() != StatusCode::CREATED {
                    return Err(format!("a push was answered with {}", response.status()).into());
                }
                response.into_body().collect().await?;
                if let Some(place) =
                    answered.lock().unwrap_or_else(PoisonError::into_inner).get_mut(usize::try_from(number)?)
                {
                    *place = Some(Instant::now());
                }
            }
            Ok::<_, Fault>(())
        });
    }
    while let Some(pushed) = pushing.join_next().await {
        pushed??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

fn manifest(number: u64) -> Bytes {
    let config = Digest::sha256(&number.to_be_bytes());
    let media_type = MediaType::OCI_MANIFEST;
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":100}},"layers":[]}}"#
    )
    .into()
}

/// Counts the blocks of a stream, which are parted by empty lines.
async fn count(mut stream: Incoming, received: &AtomicU64) {
    let mut last = 0;
    while let Some(Ok(frame)) = stream.frame().await {
        if let Some(piece) = frame.data_ref() {
            received.fetch_add(blocks(piece, &mut last), Ordering::Relaxed);
        }
    }
}

fn blocks(piece: &[u8], last: &mut u8) -> u64 {
    let mut found = 0;
    let mut before = None;
    for end in memchr::memchr_iter(b'\n', piece) {
        let is_empty = if end == 0 { *last == b'\n' } else { before == Some(end - 1) };
        found += u64::from(is_empty);
        before = Some(end);
    }
    *last = piece.last().copied().unwrap_or(*last);
    found
}

/// Looks at the events themselves as well: how long after its push each comes.
async fn look(
    mut stream: Incoming,
    received: &AtomicU64,
    answered: &Answered,
    delays: &Mutex<Histogram<u64>>,
) {
    let (mut last, mut line) = (0, Vec::new());
    while let Some(Ok(frame)) = stream.frame().await {
        let Some(piece) = frame.data_ref() else { continue };
        received.fetch_add(blocks(piece, &mut last), Ordering::Relaxed);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if let Some(number) = number_in(&line)
                    && let Some(Some(answered)) =
                        answered.lock().unwrap_or_else(PoisonError::into_inner).get(number)
                {
                    let delay = u64::try_from(answered.elapsed().as_millis()).unwrap_or(u64::MAX);
                    delays.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(delay);
                }
                line.clear();
            }
        }
    }
}

/// The number in the tag's name of an event.
fn number_in(line: &[u8]) -> Option<usize> {
    let event: serde_json::Value = serde_json::from_slice(line.strip_prefix(b"data:")?).ok()?;
    event.to_string().split("\"tag-").nth(1)?.split('"').next()?.parse().ok()
}

/// Waits until so many blocks were received.
async fn until(received: &AtomicU64, wanted: u64) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let count = received.load(Ordering::Relaxed);
        if count >= wanted {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("of {wanted} blocks {count} were received in two minutes").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
