//! Histories: what happens in the model, from a seed, in any order and at once.

use std::time::Duration;

use bytes::Bytes;

use super::nature::{Nature, Temper};
use super::random::Random;
use super::registry::{Outage, REPOSITORIES};
use crate::oci::{Digest, Reference, Tag};

/// How many different manifests there are; the last two are indexes of the first two.
const MANIFESTS: u64 = 5;
/// In which order they come where there are fewer: a manifest, its index, others.
const ORDER: [u64; MANIFESTS as usize] = [0, MANIFESTS - 2, 1, MANIFESTS - 1, 2];
const TAGS: &[&str] = &["v1", "v2", "V1"];
/// How long a door lives, at most, before it crashes, in milliseconds of virtual time.
const LIFE: u64 = 12_000;
/// The same where the registry is slow.
const SLOW_LIFE: u64 = 60_000;
/// A door that crashes at a step does so at one below a power of two; these are the exponents.
const STEPS: std::ops::Range<u64> = 3..10;
/// In how many milliseconds of a life everything begins that happens in it.
const SPANS: &[u64] = &[1, 8, 40, 40, 100, 400];
/// Times between two shallow sweeps and between two deep ones, in seconds.
const INTERVALS: &[(u64, u64)] = &[(0, 25), (12, 30), (20, 20)];

/// How many of everything there are: the fewer, the more meets.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    repositories: u64,
    tags: u64,
    manifests: u64,
    /// In a life, at most.
    happenings: u64,
}

/// A history: the lives of one door, or of several at once, one after the other. Each life is ended by a crash of all, but
/// for the last.
#[derive(Clone, Debug)]
pub struct History {
    pub seed: u64,
    /// How many doors share the record.
    pub doors: usize,
    /// One commit in so many fails, or its answer is lost; none at zero.
    pub commit_faults: u64,
    /// One fault in so many answers; none at zero.
    pub faults: u64,
    /// Whether everything goes through the door: then the record has to be right without a sweep.
    pub door_only: bool,
    pub nature: Nature,
    /// Between two shallow sweeps, and between two deep ones; zero for those that are asked for only.
    pub intervals: (Duration, Duration),
    pub lives: Vec<Life>,
}

/// The life of a door.
#[derive(Clone, Debug)]
pub struct Life {
    pub length: Duration,
    /// It crashes sooner, at this one of the steps of the door.
    pub last_step: Option<u64>,
    pub happenings: Vec<Happening>,
}

/// Something that happens at a time of a door's life.
#[derive(Clone, Debug)]
pub struct Happening {
    pub at: Duration,
    /// At which of the doors.
    pub door: usize,
    pub action: Action,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Action {
    /// A client pushes through the door; it may lose patience.
    Push { repository: &'static str, reference: Reference, manifest: Bytes, patience: Option<Duration> },
    /// A client deletes through the door.
    Delete { repository: &'static str, reference: Reference, patience: Option<Duration> },
    /// Somebody pushes around the door.
    PushAround { repository: &'static str, reference: Reference, manifest: Bytes },
    /// Somebody deletes around the door.
    DeleteAround { repository: &'static str, reference: Reference },
    /// A repository is removed from the registry's disk.
    Forget { repository: &'static str },
    /// Somebody hints at a reference, rightly or not.
    Hint { repository: &'static str, reference: Reference },
    /// Somebody asks for a sweep.
    Sweep { deep: bool },
    /// The registry is down for a while.
    Outage { outage: Outage, length: Duration },
    /// The registry's storage is not there for a while.
    LoseStorage { length: Duration },
    /// The registry is started anew, which takes a while.
    Restart { length: Duration },
    /// The door stands still for a while, or for ever: it has crashed.
    Freeze { length: Option<Duration> },
}

impl History {
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let faults = *random.pick(&[0, 3, 6, 12]);
        let door_only = random.one_in(3);
        let nature = Nature::random(&mut random, door_only);
        // Where each sweep takes long, it is cut in its middle and goes on in the next life.
        let intervals = if nature.slow { INTERVALS } else { &[(0, 0)] };
        let (shallow, deep) = *random.pick(intervals);
        let intervals = (Duration::from_secs(shallow), Duration::from_secs(deep));
        let crowd = Crowd::random(&mut random);
        let doors = *random.pick(&[1, 1, 2, 2, 3]);
        let commit_faults = *random.pick(&[0, 0, 7, 30]);
        let lives = (0..1 + random.below(3))
            .map(|_| Life::random(&mut random, door_only, nature.slow, crowd, doors))
            .collect();
        let history = Self { seed, doors, commit_faults, faults, door_only, nature, intervals, lives };
        if random.one_in(12) { history.calmed(&mut random, crowd) } else { history }
    }

    /// The same with pushes only, and without faults: all of them have to succeed.
    fn calmed(mut self, random: &mut Random, crowd: Crowd) -> Self {
        self.lives.truncate(1);
        for happening in self.lives.iter_mut().flat_map(|life| &mut life.happenings) {
            happening.action = Action::push(random, crowd);
        }
        let nature = Nature { slow: false, stops_half_way: false, lags: false, ..self.nature };
        Self { faults: 0, commit_faults: 0, nature, intervals: Default::default(), ..self }
    }

    /// Whether nothing in it leaves the outcome of a write unknown, or keeps one from succeeding.
    pub fn is_without_trouble(&self) -> bool {
        let is_trouble = |action: &Action| {
            matches!(
                action,
                Action::Freeze { .. }
                    | Action::Outage { .. }
                    | Action::Restart { .. }
                    | Action::LoseStorage { .. }
                    | Action::Forget { .. }
                    | Action::PushAround { .. }
                    | Action::DeleteAround { .. }
                    // It is denied where there is nothing to delete.
                    | Action::Delete { .. }
            )
        };
        let mut happenings = self.lives.iter().flat_map(|life| &life.happenings);
        (self.faults, self.commit_faults, self.lives.len()) == (0, 0, 1)
            && !self.nature.slow
            && !self.nature.lags
            && !self.nature.stops_half_way
            && !happenings.any(|happening| is_trouble(&happening.action))
    }

    /// How many deletions clients ask for.
    pub fn deletions(&self) -> usize {
        let happenings = self.lives.iter().flat_map(|life| &life.happenings);
        happenings.filter(|happening| matches!(happening.action, Action::Delete { .. })).count()
    }

    /// Histories with a little less in them.
    pub fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        for life in 0..self.lives.len() {
            if self.lives.len() > 1 {
                let mut less = self.clone();
                less.lives.remove(life);
                smaller.push(less);
            }
            for happening in 0..self.lives[life].happenings.len() {
                let mut less = self.clone();
                less.lives[life].happenings.remove(happening);
                smaller.push(less);
            }
        }
        if self.doors > 1 {
            let mut less = Self { doors: self.doors - 1, ..self.clone() };
            let happenings = less.lives.iter_mut().flat_map(|life| &mut life.happenings);
            happenings.for_each(|happening| happening.door %= less.doors);
            smaller.push(less);
        }
        if self.commit_faults > 0 {
            smaller.push(Self { commit_faults: 0, ..self.clone() });
        }
        if self.faults > 0 {
            smaller.push(Self { faults: 0, ..self.clone() });
        }
        if self.nature != Nature::default() {
            smaller.push(Self { nature: Nature::default(), ..self.clone() });
        }
        if !self.intervals.1.is_zero() {
            smaller.push(Self { intervals: Default::default(), ..self.clone() });
        }
        smaller
    }
}

impl Life {
    fn random(random: &mut Random, door_only: bool, is_slow: bool, crowd: Crowd, doors: usize) -> Self {
        let length = Duration::from_millis(50) + random.milliseconds(if is_slow { SLOW_LIFE } else { LIFE });
        let most = 1 << (STEPS.start + random.below(STEPS.end - STEPS.start));
        let last_step = (!random.one_in(if is_slow { 2 } else { 3 })).then(|| 1 + random.below(most));
        // Crowded, so that much meets much; often in less time than one question takes.
        let span = *random.pick(SPANS);
        let mut happenings: Vec<_> = (0..1 + random.below(crowd.happenings))
            .map(|_| Happening {
                at: random.milliseconds(span),
                door: random.below(doors as u64) as usize,
                action: match doors > 1 && random.one_in(8) {
                    true => Action::freeze(random),
                    false => Action::random(random, door_only, crowd),
                },
            })
            .collect();
        if doors > 1 && !door_only && random.one_in(4) {
            happenings.extend(Self::cut_sweep(random, doors, crowd));
        }
        Self { length, last_step, happenings }
    }

    /// A door stands still in the middle of a sweep that finds something, for so long that others take it for dead.
    fn cut_sweep(random: &mut Random, doors: usize, crowd: Crowd) -> [Happening; 3] {
        let (door, begins) = (random.below(doors as u64) as usize, random.milliseconds(3_000));
        let Action::Push { repository, reference, manifest, .. } = Action::push(random, crowd) else {
            unreachable!("a push is a push")
        };
        let later = random.milliseconds(120);
        let length = Some(Duration::from_secs(8) + random.milliseconds(4_000));
        [
            Happening { at: begins, door, action: Action::PushAround { repository, reference, manifest } },
            Happening { at: begins, door, action: Action::Sweep { deep: random.one_in(2) } },
            Happening { at: begins + later, door, action: Action::Freeze { length } },
        ]
    }
}

impl Action {
    fn random(random: &mut Random, door_only: bool, crowd: Crowd) -> Self {
        let repository = REPOSITORIES[random.below(crowd.repositories) as usize];
        let manifest = manifest(ORDER[random.below(crowd.manifests) as usize]);
        let tag = TAGS[random.below(crowd.tags) as usize];
        let tag = Reference::Tag(Tag::parse(tag).unwrap());
        let digest = Reference::Digest(Digest::sha256(&manifest));
        let either = if random.one_in(2) { digest.clone() } else { tag.clone() };
        let reference = if random.one_in(3) { digest } else { tag };
        let patience = random.one_in(4).then(|| random.milliseconds(60));
        match random.below(if door_only { 7 } else { 13 }) {
            0..=3 => Self::Push { repository, reference, manifest, patience },
            4 | 5 => Self::Delete { repository, reference: either, patience },
            6 if random.one_in(4) => Self::Restart { length: random.milliseconds(3_000) },
            6 if random.one_in(3) => Self::outage(random),
            6 => Self::Sweep { deep: random.one_in(2) },
            7 | 8 => Self::PushAround { repository, reference, manifest },
            9 => Self::DeleteAround { repository, reference: either },
            10 if random.one_in(3) => Self::Forget { repository },
            10 | 11 => Self::Hint { repository, reference: either },
            12 if random.one_in(3) => Self::LoseStorage { length: random.milliseconds(9_000) },
            _ => Self::Sweep { deep: random.one_in(2) },
        }
    }

    fn push(random: &mut Random, crowd: Crowd) -> Self {
        loop {
            let action = Self::random(random, true, crowd);
            if matches!(action, Self::Push { .. }) {
                return action;
            }
        }
    }

    fn freeze(random: &mut Random) -> Self {
        Self::Freeze { length: (!random.one_in(4)).then(|| random.milliseconds(12_000)) }
    }

    fn outage(random: &mut Random) -> Self {
        let outage = match random.below(4) {
            0 => Outage::Deaf,
            1 => Outage::Unavailable(None),
            2 => Outage::Unavailable(Some(random.below(8))),
            _ => Outage::Broken,
        };
        Self::Outage { outage, length: random.milliseconds(9_000) }
    }
}

impl Crowd {
    fn random(random: &mut Random) -> Self {
        if random.one_in(2) {
            let (repositories, tags) = (REPOSITORIES.len() as u64, TAGS.len() as u64);
            return Self { repositories, tags, manifests: MANIFESTS, happenings: 10 };
        }
        Self { repositories: 1, tags: 1 + random.below(3), manifests: 1 + random.below(3), happenings: 14 }
    }
}

impl Nature {
    fn random(random: &mut Random, door_only: bool) -> Self {
        Self {
            no_catalog: random.one_in(6).then(|| *random.pick(&[401, 404, 405])),
            null_tags: random.one_in(3),
            unnamed_digests: random.one_in(4),
            clamps: random.one_in(3),
            slow: random.one_in(6),
            stops_half_way: !door_only,
            // What changes around the door has no observed write that an old answer would contradict.
            lags: door_only && random.one_in(2),
            judge: Temper::Credulous,
        }
        .tempered(random, door_only)
    }

    fn tempered(self, random: &mut Random, door_only: bool) -> Self {
        let judge = match random.below(4) {
            _ if self.lags => Temper::Settling,
            0 => Temper::Settling,
            1 if !door_only => Temper::Patient,
            2 if !door_only && !self.slow => Temper::Strict,
            _ => Temper::Credulous,
        };
        Self { judge, ..self }
    }
}

/// In lines, with the digests of manifests instead of their bytes.
impl std::fmt::Display for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, doors, commit_faults, faults, door_only, nature, intervals, lives } = self;
        writeln!(
            formatter,
            "seed {seed}, {doors} doors, one fault in {faults}, of commits one in {commit_faults}, \
             door only: {door_only}, sweeps every {intervals:?}"
        )?;
        writeln!(formatter, "{nature:?}")?;
        for (number, Life { length, last_step, happenings }) in lives.iter().enumerate() {
            writeln!(formatter, "life {number}, at most {length:?} or to step {last_step:?}:")?;
            for Happening { at, door, action } in happenings {
                writeln!(formatter, "  {at:?} at door {door}: {action}")?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Push { repository, reference, manifest, patience } => {
                let digest = Digest::sha256(manifest);
                write!(formatter, "push {repository}:{reference} {digest} patience {patience:?}")
            }
            Self::Delete { repository, reference, patience } => {
                write!(formatter, "delete {repository}:{reference} patience {patience:?}")
            }
            Self::PushAround { repository, reference, manifest } => {
                write!(formatter, "push around {repository}:{reference} {}", Digest::sha256(manifest))
            }
            Self::DeleteAround { repository, reference } => {
                write!(formatter, "delete around {repository}:{reference}")
            }
            Self::Hint { repository, reference } => write!(formatter, "hint {repository}:{reference}"),
            other => write!(formatter, "{other:?}"),
        }
    }
}

/// The manifest with this number.
fn manifest(number: u64) -> Bytes {
    if number < MANIFESTS - 2 {
        return format!(r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}},"layers":[],"annotations":{{"number":"{number}"}}}}"#).into();
    }
    let child = manifest(number + 2 - MANIFESTS);
    let (digest, size) = (Digest::sha256(&child), child.len());
    format!(r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{size}}}]}}"#).into()
}
