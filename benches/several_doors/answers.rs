//! Answers from a record in a database, beside the same from a file.

use std::time::Duration;

use portreeve::oci::{Digest, MANIFEST_ACCEPT};

use crate::door::{Door, House, used};
use crate::median::median;
use crate::postgres::Server;
use crate::scripted::{self, Holdings, manifest, name};
use crate::{Fault, load, shared};

const ROUNDS: usize = 5;
/// How many tags each repository has: as many as a page.
const TAGS: usize = 100;
/// So much slower answers from the database may be.
const SLOWER: f64 = 3.0;

/// A question, and what it came to in each round.
struct Asked {
    what: &'static str,
    path: String,
    /// From the file and from the database: answers a second, and the door's processor seconds for each.
    rounds: [Vec<(f64, f64)>; 2],
}

/// Measures both in turn.
pub async fn measure(server: &Server, repositories: usize, turn: Duration) -> Result<(), Fault> {
    let registry = format!("http://{}", scripted::start(Holdings { repositories, tags: TAGS })?);
    let database = server.database();
    let houses = [House::new(registry.as_str())?, House::sharing(registry, shared(&database))?];
    let mut doors = Vec::new();
    // Only a door makes its tables.
    drop(houses[1].serve("0").await?);
    for house in &houses {
        eprintln!("{}", house.sweep(true)?.said);
        doors.push(house.serve("0").await?);
    }
    let middle = name(repositories / 2);
    let digest = Digest::sha256(&manifest(&middle, "v1"));
    let mut questions = [
        ("100 repositories", format!("/v2/_catalog?n=100&last={middle}")),
        ("100 tags", format!("/v2/{middle}/tags/list?n=100")),
        ("a manifest by digest", format!("/v2/{middle}/manifests/{digest}")),
    ]
    .map(|(what, path)| Asked { what, path, rounds: Default::default() });
    for question in &questions {
        same_answer(&doors, &question.path).await?;
    }
    for round in 0..ROUNDS {
        for question in &mut questions {
            for place in 0..doors.len() {
                // Each round begins with the other one.
                let place = (round + place) % doors.len();
                let door = &doors[place];
                let before = used(door.process())?.0;
                let done = load::turn(door.address(), &question.path, turn).await?;
                let processor = (used(door.process())?.0 - before) / done.count as f64;
                question.rounds[place].push((done.per_second, processor));
            }
        }
    }
    println!(
        "\n| from the record of {repositories} repositories × {TAGS} tags | file, per second | PostgreSQL, per second | times slower (target ≤ {SLOWER}) | CPU s per 10,000, file | PostgreSQL, the door's own |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for Asked { what, rounds, .. } in questions {
        let [file, database] = rounds.map(|rounds| {
            let (rates, processor): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
            (median(rates), median(processor) * 1e4)
        });
        println!(
            "| {what} | {:.0} | {:.0} | {:.2} | {:.3} | {:.3} |",
            file.0,
            database.0,
            file.0 / database.0,
            file.1,
            database.1
        );
    }
    Ok(())
}

/// Fails unless all doors answer alike.
async fn same_answer(doors: &[Door], path: &str) -> Result<(), Fault> {
    let mut answers = Vec::new();
    for door in doors {
        let request = reqwest::Client::new().get(format!("{}{path}", door.url()));
        let answer = request.header("accept", MANIFEST_ACCEPT).send().await?.error_for_status()?;
        answers.push(answer.bytes().await?);
    }
    if answers.windows(2).all(|pair| pair[0] == pair[1]) {
        Ok(())
    } else {
        Err(format!("{path} is answered differently").into())
    }
}
