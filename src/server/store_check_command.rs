//! `portreeve store check`: whether everything in the record agrees with what it follows from. The running door looks itself at a record
//! in a file that is its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime;

use super::door_client::Client;
use super::record_command::OutputFormat;
use super::start_error::StartError;
use super::store_command::{Progress, StoreCommandError, door_with_record, next_piece, open_whole};
use crate::config::Config;
use crate::store::{CheckNews, Checked, Finding, FindingKind, check_record};
use crate::web::{CHECK_PATH, CheckLine};

/// How long a door may take to look at its record.
const LOOKED: Duration = Duration::from_hours(24);

/// What was found, as it is shown to programs.
#[derive(Serialize)]
struct Report<'a> {
    rows: u64,
    findings: u64,
    found: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    remedy: &'static str,
}

/// Looks at the record, and writes what is found. Answers whether everything agrees.
///
/// # Errors
/// When the record cannot be read, or nothing can be written.
pub fn check_store(
    config: &Config,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<bool, StoreCommandError> {
    let progress = Progress::new();
    let mut found = Vec::new();
    let mut told = |news| match news {
        CheckNews::Rows(done, expected) => progress.show("rows are looked at", done, Some(expected)),
        CheckNews::Found(finding) => found.push(finding),
    };
    let checked = match door_with_record(config) {
        Some(door) => ask(&door, &mut told)?,
        None => check_record(&mut open_whole(config)?, &mut |news| {
            told(news);
            ControlFlow::Continue(())
        })?,
    };
    drop(progress);
    write(checked, &found, format, out)?;
    Ok(checked.findings == 0)
}

/// Has the running door look.
fn ask(door: &Path, told: &mut dyn FnMut(CheckNews)) -> Result<Checked, StoreCommandError> {
    const ATTEMPTED: &str = "look at its record";
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    runtime.block_on(async {
        let door = Client::new(door)?;
        let request = door.http.get(format!("http://door{CHECK_PATH}")).timeout(LOOKED);
        let mut response = door.open(ATTEMPTED, request).await?;
        let (mut line, mut checked) = (Vec::new(), None);
        while let Some(piece) = next_piece(&door, ATTEMPTED, &mut response).await? {
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.last() != Some(&b'\n') {
                    continue;
                }
                match serde_json::from_slice(&line)? {
                    CheckLine::Rows(done, expected) => told(CheckNews::Rows(done, expected)),
                    CheckLine::Found(finding) => told(CheckNews::Found(finding)),
                    CheckLine::Checked(last) => checked = Some(last),
                }
                line.clear();
            }
        }
        checked.ok_or(StoreCommandError::CutOff { attempted: ATTEMPTED })
    })
}

fn write(
    checked: Checked,
    found: &[Finding],
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), StoreCommandError> {
    let Checked { rows, findings } = checked;
    match format {
        OutputFormat::Json => {
            let shown = found.iter().map(|finding| Shown { finding, remedy: finding.kind.remedy() });
            let report = Report { rows, findings, found: shown.collect() };
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        }
        OutputFormat::Table { .. } => {
            let mut remedies: BTreeMap<FindingKind, &'static str> = BTreeMap::new();
            for Finding { kind, place, what } in found {
                writeln!(out, "{place}: {what}")?;
                remedies.insert(*kind, kind.remedy());
            }
            if findings > found.len() as u64 {
                writeln!(out, "... and {} more.", findings - found.len() as u64)?;
            }
            match findings {
                0 => writeln!(out, "Looked at {rows} rows: everything agrees.")?,
                _ => writeln!(
                    out,
                    "Looked at {rows} rows: {findings} times something does not agree. What to do:"
                )?,
            }
            for (kind, remedy) in remedies {
                writeln!(out, "- {}: {remedy}.", kind.as_str())?;
            }
        }
    }
    Ok(())
}
