//! Digests with their sizes, each counted once, in bounded memory: where there are more than fit, the first ones in their
//! order are kept, and who counts them reads again what is behind.

use crate::oci::Digest;

/// How many digests are kept at once, some of them several times: 41 MiB.
pub(super) const MOST: usize = 1 << 20;

/// The algorithms of [`Digest`], in bytewise order.
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];
/// How many bytes of a digest are kept: all of the shortest.
const KEPT: usize = 32;

/// A digest in few bytes, which are in the order of the texts. Of a long one the beginning, as much as tells it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DigestKey {
    algorithm: u8,
    bytes: [u8; KEPT],
}

/// A digest and its size. Without gaps between the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    digest: DigestKey,
    /// The first byte is the highest.
    size: [u8; 8],
}

/// See the module.
#[derive(Debug)]
pub(super) struct Distinct {
    rows: Vec<Row>,
    most: usize,
    /// What is behind this one does not fit.
    last: Option<DigestKey>,
}

impl DigestKey {
    /// That of this digest.
    pub(super) fn of(digest: &Digest) -> Self {
        let algorithm = ALGORITHMS.iter().position(|name| *name == digest.algorithm());
        let mut bytes = [0; KEPT];
        // No digest has fewer bytes, and all of them are hexadecimal.
        let _ = hex::decode_to_slice(&digest.encoded()[..2 * KEPT], &mut bytes);
        Self { algorithm: algorithm.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX), bytes }
    }

    /// A text behind which all digests with later keys are, and none with earlier ones.
    pub(super) fn text(self) -> String {
        let algorithm = ALGORITHMS.get(usize::from(self.algorithm)).copied().unwrap_or("~");
        format!("{algorithm}:{}", hex::encode(self.bytes))
    }
}

impl Distinct {
    /// At most so many of them, the same ones counted as often as they are there.
    pub(super) const fn new(most: usize) -> Self {
        Self { rows: Vec::new(), most, last: None }
    }

    /// How many there may be.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Whether this one is to be counted now.
    pub(super) fn reaches(&self, digest: DigestKey) -> bool {
        self.last.is_none_or(|last| digest <= last)
    }

    /// Adds one that is to be counted now. Answers whether there is no room for another before they are [cut](Self::cut).
    pub(super) fn add(&mut self, digest: DigestKey, size: u64) -> bool {
        self.rows.push(Row { digest, size: size.to_be_bytes() });
        self.rows.len() >= self.most
    }

    /// Keeps each once; and the first ones alone if they still take more than half of the room. Takes a tenth of a second.
    pub(super) fn cut(&mut self) {
        self.keep_each_once();
        let half = (self.most / 2).max(1);
        if self.rows.len() > half {
            self.rows.truncate(half);
            self.last = self.rows.last().map(|row| row.digest);
        }
    }

    /// Where the sizes that are told of a digest differ, the smallest counts.
    fn keep_each_once(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup_by_key(|row| row.digest);
    }

    /// Takes out the sum of their sizes, and up to which digest all are counted, if there may be more behind it. Takes a tenth of a second.
    pub(super) fn take_sum(&mut self) -> (u64, Option<DigestKey>) {
        self.keep_each_once();
        let sizes = self.rows.iter().map(|row| u64::from_be_bytes(row.size));
        let sum = sizes.fold(0, u64::saturating_add);
        self.rows.clear();
        (sum, self.last.take())
    }
}
