//! How the door shows itself to the registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::auth::{Access, RegistryTokens, SigningFailed};

/// How the door shows itself to the registry.
pub enum Login {
    /// Not at all.
    None,
    /// With a name and a password.
    Basic(HeaderValue),
    /// With tokens of its own, in the registry's time.
    Token(RegistryTokens),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

impl Login {
    /// With a name and a password (RFC 7617).
    pub fn basic(username: &str, password: &str) -> Self {
        let text = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
        match HeaderValue::try_from(text) {
            Ok(mut value) => {
                value.set_sensitive(true);
                Self::Basic(value)
            }
            // Base64 is always a header's value.
            Err(_) => Self::None,
        }
    }

    /// The `Authorization` for a request that needs this access, for somebody or for the door itself.
    ///
    /// # Errors
    /// When a token cannot be signed.
    pub fn authorization(
        &self,
        subject: Option<&str>,
        access: &[Access],
    ) -> Result<Option<HeaderValue>, SigningFailed> {
        match self {
            Self::None => Ok(None),
            Self::Basic(value) => Ok(Some(value.clone())),
            Self::Token(tokens) => {
                let token = tokens.token(subject, access)?;
                let value = HeaderValue::try_from(format!("Bearer {}", token.reveal())).ok();
                Ok(value.map(|mut value| {
                    value.set_sensitive(true);
                    value
                }))
            }
        }
    }

    /// The registry did not take what the door showed.
    pub fn doubt(&self) {
        if let Self::Token(tokens) = self {
            tokens.doubt();
        }
    }

    /// Whether the door has credentials of its own.
    pub const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}
