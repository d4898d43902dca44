//! What manifests say of themselves by annotations, and images by labels, as lines of `key=value`. A manifest never changes, so what is known of one stays right,
//! wherever it is; what none has any more is let go of when all is built anew.

use std::collections::HashMap;
use std::str::FromStr;

use super::digests::DigestHead;
use super::names::{Names, Placement};
use crate::store::ManifestRecord;

/// The longest line that is looked for, in bytes.
const MAXIMUM_BYTES: usize = 512;
/// How much of a line is kept, in bytes: more than is looked for, so that a part is never taken for the whole.
const KEPT_BYTES: usize = 2 * MAXIMUM_BYTES;

/// A key and a value that are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation(String);

/// Why a text is no key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has to be `key=value`, of at most {MAXIMUM_BYTES} bytes")]
pub struct InvalidAnnotation;

impl FromStr for Annotation {
    type Err = InvalidAnnotation;

    fn from_str(text: &str) -> Result<Self, InvalidAnnotation> {
        let has_both = text.find('=').is_some_and(|place| place > 0);
        (has_both && text.len() <= MAXIMUM_BYTES).then(|| Self(on_one_line(text))).ok_or(InvalidAnnotation)
    }
}

/// The lines of all manifests that tags point to.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    lines: Names,
    /// By the numbers of the lines, whose they are.
    digests: Vec<DigestHead>,
    /// Those whose lines are there, if they have any, and whether their labels are.
    known: HashMap<DigestHead, bool>,
}

/// The manifests that have a line, each with how well it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Annotated(HashMap<DigestHead, Placement>);

impl Annotations {
    /// Whether those of this manifest are there.
    pub(super) fn knows(&self, digest: DigestHead) -> bool {
        self.known.contains_key(&digest)
    }

    /// Whether the labels of this image are there, too.
    pub(super) fn knows_labels(&self, digest: DigestHead) -> bool {
        self.known.get(&digest) == Some(&true)
    }

    /// Takes up what a manifest says, and the image whose it is, once that was read. Answers whether there was room.
    pub(super) fn put(&mut self, record: &ManifestRecord) -> bool {
        let digest = DigestHead::of(&record.digest);
        let has_labels = record.image.is_some();
        let (annotations, labels) = match self.known.get(&digest) {
            None => (true, has_labels),
            Some(known) => (false, has_labels && !known),
        };
        if annotations || labels {
            self.known.insert(digest, has_labels);
        }
        let annotations = record.document.annotations.iter().filter(|_| annotations);
        let labels = record.image.iter().flat_map(|image| &image.labels).filter(|_| labels);
        annotations.chain(labels).all(|(key, value)| {
            let has_room = self.lines.push(&line_of(key, value)).is_some();
            self.digests.extend(has_room.then_some(digest));
            has_room
        })
    }

    /// The manifests that have exactly this line.
    pub(super) fn with(&self, annotation: &Annotation) -> Annotated {
        self.having(annotation, Placement::Exact)
    }

    /// The manifests that have a line which begins so.
    pub(super) fn beginning_with(&self, annotation: &Annotation) -> Annotated {
        self.having(annotation, Placement::Prefix)
    }

    fn having(&self, annotation: &Annotation, worst: Placement) -> Annotated {
        let mut found: HashMap<DigestHead, Placement> = HashMap::new();
        self.lines.find(&annotation.0, worst, |number, placement| {
            if let Some(digest) = self.digests.get(number as usize) {
                let best = found.entry(*digest).or_insert(placement);
                *best = placement.min(*best);
            }
        });
        Annotated(found)
    }

    /// The bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let digests = self.digests.capacity() + self.known.capacity();
        self.lines.memory() + digests * size_of::<DigestHead>()
    }
}

impl Annotated {
    /// How well what a manifest says fits, if it does.
    pub(super) fn placement(&self, digest: DigestHead) -> Option<Placement> {
        self.0.get(&digest).copied()
    }
}

fn line_of(key: &str, value: &str) -> String {
    let mut line = on_one_line(&format!("{key}={value}"));
    line.truncate(line.floor_char_boundary(KEPT_BYTES));
    line
}

/// Line feeds stand between lines: in one they count as spaces.
fn on_one_line(text: &str) -> String {
    text.replace('\n', " ")
}
