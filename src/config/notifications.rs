//! The section `notifications`.

use secrecy::{ExposeSecret as _, SecretString};

use super::settings::Settings;
use super::value;

/// The section `notifications`.
#[derive(Clone, Debug, Default)]
pub struct Notifications {
    /// `notifications.secret`: the bearer secret of the registry's notifications; they are not taken without one.
    pub secret: Option<SecretString>,
}

impl PartialEq for Notifications {
    fn eq(&self, other: &Self) -> bool {
        let [own, other] =
            [self, other].map(|section| section.secret.as_ref().map(|secret| secret.expose_secret()));
        own == other
    }
}

impl Eq for Notifications {}

/// Reads the section `notifications`.
pub(super) fn read(settings: &mut Settings) -> Notifications {
    Notifications { secret: settings.read("notifications.secret", value::secret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_with_another_secret_is_another_one_and_shows_none() {
        let with = |secret: &str| Notifications { secret: Some(secret.into()) };
        assert_eq!(with("0123456789abcdef"), with("0123456789abcdef"));
        assert_ne!(with("0123456789abcdef"), with("0123456789abcdeF"));
        assert_ne!(with("0123456789abcdef"), Notifications::default());
        assert!(!format!("{:?}", with("0123456789abcdef")).contains("0123"));
    }
}
