//! Attacks on logins and on what is remembered of them.

use super::Tally;
use super::field::{Ended, Field};

/// Logins by names that nobody has, by both protocols in turn.
pub async fn names(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    let client = if number.is_multiple_of(2) { &field.modern } else { &field.old };
    let name = format!("invented-{:016x}", fastrand::u64(..));
    tally.begin();
    client.get(format!("{}/token", field.url())).basic_auth(name, Some("guess")).send().await?;
    tally.answer();
    Ok(())
}

/// A wrong password of a user who works meanwhile.
pub async fn stale(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    let password = format!("last year's {number}");
    tally.begin();
    field.modern.get(format!("{}/token", field.url())).basic_auth("worker", Some(password)).send().await?;
    tally.answer();
    Ok(())
}

/// What is refused, each time with another text.
pub async fn refusals(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    let text = format!("{:016x}", fastrand::u64(..)).repeat(8);
    let url = field.url();
    let request = match number % 3 {
        0 => field.modern.get(format!("{url}/token?scope=repository:{text}:push&account={text}")),
        1 => field.modern.put(format!("{url}/v2/{text}/manifests/latest")).bearer_auth(&text),
        _ => field.old.get(format!("{url}/v2/{text}/tags/list")).basic_auth(&text, Some(&text)),
    };
    tally.begin();
    request.send().await?;
    tally.answer();
    Ok(())
}
