//! Reading what namespaces hold from the record, in parts, with turns for others between them.

use std::collections::BTreeMap;
use std::mem;

use super::distinct::{DigestKey, Distinct};
use super::name::namespace_of;
use super::sums::NamespaceSums;
use crate::oci::RepositoryName;
use crate::search::{SearchError, Sees};
use crate::store::{Page, PageRequest, Store, StoreError};

/// How many repositories are looked at before others have their turn.
const REPOSITORIES: usize = 100;
/// How many digests are read at once.
const DIGESTS: usize = 1_000;

/// The sums of all namespaces that the asker sees, in bytewise order. Of the digests in one, `most` are in memory at once.
pub(super) async fn read(
    store: &dyn Store,
    mut sees: Sees,
    memory: usize,
    most: usize,
) -> Result<Vec<NamespaceSums>, SearchError> {
    let mut namespaces: BTreeMap<Box<str>, NamespaceSums> = BTreeMap::new();
    let (mut taken, mut after) = (0, None);
    loop {
        let page = PageRequest { after, limit: REPOSITORIES };
        let Page { items, next } = store.repositories(None, page).await?;
        for record in items.iter().filter(|record| sees(&record.name)) {
            let namespace = namespace_of(record.name.as_str());
            if let Some(sums) = namespaces.get_mut(namespace) {
                sums.add(record);
                continue;
            }
            let mut sums = NamespaceSums::new(namespace);
            sums.add(record);
            taken += size_of::<Box<str>>() + namespace.len() + sums.memory();
            if taken > memory {
                return Err(SearchError::TooManyNamespaces { memory });
            }
            namespaces.insert(namespace.into(), sums);
        }
        let Some(next) = next else { break };
        after = Some(next);
        tokio::task::yield_now().await;
    }
    let mut all: Vec<_> = namespaces.into_values().collect();
    let mut reader = Reader { store, sees, distinct: Distinct::new(most) };
    for sums in &mut all {
        sums.bytes = reader.bytes(&sums.namespace).await?;
    }
    Ok(all)
}

/// Counts bytes.
struct Reader<'a> {
    store: &'a dyn Store,
    sees: Sees,
    distinct: Distinct,
}

impl Reader<'_> {
    /// The bytes of what the repositories of a namespace hold, each digest counted once.
    async fn bytes(&mut self, namespace: &str) -> Result<u64, SearchError> {
        let (mut bytes, mut counted) = (0_u64, None);
        loop {
            let mut names = Names::of(namespace);
            while let Some(part) = names.next(self.store).await? {
                for repository in part {
                    if (self.sees)(&repository) {
                        self.collect(&repository, counted).await?;
                    }
                }
                tokio::task::yield_now().await;
            }
            let sum;
            (sum, counted) = self.blocking(Distinct::take_sum).await?;
            bytes = bytes.saturating_add(sum);
            if counted.is_none() {
                return Ok(bytes);
            }
        }
    }

    /// Adds what a repository holds behind what is counted.
    async fn collect(
        &mut self,
        repository: &RepositoryName,
        counted: Option<DigestKey>,
    ) -> Result<(), SearchError> {
        let mut after = counted.map(DigestKey::text);
        loop {
            let page = PageRequest { after, limit: DIGESTS };
            let Page { items, next } = self.store.sizes(repository, page).await?;
            for sized in items {
                let digest = DigestKey::of(&sized.digest);
                if counted.is_some_and(|counted| digest <= counted) {
                    continue;
                }
                if !self.distinct.reaches(digest) {
                    return Ok(());
                }
                if self.distinct.add(digest, sized.size) {
                    self.blocking(Distinct::cut).await?;
                }
            }
            let Some(next) = next else { return Ok(()) };
            after = Some(next.to_string());
        }
    }

    /// Does it on a thread that may be busy for a while.
    async fn blocking<T: Send + 'static>(&mut self, work: fn(&mut Distinct) -> T) -> Result<T, SearchError> {
        let most = self.distinct.most();
        let mut distinct = mem::replace(&mut self.distinct, Distinct::new(most));
        let working = tokio::task::spawn_blocking(move || (work(&mut distinct), distinct));
        let (answer, distinct) = working.await.map_err(|_| SearchError::Interrupted)?;
        self.distinct = distinct;
        Ok(answer)
    }
}

/// The names of the repositories of a namespace, part by part.
struct Names<'a> {
    namespace: &'a str,
    place: NextPart,
}

/// Where the next part of the names begins.
enum NextPart {
    /// Behind this text.
    Behind(Option<String>),
    /// There is none.
    None,
}

impl<'a> Names<'a> {
    /// Those of this namespace: they follow one another, but for those of one part, which have others between them.
    fn of(namespace: &'a str) -> Self {
        let beginning = (!namespace.is_empty()).then(|| format!("{namespace}/"));
        Self { namespace, place: NextPart::Behind(beginning) }
    }

    /// The next part, which may be empty; none behind the last one.
    async fn next(&mut self, store: &dyn Store) -> Result<Option<Vec<RepositoryName>>, StoreError> {
        let NextPart::Behind(after) = mem::replace(&mut self.place, NextPart::None) else { return Ok(None) };
        let page = PageRequest { after, limit: REPOSITORIES };
        let Page { mut items, next } = store.repository_names(page).await?;
        if let Some(next) = next {
            match namespace_of(next.as_str()) {
                namespace if namespace == self.namespace => {
                    self.place = NextPart::Behind(Some(next.to_string()));
                }
                // No name has a tilde, which is behind all that names have.
                other if self.namespace.is_empty() => {
                    self.place = NextPart::Behind(Some(format!("{other}/~")));
                }
                _ => {}
            }
        }
        items.retain(|name| namespace_of(name.as_str()) == self.namespace);
        Ok(Some(items))
    }
}
