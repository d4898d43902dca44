//! `portreeve events`: the last events, and with `--follow` those that come, by the running door's API through its socket.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::door_client::{Client, DoorError};
use super::record_command::{OutputFormat, RecordCommandError, connect, url};
use super::record_output::{self, EventShown};
use crate::config::Config;

/// How many events are shown before those that come.
const LAST: usize = 100;
/// How long a stream may take as a whole: a day longer than any that is watched. The door sends something every few seconds.
const FOLLOWED: Duration = Duration::from_hours(365 * 24);
/// How long a door that has gone is waited for before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest line of a stream: an event is far shorter.
const LONGEST_LINE: usize = 1024 * 1024;

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedEvents {
    /// The API's parameters, as it takes them.
    pub filters: Vec<(&'static str, String)>,
    /// Whether to go on with what happens.
    pub follow: bool,
}

#[derive(Deserialize)]
struct EventsPart {
    items: Vec<Value>,
    next: Option<u64>,
}

/// Writes the last events, a line for each, and those that come if they are to be followed: then it ends when the door refuses,
/// or nobody reads.
///
/// # Errors
/// When no door runs, it refuses, or a line cannot be written.
pub fn show_events(
    config: &Config,
    wanted: &WantedEvents,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), RecordCommandError> {
    let (runtime, door) = connect(config)?;
    runtime.block_on(async {
        let filters: Vec<(&str, &str)> =
            wanted.filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let items = last(&door, &filters).await?;
        for item in &items {
            write_line(item, format, out)?;
        }
        if !wanted.follow {
            return Ok(());
        }
        // Without any before, all that there are come after the beginning.
        let mut position = items.last().and_then(|last| last["sequence"].as_u64()).unwrap_or_default();
        loop {
            match follow(&door, &filters, &mut position, format, out).await {
                Ok(()) | Err(RecordCommandError::Door(DoorError::NoAnswer { .. })) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// The last events, the oldest first. A part of the list may have none, though more are behind it.
async fn last(door: &Client, filters: &[(&str, &str)]) -> Result<Vec<Value>, RecordCommandError> {
    let (mut items, mut after): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let mut pairs = filters.to_vec();
        let missing = LAST.saturating_sub(items.len()).to_string();
        pairs.extend([("order", "desc"), ("n", missing.as_str())]);
        pairs.extend(after.as_deref().map(|after| ("after", after)));
        let request = door.http.get(url("events", &pairs));
        let part: EventsPart = door.ask("list its events", request).await?;
        items.extend(part.items);
        after = part.next.map(|next| next.to_string());
        if after.is_none() || items.len() >= LAST {
            items.reverse();
            return Ok(items);
        }
    }
}

/// Writes what a stream brings, until it ends.
async fn follow(
    door: &Client,
    filters: &[(&str, &str)],
    position: &mut u64,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), RecordCommandError> {
    let request = door.http.get(url("events/stream", filters)).timeout(FOLLOWED);
    let request = request.header("last-event-id", position.to_string());
    let mut stream = door.open("send its events", request).await?;
    let mut frame = Frame::default();
    let mut line = Vec::new();
    while let Some(piece) = door.next_piece("send its events", &mut stream).await? {
        for byte in piece {
            if byte != b'\n' {
                if line.len() < LONGEST_LINE {
                    line.push(byte);
                }
                continue;
            }
            if let Some(event) = frame.read(&String::from_utf8_lossy(&line), position)? {
                write_line(&event, format, out)?;
            }
            line.clear();
        }
    }
    Ok(())
}

/// The lines of a server-sent event that have come. Of what the door sends: a name, an `id`, one line of data.
#[derive(Default)]
struct Frame {
    name: Option<String>,
    id: Option<u64>,
    data: Option<String>,
}

impl Frame {
    /// Takes one line, and answers the event that it ends.
    fn read(&mut self, line: &str, position: &mut u64) -> Result<Option<Value>, serde_json::Error> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = Some(value.to_owned()),
            "id" => self.id = value.parse().ok(),
            "data" => self.data = Some(value.to_owned()),
            _ => {}
        }
        if !line.is_empty() {
            return Ok(None);
        }
        let Self { name, id, data } = std::mem::take(self);
        *position = id.unwrap_or(*position);
        // What has a name is about the stream itself.
        match (name, data) {
            (None, Some(data)) => serde_json::from_str(&data).map(Some),
            _ => Ok(None),
        }
    }
}

fn write_line(event: &Value, format: OutputFormat, out: &mut dyn Write) -> Result<(), RecordCommandError> {
    match format {
        OutputFormat::Json => writeln!(out, "{event}")?,
        OutputFormat::Table { .. } => {
            let shown: EventShown = serde_json::from_value(event.clone())?;
            writeln!(out, "{}", record_output::event_line(&shown))?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_line_by_line_and_what_is_about_itself_is_no_event() {
        let (mut frame, mut position, mut seen) = (Frame::default(), 0, Vec::new());
        let stream = "event: history\ndata: {\"after\":4}\n\n:\nid: 5\n\nid: 7\ndata: {\"sequence\":7}\n\n";
        for line in stream.lines() {
            seen.extend(frame.read(line, &mut position).unwrap());
        }
        assert_eq!(seen, [serde_json::json!({ "sequence": 7 })]);
        assert_eq!(position, 7);
        assert!(Frame { data: Some("{".to_owned()), ..Frame::default() }.read("", &mut position).is_err());
    }
}
