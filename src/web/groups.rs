//! `GET /api/v1/groups`: each group that a rule, the configuration or a user of the store names, with its members and the rules
//! that name it. For administrators.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::{Accounts, Gate, UserName, Who};
use crate::store::PageRequest;

/// How many members are told of each group.
const MEMBERS: usize = 100;

/// A group.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct GroupItem {
    pub(super) name: String,
    /// The first hundred in bytewise order, those of the store and those of the configuration together.
    pub(super) members: Vec<UserName>,
    /// How many there are.
    pub(super) member_count: usize,
    /// The numbers of the rules that name it, counted from one. Of one that no rule names its members may do nothing more.
    pub(super) rules: Vec<usize>,
}

/// Lists the groups, with their members and the rules that name them.
#[utoipa::path(
    get, path = "/api/v1/groups", tag = "accounts", params(Paging),
    responses((status = 200, description = "Groups in bytewise order.", body = List<GroupItem>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<GroupItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["n", "after"])?;
    listed(caller.gate()?, &state.accounts, parameters.page()?).await.map(Json)
}

/// A part of the groups, as the API and the pages show them.
pub(super) async fn listed(
    gate: &Gate,
    accounts: &Accounts,
    PageRequest { after, limit }: PageRequest<String>,
) -> Result<List<GroupItem>, ApiError> {
    let in_store = accounts.groups().await?;
    let policy = gate.policy();
    let mut rules: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, rule) in (1..).zip(policy.rules.all()) {
        for who in &rule.who {
            if let Who::Group(group) = who {
                rules.entry(group).or_default().push(number);
            }
        }
    }
    let mut configured: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (user, groups) in &policy.groups {
        for group in groups {
            configured.entry(group).or_default().insert(user);
        }
    }
    let names: BTreeSet<&str> = rules
        .keys()
        .chain(configured.keys())
        .copied()
        .chain(in_store.keys().map(String::as_str))
        .filter(|name| after.as_deref().is_none_or(|after| *name > after))
        .collect();
    let goes_on = names.len() > limit;
    let item = |name: &str| {
        let named = configured.get(name).into_iter().flatten().filter_map(|user| UserName::parse(user).ok());
        let mut members: BTreeSet<UserName> = named.collect();
        members.extend(in_store.get(name).into_iter().flatten().cloned());
        let mut rules = rules.get(name).cloned().unwrap_or_default();
        rules.dedup();
        GroupItem {
            name: name.to_owned(),
            member_count: members.len(),
            members: members.into_iter().take(MEMBERS).collect(),
            rules,
        }
    };
    let items: Vec<GroupItem> = names.into_iter().take(limit).map(item).collect();
    let next = items.last().filter(|_| goes_on).map(|item| item.name.clone());
    Ok(List { items, next })
}
