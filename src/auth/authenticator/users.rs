//! Which users there are, whatever they have shown.

use std::collections::BTreeSet;

use super::Authenticator;
use crate::auth::identity::{Found, IdentitySource, SourceError};
use crate::auth::subject::UserName;

impl Authenticator {
    /// A user by name, without proof, from the first source that knows it. One that it shuts out, no other source lets in.
    ///
    /// # Errors
    /// When a source cannot be asked.
    pub async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError> {
        for source in &self.sources {
            if let Some(found) = source.find(name).await? {
                return Ok(Some(found));
            }
            if source.shuts_out(name).await? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Whether any source has this name, also of a user who may not log in.
    ///
    /// # Errors
    /// When a source cannot be asked.
    pub async fn knows(&self, name: &UserName) -> Result<bool, SourceError> {
        // Access tokens come first, and are the dearest to look through.
        for source in self.sources.iter().rev() {
            if source.knows(name).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a user has this name, also one who may not log in. Robots are none.
    ///
    /// # Errors
    /// When a source cannot be asked.
    pub async fn has_user(&self, name: &UserName) -> Result<bool, SourceError> {
        self.has_user_of(name, |_| true).await
    }

    /// Whether a user has this name who is changed elsewhere than here: in a file of users.
    ///
    /// # Errors
    /// When a source cannot be asked.
    pub async fn has_user_elsewhere(&self, name: &UserName) -> Result<bool, SourceError> {
        self.has_user_of(name, |source| !source.is_of_the_store()).await
    }

    /// The names of users who are changed elsewhere than here, behind a text, in bytewise order and at most so many.
    ///
    /// # Errors
    /// When a source cannot be asked.
    pub async fn names_elsewhere(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<BTreeSet<UserName>, SourceError> {
        let mut names = BTreeSet::new();
        for source in self.sources.iter().filter(|source| !source.is_of_the_store()) {
            names.append(&mut source.names(after, limit).await?);
        }
        Ok(names.into_iter().take(limit).collect())
    }

    async fn has_user_of(
        &self,
        name: &UserName,
        is_asked: fn(&dyn IdentitySource) -> bool,
    ) -> Result<bool, SourceError> {
        for source in self.sources.iter().filter(|source| is_asked(source.as_ref())) {
            if source.find(name).await?.is_some() || source.is_disabled(name).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
