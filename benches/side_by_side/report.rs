//! All figures of a run, and the JSON file they are kept in.

use std::fs;
use std::path::{Path, PathBuf};

use portreeve::clock::Timestamp;
use serde::Serialize;

use crate::Fault;
use crate::measure::Figures;
use crate::memory::Memory;
use crate::opening::Opening;
use crate::process::{tool, version};
use crate::proxies::Way;
use crate::targets::{Target, targets};
use crate::work::Work;

/// The figures of a run.
#[derive(Serialize)]
pub struct Report {
    /// When it was begun.
    pub begun: Timestamp,
    /// What it ran on.
    pub machine: Machine,
    /// How it was run.
    pub settings: Settings,
    /// The work that the ways did in turn.
    pub works: Vec<Measured>,
    /// Memory of each proxy.
    pub memory: Vec<Memory>,
    /// How long the store took to open.
    pub opening: Option<Opening>,
}

/// One kind of work on all ways.
#[derive(Serialize)]
pub struct Measured {
    /// Which.
    pub work: Work,
    /// What each way did.
    pub figures: Vec<Figures>,
}

/// What a run ran on.
#[derive(Serialize)]
pub struct Machine {
    /// How many cores there are.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
    /// The kernel's load averages before the run: what else the machine had to do.
    pub load_before: String,
    /// What each program calls its version.
    pub versions: Vec<String>,
}

/// How a run was run.
#[derive(Serialize)]
pub struct Settings {
    /// How long a turn lasts, in seconds.
    pub seconds: f64,
    /// How many turns each way has with each kind of work.
    pub rounds: usize,
    /// How many connections small requests come over.
    pub connections: usize,
    /// Whether portreeve writes its access log.
    pub access_log: bool,
}

impl Machine {
    /// This one, if it has all that a run needs.
    pub fn this() -> Result<Self, Fault> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: processor.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_before: fs::read_to_string("/proc/loadavg")?.trim().to_owned(),
            versions: vec![
                version(&tool("docker-registry", "docker-registry")?, "--version")?,
                version(&tool("nginx", "nginx")?, "-v")?,
                version(&tool("haproxy", "haproxy")?, "-v")?,
                concat!("portreeve ", env!("CARGO_PKG_VERSION")).to_owned(),
            ],
        })
    }
}

impl Report {
    /// An empty one.
    pub fn new(machine: Machine, settings: Settings) -> Self {
        Self {
            begun: Timestamp::now(),
            machine,
            settings,
            works: Vec::new(),
            memory: Vec::new(),
            opening: None,
        }
    }

    /// Adds what the ways did with one kind of work.
    pub fn add(&mut self, work: Work, figures: Vec<Figures>) {
        self.works.push(Measured { work, figures });
    }

    /// What one way did with one kind of work, if it was measured.
    pub fn figures(&self, work: Work, way: Way) -> Option<&Figures> {
        let measured = self.works.iter().find(|measured| measured.work == work)?;
        measured.figures.iter().find(|figures| figures.way == way)
    }

    /// Writes the figures, and how they stand to the targets, beside what cargo builds.
    pub fn write(&self) -> Result<PathBuf, Fault> {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            report: &'a Report,
            targets: Vec<Target>,
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        fs::create_dir_all(&directory)?;
        let file = directory.join("side_by_side.json");
        let document = Document { report: self, targets: targets(self) };
        fs::write(&file, serde_json::to_string_pretty(&document)?)?;
        Ok(file)
    }
}
