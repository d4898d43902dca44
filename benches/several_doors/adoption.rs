//! How long it takes to take over what a dead door carried.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portreeve::clock::Timestamp;
use portreeve::oci::{Digest, RepositoryName, Tag};
use portreeve::store::{Actor, Doors as _, Ledger as _, PostgresAddress, PostgresStore, TlsFiles, Write};
use secrecy::SecretString;
use tokio::task::JoinSet;

use crate::Fault;
use crate::postgres::{PASSWORD, Server};

const INTENTS: usize = 1_000;
/// What it is to take at most.
const TARGET: Duration = Duration::from_secs(1);

/// Lets one door announce writes, and another one take them over.
pub fn measure(server: &Server) -> Result<(), Fault> {
    let database = server.database();
    let password = SecretString::from(PASSWORD);
    let address = PostgresAddress::parse(&database.url(), Some(&password), TlsFiles::default())?;
    let (dead, other) = (Arc::new(PostgresStore::open(&address)?), PostgresStore::open(&address)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let took = runtime.block_on(async {
        let mut announcing = JoinSet::new();
        for number in 0..INTENTS {
            let dead = Arc::clone(&dead);
            announcing.spawn(async move {
                let repository = RepositoryName::parse(&format!("team/app{}", number % 100))?;
                let tag = Tag::parse(&format!("t{number}"))?;
                let digest = Digest::sha256(number.to_string().as_bytes());
                let write = Write::Put { digest, tags: vec![tag] };
                dead.begin(repository, write, Actor::default(), Timestamp::now()).await?;
                Ok::<_, Fault>(())
            });
        }
        while let Some(announced) = announcing.join_next().await {
            announced??;
        }
        dead.beat().await?;
        let heard = *other.beat().await?.first().ok_or("no door was heard")?;
        let begun = Instant::now();
        let was_dead = other.adopt(heard).await?;
        let took = begun.elapsed();
        let unknown = other.open_intents().await?.iter().filter(|intent| intent.state.is_unknown()).count();
        if !was_dead || unknown != INTENTS {
            return Err(Fault::from(format!("{unknown} of {INTENTS} intents were taken over")));
        }
        Ok(took)
    })?;
    println!("\n| what a dead door carried | ms | target | reached |\n| --- | --- | --- | --- |");
    println!(
        "| {INTENTS} writes taken over | {:.0} | ≤ {} | {} |",
        took.as_secs_f64() * 1e3,
        TARGET.as_millis(),
        if took <= TARGET { "yes" } else { "**no**" }
    );
    Ok(())
}
