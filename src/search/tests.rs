//! Tests over a store in memory.

mod naive;
mod samples;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use self::naive::{Naive, shown};
use self::samples::{Step, any_step, digest, name, pull, push, remove, take};
use super::*;
use crate::store::MemoryStore;

fn sees_all() -> Sees {
    Box::new(|_| true)
}

fn first<K>(limit: usize) -> PageRequest<K> {
    PageRequest { after: None, limit }
}

fn over(store: &Arc<MemoryStore>) -> Search {
    Search::new(Arc::clone(store) as _, MEMORY)
}

async fn found(search: &Search, query: &str) -> Vec<String> {
    let page = search.find(query.parse().unwrap(), first(100), sees_all()).await.unwrap();
    page.items.iter().map(shown).collect()
}

fn question(sort: TagSort, filter: TagFilter) -> TagQuestion {
    TagQuestion { sort, order: sort.usual_order(), filter }
}

/// Reads all parts of an answer, of at most so many items each.
macro_rules! all_parts {
    ($limit:expr, |$page:ident| $ask:expr) => {{
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let $page = PageRequest { after, limit: $limit };
            let page = $ask.await.unwrap();
            assert!(page.items.len() <= $limit);
            items.extend(page.items);
            match page.next {
                // As it comes back from the asker.
                Some(next) => after = Some(next.to_string().parse().unwrap()),
                None => break items,
            }
        }
    }};
}

/// Asks everything, and compares it with what a naive search over the record says.
async fn compare(search: &Search, store: &MemoryStore, visible: &BTreeSet<&'static str>, limit: usize) {
    let sees = || -> Sees {
        let visible = visible.clone();
        Box::new(move |name| visible.contains(name.as_str()))
    };
    let naive = Naive::read(store, visible).await;
    for query in naive.queries() {
        let parsed: Query = query.parse().unwrap();
        let items = all_parts!(limit, |page| search.find(parsed.clone(), page, sees()));
        let items: Vec<_> = items.iter().map(shown).collect();
        assert_eq!(items, naive.find(&query), "{query}");
    }
    search.standing.follow_pulls().await.unwrap();
    for question in naive.questions() {
        let items = all_parts!(limit, |page| search.tags(question.clone(), page, sees()));
        assert_eq!(items, naive.tags(&question), "{question:?}");
    }
    for question in Naive::repository_questions() {
        let items = all_parts!(limit, |page| search.repositories(question.clone(), page, sees()));
        assert_eq!(items, naive.repositories(&question), "{question:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn after_any_changes_it_answers_as_a_search_over_the_record_would(
        steps in prop::collection::vec(any_step(), 1..60),
        visible in prop::collection::btree_set(prop::sample::select(samples::REPOSITORIES.to_vec()), 0..5),
        limit in 1..4_usize,
        every in 1..30_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(MemoryStore::default());
            let search = over(&store);
            for (number, step) in steps.iter().enumerate() {
                take(&store, step, number as u64 + 1).await;
                if number % every == 0 {
                    compare(&search, &store, &visible, limit).await;
                }
            }
            compare(&search, &store, &visible, limit).await;
        });
    }
}

#[tokio::test]
async fn what_fits_best_comes_first_and_then_what_is_newest() {
    let store = Arc::new(MemoryStore::default());
    for (repository, tags, now) in [
        ("app", vec!["other"], 1),
        ("apple", vec!["1"], 2),
        ("team/app", vec!["my-app", "app"], 3),
        ("team/snapper", vec!["app"], 4),
        ("snappy", vec!["x"], 5),
    ] {
        push(&store, repository, &tags, now).await;
    }
    let expected = [
        "team/snapper:app",
        "team/app:app",
        "app",
        "apple",
        "team/app",
        "team/app:my-app",
        "snappy",
        "team/snapper",
    ];
    assert_eq!(found(&over(&store), "app").await, expected);
}

#[tokio::test]
async fn a_tag_is_found_behind_its_repository_and_by_its_digest() {
    let store = Arc::new(MemoryStore::default());
    for (repository, now) in [("team/app", 1), ("other/app", 2), ("team/apple", 3)] {
        push(&store, repository, &["v1", "v1.2", "w"], now).await;
    }
    let search = over(&store);
    let tagged = ["team/app:v1", "team/app:v1.2"];
    assert_eq!(found(&search, "team/app:v1").await, tagged);
    assert_eq!(found(&search, "app:v1.").await, ["other/app:v1.2", "team/app:v1.2"]);
    assert_eq!(found(&search, "m/app:").await, ["team/app:v1", "team/app:v1.2", "team/app:w"]);
    let whole = digest("team/app", 1);
    let all = ["team/app:v1", "team/app:v1.2", "team/app:w"];
    for query in [
        whole.to_string(),
        whole.as_str()[..20].to_owned(),
        whole.encoded()[..12].to_owned(),
        whole.encoded().to_owned(),
        format!("team/app@{whole}"),
        format!("app@{}", &whole.as_str()[..12]),
    ] {
        assert_eq!(found(&search, &query).await, all, "{query}");
    }
    assert!(found(&search, &format!("other/app@{whole}")).await.is_empty());
    for (query, error) in [
        ("", InvalidQuery::Empty),
        ("app@latest", InvalidQuery::Digest),
        (&"a".repeat(513), InvalidQuery::TooLong),
    ] {
        assert_eq!(query.parse::<Query>(), Err(error));
    }
}

#[tokio::test]
async fn what_is_there_all_along_is_told_once_whatever_comes_and_goes_between_the_parts() {
    let store = Arc::new(MemoryStore::default());
    let tags: Vec<String> = (10..50).map(|number| format!("v{number}")).collect();
    for (tag, now) in tags.iter().zip(1..) {
        push(&store, "app", &[tag], now).await;
    }
    let search = over(&store);
    for sort in [TagSort::Name, TagSort::PushedAt, TagSort::LastPull, TagSort::Size] {
        let (mut told, mut after, mut now) = (Vec::new(), None, 1_000);
        loop {
            let question = question(sort, TagFilter::default());
            let page = search.tags(question, PageRequest { after, limit: 3 }, sees_all()).await.unwrap();
            told.extend(page.items.into_iter().map(|(_, record)| record.tag.to_string()));
            let Some(next) = page.next else { break };
            // The tag at which the next part begins goes, and others come before and behind it.
            let last = told.last().cloned().unwrap();
            remove(&store, "app", &last, now).await;
            push(&store, "app", &["a", "x", &format!("{last}a")], now + 1).await;
            after = Some(next);
            now += 2;
        }
        let mut once: Vec<_> = told.iter().filter(|tag| tags.contains(tag)).collect();
        once.sort();
        assert!(once.iter().copied().eq(&tags), "{sort:?}: {told:?}");
        for (tag, now) in tags.iter().zip(1..) {
            push(&store, "app", &[tag], now).await;
        }
    }
}

#[tokio::test]
async fn a_pull_that_is_not_known_yet_keeps_a_tag_out_of_what_nobody_pulls() {
    let store = Arc::new(MemoryStore::default());
    push(&store, "app", &["old", "used"], 1).await;
    let search = over(&store);
    let filter = TagFilter { pulled_before: Some(samples::at(50)), ..TagFilter::default() };
    let unused = async |filter: TagFilter| {
        let page = search.tags(question(TagSort::Name, filter), first(10), sees_all()).await.unwrap();
        page.items.into_iter().map(|(_, record)| record.tag.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(unused(filter.clone()).await, ["old", "used"]);
    pull(&store, "app", Some("used"), 60).await;
    assert_eq!(unused(filter).await, ["old"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_pulled_most_is_found_out_beside_the_questions_and_not_by_them() {
    let store = Arc::new(MemoryStore::default());
    for repository in ["app", "base"] {
        push(&store, repository, &["v1"], 1).await;
    }
    let (search, stop) = (Arc::new(over(&store)), CancellationToken::new());
    let most_pulled = async || {
        let sort = RepositorySort::Pulls;
        let order = sort.usual_order();
        let question = RepositoryQuestion { sort, order, containing: None, namespace: None };
        let page = search.repositories(question, first(2), sees_all()).await.unwrap();
        page.items.into_iter().map(|record| record.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(most_pulled().await, ["app", "base"]);
    pull(&store, "base", Some("v1"), 60).await;
    // However long ago it was, a question does not look through all repositories.
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(most_pulled().await, ["app", "base"]);
    let running = tokio::spawn({
        let (search, stop) = (Arc::clone(&search), stop.clone());
        async move { search.keep(stop).await }
    });
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(most_pulled().await, ["base", "app"]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_question_does_not_wait_until_the_pulls_of_all_repositories_are_taken_up() {
    let store = Arc::new(MemoryStore::default());
    let many: Vec<String> = (0..2_500).map(|number| format!("v{number:04}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for repository in ["app", "base"] {
        push(&store, repository, &many, 1).await;
    }
    let search = over(&store);
    assert_eq!(found(&search, "app").await, ["app"]);
    for repository in ["app", "base"] {
        pull(&store, repository, Some("v0000"), 60).await;
    }
    let (mut renewal, mut turns) = (Box::pin(search.standing.follow_pulls()), 0);
    while futures_util::poll!(&mut renewal).is_pending() {
        turns += usize::from(search.standing.is_free());
    }
    assert!(turns >= 6, "one after each part of each repository, not {turns} in all");
}

#[tokio::test(start_paused = true)]
async fn the_memory_is_let_go_of_when_nobody_asks_for_ten_minutes() {
    let store = Arc::new(MemoryStore::default());
    push(&store, "app", &["v1"], 1).await;
    let (search, stop) = (Arc::new(over(&store)), CancellationToken::new());
    let running = tokio::spawn({
        let (search, stop) = (Arc::clone(&search), stop.clone());
        async move { search.keep(stop).await }
    });
    for _ in 0..3 {
        assert_eq!(found(&search, "app").await, ["app"]);
        tokio::time::sleep(Duration::from_secs(540)).await;
        assert!(search.standing.is_filled().await, "it was asked lately");
    }
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert!(!search.standing.is_filled().await);
    push(&store, "apple", &["v1"], 2).await;
    assert_eq!(found(&search, "app").await, ["app", "apple"]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_is_told_and_tried_again_later() {
    let store = Arc::new(MemoryStore::default());
    push(&store, "app", &["v1"], 1).await;
    let search = Search::new(Arc::clone(&store) as _, 6_000);
    assert_eq!(found(&search, "v").await, ["app:v1"]);
    let many: Vec<String> = (0..200).map(|number| format!("v{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    push(&store, "app", &many, 2).await;
    let refused = async || search.find("v".parse().unwrap(), first(1), sees_all()).await;
    assert!(matches!(refused().await, Err(SearchError::TooLarge { memory: 6_000 })));
    assert!(!search.standing.is_filled().await, "what is too large is not kept");
    for tag in &many[1..] {
        remove(&store, "app", tag, 3).await;
    }
    assert!(matches!(refused().await, Err(SearchError::TooLarge { .. })), "it is not read again at once");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(found(&search, "v").await, ["app:v0"]);
}

#[tokio::test]
async fn who_leaves_while_it_is_filled_has_not_asked_in_vain() {
    let store = Arc::new(MemoryStore::default());
    push(&store, "app", &["v1"], 1).await;
    let search = over(&store);
    {
        let mut asking = Box::pin(search.find("app".parse().unwrap(), first(1), sees_all()));
        assert!(futures_util::poll!(&mut asking).is_pending());
    }
    // The lock is held by what fills it.
    assert!(search.standing.is_filled().await);
}

#[tokio::test]
async fn much_that_has_changed_or_gone_has_all_built_anew() {
    let store = Arc::new(MemoryStore::default());
    let search = over(&store);
    let many: Vec<String> = (0..12_000).map(|number| format!("v{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    push(&store, "app", &many, 1).await;
    assert_eq!(found(&search, "v11999").await, ["app:v11999"]);
    take(&store, &Step::Gone { repository: "app" }, 2).await;
    push(&store, "app", &["v1"], 3).await;
    assert_eq!(found(&search, "v1").await, ["app:v1"]);
    assert!(search.standing.memory().await < 100_000, "{}", search.standing.memory().await);
}

#[tokio::test]
async fn a_tag_is_found_by_what_its_manifest_says_of_itself() {
    let store = Arc::new(MemoryStore::default());
    push(&store, "app", &["v1", "v2"], 1).await;
    let search = over(&store);
    assert_eq!(found(&search, "team=app 1").await, ["app:v1", "app:v2"]);
    // What is pushed, or moved, after that is known as well.
    push(&store, "app", &["v2"], 2).await;
    push(&store, "tool", &["v1"], 3).await;
    assert_eq!(found(&search, "team=app 1").await, ["app:v1"]);
    assert_eq!(found(&search, "team=").await, ["tool:v1", "app:v2", "app:v1"]);
    assert!(found(&search, "eam=").await.is_empty(), "a key is not found by its end");
    let with = async |annotation: &str| {
        let filter = TagFilter { annotation: Some(annotation.parse().unwrap()), ..TagFilter::default() };
        let page = search.tags(question(TagSort::Name, filter), first(10), sees_all()).await.unwrap();
        page.items.len()
    };
    assert_eq!((with("team=tool 3").await, with("team=tool").await, with("other=x").await), (1, 0, 3));
    for wrong in ["=x", "x", ""] {
        assert_eq!(wrong.parse::<Annotation>(), Err(InvalidAnnotation));
    }
}

#[tokio::test]
async fn a_part_of_large_items_ends_after_about_a_megabyte_and_the_next_one_goes_on() {
    let store = Arc::new(MemoryStore::default());
    samples::push_large(&store, "app", &["v1", "v2", "v3", "v4"], 700_000).await;
    let search = over(&store);
    let mut told = Vec::new();
    let mut after = None;
    for expected in [2, 2] {
        let page = PageRequest { after, limit: 100 };
        let page =
            search.tags(question(TagSort::Name, TagFilter::default()), page, sees_all()).await.unwrap();
        assert_eq!(page.items.len(), expected);
        told.extend(page.items.into_iter().map(|(_, record)| record.tag.to_string()));
        after = page.next;
    }
    assert!(after.is_none());
    assert_eq!(told, ["v1", "v2", "v3", "v4"]);
    let page = search.find("v".parse().unwrap(), first(100), sees_all()).await.unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (2, true));
}

#[tokio::test]
async fn what_an_image_says_is_known_as_soon_as_it_was_read() {
    let store = Arc::new(MemoryStore::default());
    samples::push_image(&store, "app", &["v1"]).await;
    let search = over(&store);
    let with = async |filter: TagFilter| {
        let page = search.tags(question(TagSort::Name, filter), first(10), sees_all()).await.unwrap();
        page.items.len()
    };
    let platform = TagFilter { platform: Some("linux/arm64".to_owned()), ..TagFilter::default() };
    let label = TagFilter { annotation: Some("team=blue".parse().unwrap()), ..TagFilter::default() };
    assert_eq!((with(platform.clone()).await, with(label.clone()).await), (0, 0));
    assert_eq!(found(&search, "own=x").await, ["app:v1"]);
    samples::read_image(&store, "app").await;
    assert_eq!((with(platform).await, with(label).await), (1, 1));
    assert_eq!(found(&search, "team=b").await, ["app:v1"]);
    assert_eq!(found(&search, "own=x").await, ["app:v1"]);
}
