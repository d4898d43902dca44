//! What the asker may see, looked up once for each repository and question.

use super::arena::RepositoryNumber;
use crate::oci::RepositoryName;

/// What the asker may see.
pub(super) struct Sight<F> {
    sees: F,
    /// What is known of it, by the numbers of the repositories.
    known: Vec<Option<bool>>,
}

impl<F: FnMut(&RepositoryName) -> bool> Sight<F> {
    /// By this rule, over so many repositories.
    pub(super) fn of(repositories: usize, sees: F) -> Self {
        Self { sees, known: vec![None; repositories] }
    }

    /// Whether the asker may see the repository with this number and name.
    pub(super) fn reaches(&mut self, number: RepositoryNumber, name: &str) -> bool {
        let Some(known) = self.known.get_mut(number as usize) else { return false };
        // What is in the arena was a name when it was put there.
        *known.get_or_insert_with(|| RepositoryName::parse(name).is_ok_and(|name| (self.sees)(&name)))
    }
}
