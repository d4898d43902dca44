//! What clients may take of the door, together and each: time, connections, requests, descriptors. Those that take it all the
//! same are turned away, and whoever else comes is served.

mod connections;
mod descriptors;
mod requests;
mod time;

use std::time::Duration;

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::wait::until;

/// Within which time what has to happen has happened, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The value of a metric of the door, whose line begins with this; zero for one that is not there.
async fn metric(door: &Door, begin: &str) -> f64 {
    let answer = http_client().get(format!("{}/metrics", door.admin())).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    text.lines().filter(|line| line.starts_with(begin)).map(value).sum()
}

/// Waits until a metric has at least this value.
async fn until_metric(door: &Door, begin: &str, least: f64) {
    until(&format!("{begin} is {least}"), SOON, async || metric(door, begin).await >= least).await;
}
