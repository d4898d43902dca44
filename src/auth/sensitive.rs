//! Text that must not be seen: passwords, tokens.

use std::fmt;
use std::sync::Arc;

/// A secret. Only [`Sensitive::reveal`] shows it.
#[derive(Clone)]
pub struct Sensitive(Arc<str>);

impl Sensitive {
    /// Wraps a secret.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sensitive(…)")
    }
}
