//! `portreeve check`: tries what the configuration names, and says in plain words what is wrong.

use std::fmt;
use std::sync::Arc;

use tokio::runtime;
use url::Url;

use crate::config::{Config, StoreUrl, Tls};
use crate::door::Certificates;
use crate::registry::{Backends, RegistryClient};
use crate::store::{OpenError, RedbStore};

/// What was tried, and how it went: one sentence each.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    good: bool,
    sentence: String,
}

impl Report {
    /// Whether everything was as it should be.
    pub fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.good)
    }

    fn note(&mut self, good: bool, sentence: impl Into<String>) {
        self.lines.push(Line { good, sentence: sentence.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            let mark = if line.good { "ok   " } else { "wrong" };
            write!(formatter, "{mark}  {}", line.sentence)?;
        }
        Ok(())
    }
}

/// Tries certificate, registry and store. Changes nothing, except that a store that is not there yet is not made.
pub fn check(config: Config) -> Report {
    let mut report = Report::default();
    if let Some(Tls { certificate, key }) = &config.listen.tls {
        match Certificates::load(certificate.clone(), key.clone()) {
            Ok(_) => report.note(true, "The TLS certificate and its key can be used."),
            Err(error) => report.note(false, format!("{error}.")),
        }
    }
    check_registry(&config, &mut report);
    check_store(&config, &mut report);
    report
}

fn check_registry(config: &Config, report: &mut Report) {
    let urls = config.registry.backends.iter().filter_map(|backend| Url::parse(&backend.to_string()).ok());
    let backends = Arc::new(Backends::new(urls));
    let client = match RegistryClient::new(Arc::clone(&backends), config.registry.timeout) {
        Ok(client) => client,
        Err(error) => {
            return report.note(false, format!("The client to the registry cannot be set up: {error}."));
        }
    };
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return report.note(false, format!("The system does not let the registry be tried: {error}."));
        }
    };
    for backend in backends.all() {
        let url = backend.url();
        if runtime.block_on(client.probe(backend)) {
            report.note(true, format!("The registry at {url} answers."));
        } else {
            report.note(
                false,
                format!(
                    "The registry at {url} does not answer; start it, or set registry.url to where it is."
                ),
            );
        }
    }
}

fn check_store(config: &Config, report: &mut Report) {
    let StoreUrl::Redb(path) = &config.store.url;
    if !path.exists() {
        return report.note(true, format!("The store {} will be made at the first start.", path.display()));
    }
    match RedbStore::open(path) {
        Ok(store) => {
            store.close();
            report.note(true, format!("The store {} can be opened.", path.display()));
        }
        Err(OpenError::InUse { .. }) => {
            report.note(true, format!("The store {} is in use by a running door.", path.display()));
        }
        Err(error) => report.note(false, format!("{error}.")),
    }
}
