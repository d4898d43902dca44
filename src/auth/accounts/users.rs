//! Users that the store keeps: added, changed, removed and listed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::command::{AccountAnswer, UserShown};
use super::stored::{StoredToken, StoredUser};
use super::{AccountError, Accounts, change_to};
use crate::auth::identity::proof;
use crate::auth::subject::UserName;
use crate::store::{AccountChange, AccountKind, AuthEventKind, Expect, Page, PageRequest};

impl Accounts {
    pub(super) async fn add_user(
        &self,
        name: UserName,
        hash: String,
        groups: Vec<String>,
    ) -> Result<AccountAnswer, AccountError> {
        if self.store.account(AccountKind::User, name.as_str()).await?.is_some() {
            return Err(AccountError::Exists(name));
        }
        let of_a_robot = |token: &StoredToken| !token.is_personal && token.name == name;
        if !self.keys_where(AccountKind::AccessToken, of_a_robot).await?.is_empty() {
            return Err(AccountError::Robot(name));
        }
        let groups = fit(groups)?;
        let user = StoredUser { hash, groups, created: self.clock.now(), is_superseded: false };
        // Who had the name before may have been disabled.
        let user = change_to(AccountKind::User, name.as_str(), &user, Expect::Absent)?;
        match self.change_for_all(vec![user, Self::enabling(&name)]).await {
            Err(AccountError::Overtaken) => Err(AccountError::Exists(name)),
            done => done.map(|()| {
                self.note_enabled(&name);
                AccountAnswer::Done
            }),
        }
    }

    pub(super) async fn set_password(
        &self,
        name: &UserName,
        hash: String,
        present: Option<&str>,
    ) -> Result<AccountAnswer, AccountError> {
        let user = self.read_with_content::<StoredUser>(AccountKind::User, name.as_str()).await?;
        let (user, before) = user.ok_or_else(|| AccountError::NoUser(name.clone()))?;
        if present.is_some_and(|present| present != proof(&user.hash)) {
            return Err(AccountError::Overtaken);
        }
        let user = StoredUser { hash, is_superseded: false, ..user };
        let user = change_to(AccountKind::User, name.as_str(), &user, Expect::Exactly(before))?;
        // They had another proof, and go on no more.
        let logins = self.all_logins_of(name).await?;
        self.change_for_all([user].into_iter().chain(logins.removed()).collect()).await?;
        logins.forget();
        Ok(AccountAnswer::Done)
    }

    pub(super) async fn set_groups(
        &self,
        name: &UserName,
        groups: Vec<String>,
    ) -> Result<AccountAnswer, AccountError> {
        let user = self.read_with_content::<StoredUser>(AccountKind::User, name.as_str()).await?;
        let (user, before) = user.ok_or_else(|| AccountError::NoUser(name.clone()))?;
        let user = StoredUser { groups: fit(groups)?, ..user };
        let user = change_to(AccountKind::User, name.as_str(), &user, Expect::Exactly(before))?;
        self.change_for_all(vec![user]).await?;
        Ok(AccountAnswer::Done)
    }

    /// Has the passwords of users count no more whose names now stand in a file that is asked before the store. Who leaves the
    /// file later does not come back by an older password: the operator gives a new one, or removes the user. Answers whose.
    ///
    /// # Errors
    /// When the store fails. Some may be done then; it can be tried again.
    pub async fn supersede(&self, names: &[UserName]) -> Result<Vec<UserName>, AccountError> {
        let _alone = self.commands.lock().await;
        let mut superseded = Vec::new();
        for name in names {
            let user = self.read_with_content::<StoredUser>(AccountKind::User, name.as_str()).await?;
            let Some((user, before)) = user.filter(|(user, _)| !user.is_superseded) else { continue };
            let user = StoredUser { is_superseded: true, ..user };
            let user = change_to(AccountKind::User, name.as_str(), &user, Expect::Exactly(before))?;
            self.change_for_all(vec![user]).await?;
            self.version.fetch_add(1, Ordering::Release);
            let about = format!(
                "the password of the user {name} in the store counts no more: auth.htpasswd has the name"
            );
            self.journal.note(AuthEventKind::Account, None, None, about);
            superseded.push(name.clone());
        }
        Ok(superseded)
    }

    pub(super) async fn remove_user(&self, name: &UserName) -> Result<AccountAnswer, AccountError> {
        if self.store.account(AccountKind::User, name.as_str()).await?.is_none() {
            return Err(AccountError::NoUser(name.clone()));
        }
        let mut changes = vec![AccountChange::removed(AccountKind::User, name.to_string())];
        let theirs = |token: &StoredToken| token.is_personal && token.name == *name;
        let tokens = self.keys_where(AccountKind::AccessToken, theirs).await?;
        changes.extend(tokens.into_iter().map(|id| AccountChange::removed(AccountKind::AccessToken, id)));
        changes.push(AccountChange::removed(AccountKind::LoginsEnded, name.to_string()));
        let logins = self.all_logins_of(name).await?;
        changes.extend(logins.removed());
        self.change_for_all(changes).await?;
        logins.forget();
        Ok(AccountAnswer::Done)
    }

    /// The users of the store in bytewise order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users(&self, page: PageRequest<String>) -> Result<Page<UserShown, String>, AccountError> {
        let Page { items, next } = self.store.accounts(AccountKind::User, page).await?;
        let mut users = Vec::with_capacity(items.len());
        for account in items {
            let user: Result<StoredUser, _> = serde_json::from_slice(&account.content);
            let user = user.map_err(|_| AccountError::Damaged(account.key.clone()))?;
            users.extend(user.shown(&account.key));
        }
        Ok(Page { items: users, next })
    }

    /// Those of these groups in which no user of the store is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn groups_without_users(&self, groups: &[String]) -> Result<Vec<String>, AccountError> {
        let mut without = groups.to_vec();
        if without.is_empty() {
            return Ok(without);
        }
        let look = |_, user: StoredUser| {
            without.retain(|group| !user.groups.contains(group));
            if without.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.look_through(AccountKind::User, None, look).await?;
        Ok(without)
    }

    /// The groups of all users of the store, with who is in them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn groups(&self) -> Result<BTreeMap<String, Vec<UserName>>, AccountError> {
        let mut all: BTreeMap<String, Vec<UserName>> = BTreeMap::new();
        let look = |name: String, user: StoredUser| {
            if let Ok(name) = UserName::parse(&name) {
                for group in user.groups {
                    all.entry(group).or_default().push(name.clone());
                }
            }
            ControlFlow::Continue(())
        };
        self.look_through(AccountKind::User, None, look).await?;
        Ok(all)
    }

    /// A user of the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user(&self, name: &UserName) -> Result<Option<UserShown>, AccountError> {
        let user = self.read::<StoredUser>(AccountKind::User, name.as_str()).await?;
        Ok(user.and_then(|user| user.shown(name.as_str())))
    }
}

/// Groups as they are kept: each once, by names that forms and lists can hold.
fn fit(groups: Vec<String>) -> Result<Vec<String>, AccountError> {
    let is_fit = |character: char| character != ',' && !character.is_whitespace() && !character.is_control();
    let mut kept: Vec<String> = Vec::with_capacity(groups.len());
    for group in groups {
        if group.is_empty() || group.len() > UserName::MAXIMUM_BYTES || !group.chars().all(is_fit) {
            return Err(AccountError::Invalid(
                "a group has 1 to 255 characters, none of them a comma, a space or a control character"
                    .to_owned(),
            ));
        }
        if !kept.contains(&group) {
            kept.push(group);
        }
    }
    Ok(kept)
}
