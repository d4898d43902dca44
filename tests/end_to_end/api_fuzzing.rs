//! schemathesis reads the description of the API and asks whatever it allows, and what it does not: every answer has to be as
//! the description says, whoever asks.

use crate::auth::catalog::sweep;
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

/// What it tries follows from this, and it says it when it finds something.
const SEED: &str = "20261127";
/// How many requests it makes up for each operation, beside those that it derives from the description.
const EXAMPLES: &str = "25";

/// Fewer requests than it makes in all, so that a run in which it looked at nothing shows.
const FEWEST: usize = 500;

/// All routes are asked, those too that begin sweeps and accept removals: nothing here is lost by that.
///
/// What is described may be answered 400, since the description cannot say which parameters go together, or which text is a
/// position in a list. The bounds of a stream are for the reader: it has no end of its own.
const CONFIGURATION: &str = r#"
request-timeout = 10
max-stream-events = 1

[warnings]
fail-on = ["unresolvable_reference"]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 409]

[[operations]]
include-path = "/api/v1/notifications"
headers = { Authorization = "Bearer 0123456789abcdef" }
"#;

/// Lets it look for what is wrong, as this user or as nobody.
async fn assert_nothing_is_found(door: &Door, user: &str) {
    // With more workers Python 3.11 fails by itself.
    let schemathesis = Tool::brought("schemathesis");
    std::fs::write(schemathesis.home().join("schemathesis.toml"), CONFIGURATION).unwrap();
    let document = format!("{}/api/v1/openapi.json", door.url());
    let mut arguments = vec!["run", &document, "--seed", SEED, "--max-examples", EXAMPLES, "--workers", "1"];
    arguments.extend(["--continue-on-failure", "--no-color", "--generation-database", "none"]);
    let credentials = format!("{user}:{}", password(user));
    if !user.is_empty() {
        arguments.extend(["--auth", &credentials]);
    }
    // It fails where it finds something.
    let said = schemathesis.run(&arguments).await;
    let counted = said.lines().find(|line| line.contains(" generated, ")).unwrap_or_else(|| panic!("{said}"));
    let counts: Vec<usize> = counted.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] >= FEWEST && counts[1..] == [counts[0]], "all that were made have passed: {said}");
}

async fn house(guard: &Guard, registry: &Registry) -> Door {
    let door = crate::api::filled(guard, registry).await;
    sweep(&door).await;
    door
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_as_an_administrator() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    assert_nothing_is_found(&house(&guard, &registry).await, "admin").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_as_a_user_of_one_repository() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    assert_nothing_is_found(&house(&guard, &registry).await, "reader").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_as_nobody() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    assert_nothing_is_found(&house(&guard, &registry).await, "").await;
}
