//! `GET /api/v1/check`, through the socket alone: whether everything in the record agrees with what it follows from, as lines of JSON
//! while it is looked at.

use std::io::Write as _;
use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::record_stream::{self, Pieces};
use super::state::WebState;
use crate::store::{CheckNews, Checked, Finding, check_record};

/// Where it is asked for.
pub const CHECK_PATH: &str = "/api/v1/check";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckLine {
    /// So many rows were looked at, of about so many.
    Rows(u64, u64),
    /// Something was found.
    Found(Finding),
    /// The last line: what it came to.
    Checked(Checked),
}

/// Looks at the record.
pub(super) async fn look(State(state): State<WebState>) -> Result<Response, ApiError> {
    record_stream::answer(state, |_, _| {
        Ok(Box::new(|mut record, pieces| {
            let mut written = Ok(());
            let checked = check_record(&mut record, &mut |news| {
                written = write(pieces, &CheckLine::from(news));
                if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            written?;
            Ok(write(pieces, &CheckLine::Checked(checked?))?)
        }))
    })
    .await
}

/// Each line is sent at once.
fn write(pieces: &mut Pieces, line: &CheckLine) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    pieces.write_all(&line)?;
    pieces.flush()
}

impl From<CheckNews> for CheckLine {
    fn from(news: CheckNews) -> Self {
        match news {
            CheckNews::Rows(done, expected) => Self::Rows(done, expected),
            CheckNews::Found(finding) => Self::Found(finding),
        }
    }
}
