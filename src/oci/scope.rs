//! What may be done to what: the scopes that clients ask for, and the access that is granted.
//!
//! Grammar: Docker's "Token Scope Documentation": `type ["(" class ")"] ":" name ":" action *("," action)`.

use std::fmt;

use super::RepositoryName;

/// The most scopes that are read of one request: a client asks for two or three.
pub const MAXIMUM_SCOPES: usize = 64;

/// Something that may be done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read its manifests and blobs.
    Pull,
    /// Write them.
    Push,
    /// Delete them.
    Delete,
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// As it stands in scopes, tokens and rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every one.
    pub const ALL: Self = Self(0b111);

    /// Just these.
    pub fn of(actions: &[Action]) -> Self {
        actions.iter().fold(Self::NONE, |set, action| set.with(*action))
    }

    /// And this one.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u8)
    }

    /// Those in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it has all of the other's.
    pub const fn has_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In their usual order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.has_all(Self::NONE.with(*action)))
    }
}

impl fmt::Display for Actions {
    /// With commas, as in a scope.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, action) in self.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(formatter, "{comma}{}", action.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{self}]")
    }
}

/// Access that is asked for or granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Actions on a repository.
    Repository {
        /// Which one.
        name: RepositoryName,
        /// Which actions.
        actions: Actions,
    },
    /// The list of all repositories.
    Catalog,
    /// The list of those repositories that the caller may pull: a scope of the door's own.
    VisibleCatalog,
    /// Administration of the door: a scope of the door's own, which no registry knows.
    Admin,
}

impl Access {
    /// Actions on a repository.
    pub const fn to(name: RepositoryName, actions: Actions) -> Self {
        Self::Repository { name, actions }
    }

    /// Reading a repository.
    pub fn to_pull(name: RepositoryName) -> Self {
        Self::to(name, Actions::of(&[Action::Pull]))
    }

    /// Reads the scopes of a request: each text has one or several, separated by spaces. Those that are malformed, or about
    /// something that a registry does not have, are left out, as the token specification wants. Several about one
    /// repository become one.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let scopes = texts.into_iter().flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty());
        for access in scopes.take(MAXIMUM_SCOPES).filter_map(Self::parse) {
            let same = all.iter_mut().find_map(|known| match (known, &access) {
                (Self::Repository { name, actions }, Self::Repository { name: other, actions: more })
                    if name == other =>
                {
                    *actions = actions.or(*more);
                    Some(())
                }
                (known, more) if known.covers(more) => Some(()),
                _ => None,
            });
            if same.is_none() {
                all.push(access);
            }
        }
        all
    }

    /// Reads one scope. An action that is not known is left out; `*` asks for all.
    pub fn parse(scope: &str) -> Option<Self> {
        let (kind, rest) = scope.split_once(':')?;
        // A name may have a colon of its own, that of a port; the actions have none.
        let (name, actions) = rest.rsplit_once(':')?;
        // The class, as in `repository(plugin)`, makes no difference to a registry.
        let kind = match kind.split_once('(') {
            Some((kind, class)) if class.ends_with(')') => kind,
            Some(_) => return None,
            None => kind,
        };
        match kind {
            "repository" => {
                let mut wanted = Actions::NONE;
                for action in actions.split(',') {
                    wanted = match action {
                        "*" => Actions::ALL,
                        "pull" => wanted.with(Action::Pull),
                        "push" => wanted.with(Action::Push),
                        "delete" => wanted.with(Action::Delete),
                        _ => wanted,
                    };
                }
                Some(Self::Repository { name: RepositoryName::parse(name).ok()?, actions: wanted })
            }
            "registry" if name == "catalog" && actions.split(',').any(|action| action == "*") => {
                Some(Self::Catalog)
            }
            "registry" if name == "catalog" && actions.split(',').any(|action| action == "pull") => {
                Some(Self::VisibleCatalog)
            }
            "registry" if name == "admin" && actions.split(',').any(|action| action == "*") => {
                Some(Self::Admin)
            }
            _ => None,
        }
    }

    /// Whether this is all that the other is.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Catalog, Self::Catalog | Self::VisibleCatalog)
            | (Self::VisibleCatalog, Self::VisibleCatalog)
            | (Self::Admin, Self::Admin) => true,
            (Self::Repository { name, actions }, Self::Repository { name: other, actions: wanted }) => {
                name == other && actions.has_all(*wanted)
            }
            (Self::Catalog | Self::VisibleCatalog | Self::Admin | Self::Repository { .. }, _) => false,
        }
    }
}

impl fmt::Display for Access {
    /// As a scope.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, actions } => write!(formatter, "repository:{name}:{actions}"),
            Self::Catalog => formatter.write_str("registry:catalog:*"),
            Self::VisibleCatalog => formatter.write_str("registry:catalog:pull"),
            Self::Admin => formatter.write_str("registry:admin:*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(texts: &[&str]) -> Vec<String> {
        Access::parse_all(texts.iter().copied()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn k4_scopes_are_split_on_spaces_and_those_of_one_repository_are_merged() {
        assert_eq!(
            shown(&["repository:a/b:pull repository:c:push", "repository:a/b:push", "registry:catalog:*"]),
            ["repository:a/b:pull,push", "repository:c:push", "registry:catalog:*"]
        );
    }

    #[test]
    fn k4_a_star_asks_for_everything_and_a_class_makes_no_difference() {
        assert_eq!(shown(&["repository:a:*"]), ["repository:a:pull,push,delete"]);
        assert_eq!(shown(&["repository(plugin):a:pull"]), ["repository:a:pull"]);
        assert_eq!(shown(&["repository:a:pull,conquer"]), ["repository:a:pull"]);
    }

    #[test]
    fn k4_a_name_with_host_and_port_is_read_whole_and_is_none_of_a_repository() {
        assert!(shown(&["repository:registry.example:5000/a:pull"]).is_empty());
    }

    #[test]
    fn k5_a_malformed_scope_is_left_out() {
        for scope in [
            "",
            "repository",
            "repository:",
            "repository:a",
            ":a:pull",
            "repository:A:pull",
            "repository(:a:pull",
            "registry:catalog:push",
            "registry:admin:pull",
            "registry:admin:",
            "registry:other:*",
            "volume:a:pull",
            "repository:a/../b:pull",
            "pull",
        ] {
            assert!(shown(&[scope, "repository:z:pull"]) == ["repository:z:pull"], "{scope}");
        }
    }

    #[test]
    fn only_so_many_scopes_are_read() {
        let scopes: Vec<String> = (0..1_000).map(|number| format!("repository:r{number}:pull")).collect();
        assert_eq!(Access::parse_all([scopes.join(" ").as_str()]).len(), MAXIMUM_SCOPES);
    }

    #[test]
    fn access_covers_what_has_no_more_than_it() {
        let parse = |scope| Access::parse(scope).unwrap();
        assert!(parse("repository:a:pull,push").covers(&parse("repository:a:pull")));
        assert!(!parse("repository:a:pull").covers(&parse("repository:a:pull,push")));
        assert!(!parse("repository:a:*").covers(&parse("repository:b:pull")));
        assert!(!parse("repository:a:*").covers(&Access::Catalog));
        assert!(Access::Catalog.covers(&Access::Catalog) && Access::Admin.covers(&Access::Admin));
        assert!(!Access::Catalog.covers(&Access::Admin) && !Access::Admin.covers(&Access::Catalog));
        assert!(Access::Catalog.covers(&Access::VisibleCatalog));
        assert!(!Access::VisibleCatalog.covers(&Access::Catalog));
        assert!(!parse("repository:a:*").covers(&Access::VisibleCatalog));
        assert!(!parse("repository:a:*").covers(&Access::Admin));
        assert!(!Access::Admin.covers(&parse("repository:a:pull")));
    }

    proptest! {
        #[test]
        fn a_scope_that_was_read_reads_the_same_when_written(scope in "(repository|registry|x)(\\(a\\))?:[a-z/:0-9.A-Z-]{0,12}:[a-z*,]{0,16}|\\PC{0,30}") {
            let access = Access::parse(&scope);
            if !matches!(access, None | Some(Access::Repository { actions: Actions::NONE, .. })) {
                prop_assert_eq!(access.as_ref().and_then(|access| Access::parse(&access.to_string())), access);
            }
        }
    }
}
