//! Sweeps of a registry that answers at once, into a database.

use crate::Fault;
use crate::door::House;
use crate::postgres::Server;
use crate::scripted::{self, Holdings};
use crate::shared;

/// How many tags each repository has.
const TAGS: usize = 10;

/// A first deep sweep, and a shallow one in which nothing has changed.
pub async fn measure(server: &Server, repositories: usize) -> Result<(), Fault> {
    let registry = scripted::start(Holdings { repositories, tags: TAGS })?;
    let database = server.database();
    let house = House::sharing(format!("http://{registry}"), shared(&database))?;
    // Only a door makes its tables.
    drop(house.serve("0").await?);
    println!(
        "\n| into PostgreSQL, {repositories} repositories × {TAGS} tags | tags/s | target | reached | s | processor s | peak RSS MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (what, deep, target) in
        [("first deep sweep", true, 3_000.0), ("shallow, nothing changed", false, 30_000.0)]
    {
        let swept = house.sweep(deep)?;
        let seconds = swept.elapsed.as_secs_f64();
        let rate = (repositories * TAGS) as f64 / seconds;
        println!(
            "| {what} | {rate:.0} | ≥ {target:.0} | {} | {seconds:.1} | {:.1} | {:.0} |",
            if rate >= target { "yes" } else { "**no**" },
            swept.processor,
            swept.memory,
        );
        eprintln!("{}", swept.said);
    }
    Ok(())
}
