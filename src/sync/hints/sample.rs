//! What the tests of hints hint at.

use crate::oci::{Reference, RepositoryName};
use crate::store::{Hint, HintedReference};

/// A hint about a tag, in a repository of its own.
pub(super) fn hint(tag: &str, number: u64) -> Hint {
    let reference = Reference::parse(tag).unwrap();
    let repository = RepositoryName::parse(&format!("of-{tag}")).unwrap();
    Hint::new(HintedReference { repository, reference }, number)
}
