//! Access tokens of users and of robots, and what is shown of them and of logins.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::command::{AccountAnswer, TokenShown};
use super::stored::StoredToken;
use super::{AccountError, Accounts, PREFIX, change_to, hash_of, random};
use crate::auth::pattern::Pattern;
use crate::auth::subject::UserName;
use crate::oci::{Action, Actions};
use crate::store::{AccountChange, AccountKind, Expect};

/// How many access tokens there are of one name. Each is looked at when one more is made.
const MOST: usize = 100;

impl Accounts {
    /// The access tokens of robots that end within this time, and have not ended yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn robot_tokens_ending_within(&self, time: Duration) -> Result<Vec<TokenShown>, AccountError> {
        let now = self.clock.now();
        let ends_soon = |token: &StoredToken| {
            !token.is_personal
                && !token.is_expired(now)
                && token.expires.is_some_and(|expires| expires <= now.later_by(time))
        };
        let tokens = self.all::<StoredToken>(AccountKind::AccessToken).await?;
        let ending = tokens.into_iter().filter(|(_, token)| ends_soon(token));
        Ok(ending.map(|(id, token)| token.shown(id, now)).collect())
    }

    pub(super) async fn create_token(
        &self,
        name: UserName,
        user: Option<UserName>,
        repositories: Vec<String>,
        actions: Vec<String>,
        expires_in: Option<u64>,
    ) -> Result<AccountAnswer, AccountError> {
        for pattern in &repositories {
            Pattern::parse(pattern)
                .map_err(|source| AccountError::Pattern { pattern: pattern.clone(), source })?;
        }
        if repositories.is_empty() {
            return Err(AccountError::Invalid(
                "a token is for some repositories, such as `team/**`".to_owned(),
            ));
        }
        if let Some(action) = actions.iter().find(|action| read_action(action).is_none()) {
            let wrong = format!("`{action}` is none of `pull`, `push`, `delete` and `*`");
            return Err(AccountError::Invalid(wrong));
        }
        if actions.is_empty() {
            return Err(AccountError::Invalid("a token is for some actions, such as `pull`".to_owned()));
        }
        if user.is_none() && self.store.account(AccountKind::User, name.as_str()).await?.is_some() {
            return Err(AccountError::Invalid(format!(
                "there is a user `{name}`; give the robot another name, or say `--user {name}` for a token of theirs"
            )));
        }
        let (owner, is_personal) = (user.as_ref().unwrap_or(&name), user.is_some());
        let of_the_same = |token: &StoredToken| token.is_personal == is_personal && token.name == *owner;
        if self.keys_where(AccountKind::AccessToken, of_the_same).await?.len() >= MOST {
            return Err(AccountError::TooManyTokens { name: owner.clone(), most: MOST });
        }
        let (id, secret) = (random::<8>()?, random::<24>()?);
        let id = hex::encode(id);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let now = self.clock.now();
        // No user of the robot's name may have been added meanwhile.
        let no_user = user.is_none().then(|| AccountChange::absent(AccountKind::User, name.to_string()));
        let token = StoredToken {
            is_personal,
            label: name.to_string(),
            name: user.unwrap_or(name),
            secret: hash_of(&secret),
            repositories,
            actions,
            created: now,
            expires: expires_in.map(|seconds| now.later_by(Duration::from_secs(seconds))),
            last_use: None,
        };
        let expires = token.expires;
        let kept = change_to(AccountKind::AccessToken, &id, &token, Expect::Absent)?;
        self.change_for_all(no_user.into_iter().chain([kept]).collect()).await?;
        Ok(AccountAnswer::Created { token: format!("{PREFIX}{id}_{secret}"), id, name: token.name, expires })
    }
}

pub(super) fn read_action(action: &str) -> Option<Actions> {
    match action {
        "*" => Some(Actions::ALL),
        action => {
            Action::ALL.into_iter().find(|known| known.as_str() == action).map(|known| Actions::of(&[known]))
        }
    }
}
