//! Readers of single values: from what was given to a type, or to the rest of a sentence that begins with the key, says
//! what is wrong and ends in what would be right.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use toml::Value;
use url::Url;

use super::address::{InvalidUrl, StoreUrl, parse_origin};
use super::error::Origin;
use super::settings::{Given, kind, text};

/// No wait of the door is longer: beyond a day it is a slip of the pen, and far beyond clocks overflow.
const LONGEST: Duration = Duration::from_hours(24);
/// More threads, and more questions at once, than any machine has use for.
const MOST: usize = 1024;
/// More connections, and more requests at once, than one process can have.
const MOST_AT_ONCE: usize = 1_000_000;
/// Shorter secrets are guessed.
const SHORTEST_SECRET: usize = 16;

/// An IP address with a port.
pub(super) fn socket_address(given: &Given) -> Result<SocketAddr, String> {
    let remedy = "write an IP address and a port, such as \"0.0.0.0:5000\" or \"[::]:5000\"";
    let text = text(given, remedy)?;
    text.parse().map_err(|_| format!("is {}, which is no IP address with a port; {remedy}", quoted(text)))
}

/// `true` or `false`.
pub(super) fn boolean(given: &Given) -> Result<bool, String> {
    let remedy = "write true or false";
    match &given.value {
        Value::Boolean(value) => Ok(*value),
        // A variable is always text.
        Value::String(text) if matches!(given.origin, Origin::Variable(_)) => {
            text.parse().map_err(|_| format!("is {}; {remedy}", quoted(text)))
        }
        other => Err(format!("is {}; {remedy}", kind(other))),
    }
}

/// The path of a file.
pub(super) fn path(given: &Given) -> Result<PathBuf, String> {
    let remedy = "write the path of a file";
    let text = text(given, remedy)?;
    if text.is_empty() || text.contains('\0') {
        return Err(format!("is {}, which is no path; {remedy}", quoted(text)));
    }
    Ok(text.into())
}

/// A duration of at most a day, possibly zero.
pub(super) fn duration(given: &Given) -> Result<Duration, String> {
    let remedy = "write a number with its unit, such as \"30s\", \"5m\" or \"0\", of at most a day";
    let text = text(given, remedy)?;
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err(format!("is {}, which is more than a day; {remedy}", quoted(text))),
        Err(_) => Err(format!("is {}, which is no duration; {remedy}", quoted(text))),
    }
}

/// A duration of at most an hour, possibly zero.
pub(super) fn short_duration(given: &Given) -> Result<Duration, String> {
    let duration = duration(given)?;
    if duration > Duration::from_hours(1) {
        return Err("is more than an hour; write a number with its unit, such as \"1m\", of at most an hour"
            .to_owned());
    }
    Ok(duration)
}

/// A whole percentage, such as `"10%"`.
pub(super) fn percentage(given: &Given) -> Result<u8, String> {
    let remedy = "write a whole number from 0 to 100 with its sign, such as \"10%\"";
    let text = text(given, remedy)?;
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    number
        .filter(|number| *number <= 100)
        .ok_or_else(|| format!("is {}, which is no percentage; {remedy}", quoted(text)))
}

/// A duration of at most ten years, and more than zero.
pub(super) fn long_duration(given: &Given) -> Result<Duration, String> {
    const TEN_YEARS: Duration = Duration::from_hours(10 * 366 * 24);
    let remedy = "write a number with its unit, such as \"12h\" or \"30d\", of at most ten years";
    let text = text(given, remedy)?;
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!("is zero; {remedy}")),
        Ok(duration) if duration <= TEN_YEARS => Ok(duration),
        Ok(_) => Err(format!("is {}, which is more than ten years; {remedy}", quoted(text))),
        Err(_) => Err(format!("is {}, which is no duration; {remedy}", quoted(text))),
    }
}

/// A duration of at most a day, and more than zero.
pub(super) fn positive_duration(given: &Given) -> Result<Duration, String> {
    match duration(given)? {
        Duration::ZERO => Err("is zero; write a duration above it, such as \"30s\"".to_owned()),
        duration => Ok(duration),
    }
}

/// A secret that travels in a header. It is not repeated in what is said about it.
pub(super) fn secret(given: &Given) -> Result<SecretString, String> {
    let remedy = format!(
        "write at least {SHORTEST_SECRET} characters of printable ASCII without spaces, such as `openssl rand -hex 32` makes"
    );
    let text = text(given, &remedy)?;
    if text.len() < SHORTEST_SECRET {
        return Err(format!("is shorter than {SHORTEST_SECRET} characters; {remedy}"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("has other characters than a header may carry; {remedy}"));
    }
    Ok(text.into())
}

/// A size of memory for bodies.
pub(super) fn body_memory(given: &Given) -> Result<u64, String> {
    const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let remedy = "write a whole number with its unit, from \"16MiB\" to \"64GiB\"";
    let text = text(given, remedy)?;
    let size = UNITS.iter().find_map(|(unit, shift)| {
        let number: u64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(1 << shift)
    });
    match size {
        Some(size) if (16 << 20..=64 << 30).contains(&size) => Ok(size),
        Some(_) => Err(format!("is {}, which is too little or too much; {remedy}", quoted(text))),
        None => Err(format!("is {}, which is no size; {remedy}", quoted(text))),
    }
}

/// How many of something: threads, questions.
pub(super) fn count(given: &Given) -> Result<NonZeroUsize, String> {
    number(given, MOST)
}

/// How many of something clients may have at once.
pub(super) fn limit(given: &Given) -> Result<NonZeroUsize, String> {
    number(given, MOST_AT_ONCE)
}

/// A whole number from 1 on.
fn number(given: &Given, most: usize) -> Result<NonZeroUsize, String> {
    let remedy = format!("write a whole number from 1 to {most}");
    let number = match (&given.value, &given.origin) {
        (Value::Integer(number), _) => usize::try_from(*number).ok(),
        // The environment has only strings.
        (Value::String(text), Origin::Variable(_)) => text.parse().ok(),
        (other, _) => return Err(format!("is {}; {remedy}", kind(other))),
    };
    number.and_then(NonZeroUsize::new).filter(|number| number.get() <= most).ok_or_else(|| {
        format!("is {}; {remedy}", quoted(given.value.as_str().unwrap_or(&given.value.to_string())))
    })
}

/// The door's own URL.
pub(super) fn origin_url(given: &Given) -> Result<Url, String> {
    let remedy = "write scheme, host and perhaps port, such as \"https://registry.example.com\"";
    let text = text(given, remedy)?;
    parse_origin(text).map_err(|invalid| wrong_url(text, &invalid, remedy))
}

/// A password.
pub(super) fn password(given: &Given) -> Result<SecretString, String> {
    match text(given, "write a password")? {
        text if text.is_empty() || text.chars().any(char::is_control) => {
            Err("is no password: it is empty, or has a control character; write a password".to_owned())
        }
        text => Ok(text.into()),
    }
}

/// Where the record is kept.
pub(super) fn store_url(given: &Given) -> Result<StoreUrl, String> {
    let remedy = "write `redb:` and the path of a file, such as \"redb:/var/lib/portreeve/portreeve.redb\", or \
                  \"postgres://user@host/database\"";
    let text = text(given, remedy)?;
    // A URL of a database may have a password in it, so the text is not repeated.
    if text.starts_with("postgres:") || text.starts_with("postgresql:") {
        return postgres_url(text).map_err(|wrong| format!("{wrong}; {remedy}"));
    }
    match text.strip_prefix("redb:") {
        Some(path) if path.is_empty() || path.contains('\0') => Err(format!("names no file; {remedy}")),
        Some(path) if path.starts_with("//") => {
            Err(format!("has slashes behind `redb:` that are no path; {remedy}"))
        }
        Some(path) => Ok(StoreUrl::Redb(path.into())),
        None => Err(format!("does not begin with `redb:`; {remedy}")),
    }
}

/// The URL of a database, in which no password stands: it is shown in the log and by `check`.
fn postgres_url(text: &str) -> Result<StoreUrl, &'static str> {
    let Some((_, rest)) = text.split_once("://") else { return Err("has no `//` behind its scheme") };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters);
    let has_password = parameters.split('&').any(|parameter| parameter.starts_with("password="));
    if user.contains(':') || has_password {
        return Err("has a password in it, which belongs into `store.password_file`");
    }
    if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err("has a blank or a control character in it");
    }
    Ok(StoreUrl::Postgres(text.to_owned()))
}

/// What is wrong with a URL, without what may be a password.
pub(super) fn wrong_url(text: &str, invalid: &InvalidUrl, remedy: &str) -> String {
    // Whatever has an `@` may have a password before it.
    if text.contains('@') {
        format!("{}; {remedy}", InvalidUrl::UserInformation)
    } else {
        format!("is {}, which {invalid}; {remedy}", quoted(text))
    }
}

/// The text in quotes on one line, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?} and more", &text[..end]),
        None => format!("{text:?}"),
    }
}
