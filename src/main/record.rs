//! `portreeve repositories`, `tags`, `show`, `history`, `search`, `stats` and `events` on the command line.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use clap::{Args, ValueEnum};
use portreeve::config::Config;
use portreeve::oci::{Digest, Reference, RepositoryName, Tag};
use portreeve::server::{self, OutputFormat, RecordCommandError, RecordQuery, WantedEvents, WantedManifest};

use super::{FAILURE, Failure, MISCONFIGURED};

/// In which form a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For readers
    #[default]
    Table,
    /// As the API answers
    Json,
}

impl Output {
    /// How it is written to standard output.
    pub(super) fn format(self) -> OutputFormat {
        match self {
            Self::Table => OutputFormat::Table { is_terminal: io::stdout().is_terminal() },
            Self::Json => OutputFormat::Json,
        }
    }
}

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub(super) struct OutputArguments {
    /// In which form
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// A repository, perhaps with a tag of it or a digest in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub repository: RepositoryName,
    pub reference: Option<Reference>,
}

impl Named {
    /// Reads `REPOSITORY`, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, reference) = if let Some((name, digest)) = text.split_once('@') {
            let digest = Digest::parse(digest).map_err(|error| error.to_string())?;
            (name, Some(Reference::Digest(digest)))
        } else if let Some((name, tag)) = text.rsplit_once(':') {
            (name, Some(Reference::Tag(Tag::parse(tag).map_err(|error| error.to_string())?)))
        } else {
            (text, None)
        };
        let repository = RepositoryName::parse(name).map_err(|error| error.to_string())?;
        Ok(Self { repository, reference })
    }
}

pub(super) fn show_repositories(
    config: &Config,
    containing: Option<String>,
    by_namespace: bool,
    output: Output,
) -> Result<(), Failure> {
    let query = match by_namespace {
        true => RecordQuery::Namespaces { containing },
        false => RecordQuery::Repositories { containing },
    };
    show_record(config, &query, output)
}

pub(super) fn show_tags(config: &Config, repository: RepositoryName, output: Output) -> Result<(), Failure> {
    show_record(config, &RecordQuery::Tags { repository }, output)
}

pub(super) fn show_manifest(config: &Config, named: Named, output: Output) -> Result<(), Failure> {
    let Named { repository, reference } = named;
    let manifest = match reference {
        Some(Reference::Tag(tag)) => WantedManifest::Tag(tag),
        Some(Reference::Digest(digest)) => WantedManifest::Digest(digest),
        None => {
            let message = format!(
                "which one of {repository}? Write {repository}:TAG or {repository}@DIGEST; `portreeve tags {repository}` \
                 lists its tags."
            );
            return Err(Failure::new(MISCONFIGURED, &message));
        }
    };
    show_record(config, &RecordQuery::Show { repository, manifest }, output)
}

pub(super) fn show_history(config: &Config, named: Named, output: Output) -> Result<(), Failure> {
    let Named { repository, reference } = named;
    let tag = match reference {
        Some(Reference::Tag(tag)) => Some(tag),
        None => None,
        Some(Reference::Digest(_)) => {
            let message = "a history is of a repository or of a tag; leave the digest out";
            return Err(Failure::new(MISCONFIGURED, &message));
        }
    };
    show_record(config, &RecordQuery::History { repository, tag }, output)
}

pub(super) fn search(config: &Config, text: String, output: Output) -> Result<(), Failure> {
    show_record(config, &RecordQuery::Search { text }, output)
}

pub(super) fn show_statistics(config: &Config, output: Output) -> Result<(), Failure> {
    show_record(config, &RecordQuery::Statistics, output)
}

/// Which events are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(super) struct EventArguments {
    /// Go on with what happens, until interrupted
    #[arg(long)]
    follow: bool,
    /// Of this repository alone
    #[arg(long)]
    repository: Option<String>,
    /// About this tag alone
    #[arg(long)]
    tag: Option<String>,
    /// Of this user alone
    #[arg(long)]
    user: Option<String>,
    /// Of these kinds alone, such as manifest_put,tag_deleted
    #[arg(long)]
    kind: Option<String>,
    /// From this time on, such as 2026-11-27T12:00:00Z
    #[arg(long)]
    since: Option<String>,
}

pub(super) fn show_events(config: &Config, arguments: EventArguments, output: Output) -> Result<(), Failure> {
    let EventArguments { follow, repository, tag, user, kind, since } = arguments;
    let given = [("repository", repository), ("tag", tag), ("user", user), ("kind", kind), ("since", since)];
    let filters = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let wanted = WantedEvents { filters, follow };
    let shown = server::show_events(config, &wanted, output.format(), &mut io::stdout());
    match shown {
        Err(RecordCommandError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown.map_err(|error| Failure::new(FAILURE, &error)),
    }
}

fn show_record(config: &Config, query: &RecordQuery, output: Output) -> Result<(), Failure> {
    let stdout = io::stdout();
    let format = output.format();
    let mut out = BufWriter::new(stdout.lock());
    let shown = server::show_record(config, query, format, &mut out);
    let flushed = shown.and_then(|()| match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(RecordCommandError::Write(error)),
        Ok(()) | Err(_) => Ok(()),
    });
    flushed.map_err(|error| Failure::new(FAILURE, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_a_repository_a_tag_or_a_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let named = |text: &str| {
            Named::parse(text).map(|named| {
                (named.repository.to_string(), named.reference.map(|reference| reference.to_string()))
            })
        };
        assert_eq!(named("team/app"), Ok(("team/app".to_owned(), None)));
        assert_eq!(named("team/app:v1"), Ok(("team/app".to_owned(), Some("v1".to_owned()))));
        assert_eq!(named(&format!("a@{digest}")), Ok(("a".to_owned(), Some(digest))));
        for wrong in ["", "A", "a:", "a@sha256:x", "a:v1:v2", "@"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
