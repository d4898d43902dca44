//! How a user stands when somebody begins to log in as them. To check a password takes a while, in which the user may be given
//! another one, be removed, or end all logins; a login that was begun before that is not kept.

use serde::{Deserialize, Serialize};

use super::{AccountError, Accounts, change_to};
use crate::auth::subject::UserName;
use crate::store::{AccountChange, AccountKind, Expect};

/// All that the store has of a user which ends their logins when it changes.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Standing {
    user: UserName,
    /// None of a user whom it does not keep.
    account: Option<Vec<u8>>,
    /// None of one whose logins were never ended all at once.
    ended: Option<Vec<u8>>,
}

impl Standing {
    /// What a login that began then is kept together with: that all of it is as it was.
    pub(super) fn unchanged(&self) -> [AccountChange; 2] {
        let of = |kind, content: &Option<Vec<u8>>| {
            AccountChange::unchanged(kind, self.user.to_string(), content.clone())
        };
        [of(AccountKind::User, &self.account), of(AccountKind::LoginsEnded, &self.ended)]
    }
}

/// A password that was shown and found right.
#[derive(Clone, Debug)]
pub(in crate::auth) struct ShownPassword {
    /// What it is known by.
    pub proof: String,
    /// How its user stood before it was looked at.
    pub standing: Standing,
}

impl ShownPassword {
    /// Whose it is.
    pub(super) const fn user(&self) -> &UserName {
        &self.standing.user
    }
}

/// How often all logins of a user were ended.
#[derive(Default, Serialize, Deserialize)]
struct StoredEnds {
    count: u64,
}

impl Accounts {
    /// How a user stands now.
    ///
    /// # Errors
    /// When the store fails.
    pub(in crate::auth) async fn standing_of(&self, user: &UserName) -> Result<Standing, AccountError> {
        let account = self.store.account(AccountKind::User, user.as_str()).await?;
        let ended = self.store.account(AccountKind::LoginsEnded, user.as_str()).await?;
        Ok(Standing { user: user.clone(), account, ended })
    }

    /// The change by which no login of a user is kept that has begun before.
    pub(super) async fn ended_once_more(&self, user: &UserName) -> Result<AccountChange, AccountError> {
        let (kind, key) = (AccountKind::LoginsEnded, user.as_str());
        let kept = self.read_with_content::<StoredEnds>(kind, key).await?;
        let (ends, expected) = kept.map_or((StoredEnds::default(), Expect::Absent), |(ends, before)| {
            (ends, Expect::Exactly(before))
        });
        change_to(kind, key, &StoredEnds { count: ends.count.saturating_add(1) }, expected)
    }
}
