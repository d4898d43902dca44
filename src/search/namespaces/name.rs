//! The names of namespaces.

/// The namespace of a repository.
pub(in crate::search) fn namespace_of(name: &str) -> &str {
    name.split_once('/').map_or("", |(namespace, _)| namespace)
}
