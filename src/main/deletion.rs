//! `portreeve delete` and `portreeve undelete` on the command line.

use std::io::{self, IsTerminal as _, Write as _};

use portreeve::config::Config;
use portreeve::oci::{Digest, Reference, Tag};
use portreeve::server::{self, Doomed, Lost};

use super::record::Named;
use super::{FAILURE, Failure, MISCONFIGURED};

/// Deletes what is named, after a question unless `is_certain`.
pub(super) fn delete(config: &Config, named: Vec<Named>, is_certain: bool) -> Result<(), Failure> {
    let doomed: Vec<Doomed> = named
        .into_iter()
        .map(|Named { repository, reference }| match reference {
            Some(reference) => Doomed::Reference { repository, reference },
            None => Doomed::Repository(repository),
        })
        .collect();
    let mut out = io::stdout();
    if !is_certain {
        if !io::stdin().is_terminal() {
            let message = "add --yes to delete without a question: nobody can answer one here";
            return Err(Failure::new(MISCONFIGURED, &message));
        }
        let failed = |error| Failure::new(FAILURE, &error);
        server::preview(config, &doomed, &mut out).map_err(failed)?;
        if !is_confirmed("Delete? [y/N] ").map_err(|error| Failure::new(FAILURE, &error))? {
            return Err(Failure::new(FAILURE, &"Nothing is deleted."));
        }
    }
    server::delete(config, &doomed, &mut out).map_err(|error| Failure::new(FAILURE, &error))
}

/// Puts back what is named: a tag, to this manifest if one is given, or a manifest.
pub(super) fn undelete(config: &Config, named: Named, digest: Option<Digest>) -> Result<(), Failure> {
    let Named { repository, reference } = named;
    let (tag, digest): (Option<Tag>, Option<Digest>) = match (reference, digest) {
        (Some(Reference::Tag(tag)), digest) => (Some(tag), digest),
        (Some(Reference::Digest(digest)), None) => (None, Some(digest)),
        (Some(Reference::Digest(_)), Some(_)) => {
            return Err(Failure::new(MISCONFIGURED, &"name the digest once"));
        }
        (None, _) => {
            let message =
                format!("which one of {repository}? Write {repository}:TAG or {repository}@DIGEST.");
            return Err(Failure::new(MISCONFIGURED, &message));
        }
    };
    server::undelete(config, &Lost { repository, tag, digest }, &mut io::stdout())
        .map_err(|error| Failure::new(FAILURE, &error))
}

fn is_confirmed(question: &str) -> io::Result<bool> {
    let mut out = io::stdout();
    write!(out, "{question}")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
