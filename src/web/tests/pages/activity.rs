//! The page of what happened.

use super::*;
use crate::store::{Actor, Outcome};

const DAY: Duration = Duration::from_hours(24);

/// Somebody pushes at this time.
async fn push_by(store: &MemoryStore, actor: Actor, tag: &str, content: &'static str, at: Timestamp) {
    let manifest = manifest(content);
    let tags = vec![Tag::parse(tag).unwrap()];
    let write = Write::Put { digest: manifest.digest.clone(), tags: tags.clone() };
    let intent = store.begin(app(), write, actor, at).await.unwrap();
    let put = Change::ManifestPut { repository: app(), manifest: Arc::new(manifest), tags };
    store.settle(&intent, Outcome::Applied(vec![put]), at).await.unwrap();
}

fn by(user: &str, agent: &str) -> Actor {
    Actor { user: Some(user.to_owned()), address: client().address, agent: Some(agent.to_owned()) }
}

/// The page without tags, its spaces made one.
fn text(html: &str) -> String {
    let main = html.split("<main").nth(1).unwrap().replace("</t", " </t");
    let mut text = String::new();
    for piece in main.split('<') {
        text.push_str(piece.split_once('>').map_or("", |(_, rest)| rest));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn look_as(store: &Arc<MemoryStore>, house: &gate::House, who: Who, page: &str) -> Answer {
    let mut request = Request::get(page).body(Body::empty()).unwrap();
    request.extensions_mut().insert(viewer(&house.gate, who));
    let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(store, ServiceState::Ready) };
    send(state, request).await
}

#[tokio::test]
async fn what_happened_is_told_in_words_with_who_did_it_and_how_it_was_learnt() {
    let store = Arc::new(MemoryStore::default());
    let now = Timestamp::now();
    push_by(&store, by("alice", "docker/27"), "latest", "one", now).await;
    push_by(&store, by("ben", "buildkit"), "latest", "two", now).await;
    delete(&store, &app(), "latest").await;
    let found = Change::ManifestPut {
        repository: name("team/found"),
        manifest: Arc::new(manifest("one")),
        tags: vec![Tag::parse("v1").unwrap()],
    };
    find(&store, found).await;
    find(&store, Change::TagDeleted { repository: name("team/found"), tag: Tag::parse("v1").unwrap() }).await;
    let shown = look(&store, "/ui/activity").await;
    let (one, two) = (digest("one").to_string(), digest("two").to_string());
    let words = text(&shown.body);
    for part in [
        "alice pushed team/app:latest",
        "ben re-tagged team/app:latest",
        &format!("now {} was {}", &two[7..19], &one[7..19]),
        "alice deleted team/app:latest",
        &format!("was {} observed from 192.0.2.1 docker", &two[7..19]),
        "team/found:v1 was found",
        "team/found:v1 was found to be gone",
        "swept",
        "from 192.0.2.1 docker/27",
        "Today",
        "1 January 1970",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
    let at = |part: &str| words.find(part).unwrap();
    assert!(
        at("was found to be gone") < at("ben re-tagged") && at("ben re-tagged") < at("alice pushed"),
        "{words}"
    );
    markup::assert_is_safe("activity", &shown.body);
}

#[tokio::test]
async fn only_those_who_may_know_it_are_told_who_did_something() {
    let store = shown().await;
    let house = gate::house_with(&store, gate::public_rules());
    let nobody = look_as(&store, &house, Who::Nobody, "/ui/activity").await;
    assert_eq!(nobody.status, OK);
    let words = text(&nobody.body);
    assert!(words.contains("team/app:latest was pushed"), "{words}");
    assert!(!nobody.body.contains("alice") && !nobody.body.contains("192.0.2.1"), "{words}");
    assert!(!nobody.body.contains("name=\"user\"") && !nobody.body.contains("private/thing"), "{words}");
    assert!(!nobody.body.contains("data-stream"), "the stream would be refused");
    let asked = look_as(&store, &house, Who::Nobody, "/ui/activity?user=alice").await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED, "to ask for it is to know it");

    let house = gate::house(&store);
    let user = look_as(&store, &house, Who::User, "/ui/activity").await;
    assert!(text(&user.body).contains("alice pushed team/app:latest"));
    assert!(user.body.contains("name=\"user\"") && !user.body.contains("private/thing"));
    assert!(!user.body.contains("<svg role=\"img\""), "statistics are for administrators");
    let page = "/ui/activity?repository=private%2Fthing";
    assert_eq!(look_as(&store, &house, Who::User, page).await.status, StatusCode::FORBIDDEN);
    let administrator = look_as(&store, &house, Who::Administrator, "/ui/activity").await;
    assert!(text(&administrator.body).contains("alice pushed private/thing:v1"));
    assert!(administrator.body.contains("<svg role=\"img\""));
}

#[tokio::test]
async fn events_are_filtered_and_older_ones_are_on_the_next_page() {
    let store = Arc::new(MemoryStore::default());
    let now = Timestamp::now();
    for number in 0..40 {
        let who = if number == 7 { "ben" } else { "alice" };
        push_by(&store, by(who, "docker"), &format!("t{number}"), "image", now).await;
    }
    push_by(&store, by("alice", "docker"), "long-ago", "image", time()).await;
    let first = look(&store, "/ui/activity?repository=&tag=").await.body;
    assert!(first.contains(">t39<") && !first.contains(">t5<"));
    let older = markup::attribute(&first, "rel=\"next\"", "href").unwrap();
    let second = look(&store, &older).await.body;
    assert!(second.contains(">t5<") && !second.contains(">t39<") && second.contains(">Newest<"));
    let stream = markup::attribute(&first, "id=\"live\"", "data-stream").unwrap();
    assert!(stream.starts_with("/api/v1/events/stream?after=") && stream.contains("&epoch="), "{stream}");
    assert_eq!(markup::attribute(&second, "id=\"live\"", "data-stream"), None, "the past does not change");

    let count = async |query: &str| {
        look(&store, &format!("/ui/activity?{query}")).await.body.matches("<li class=\"event\"").count()
    };
    assert_eq!(count("user=ben").await, 1);
    assert_eq!(count("tag=t7").await, 1);
    assert_eq!(count("kind=tag_deleted").await, 0);
    assert_eq!(count("repository=team%2Fapp&tag=t7&user=ben&kind=manifest_put").await, 1);
    assert_eq!(count("day=1970-01-01").await, 1);
    let filtered = look(&store, "/ui/activity?user=ben&tag=t7").await.body;
    let stream = markup::attribute(&filtered, "id=\"live\"", "data-stream").unwrap();
    assert!(stream.contains("?tag=t7&user=ben&after="), "the stream has the same filters: {stream}");
    for (query, words) in [
        ("day=yesterday", "`day` is wrong"),
        ("kind=auth", "`kind` is wrong"),
        ("repository=A", "`repository` is wrong"),
    ] {
        let refused = look(&store, &format!("/ui/activity?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(refused.body.contains(words), "{query}: {}", refused.body);
    }
}

#[tokio::test]
async fn pushes_and_pulls_of_each_day_are_bars_and_a_table() {
    let store = Arc::new(MemoryStore::default());
    let now = Timestamp::now();
    let yesterday = Timestamp::from_milliseconds(now.as_milliseconds() - DAY.as_millis() as u64);
    push_by(&store, by("alice", "docker"), "a", "image", yesterday).await;
    push_by(&store, by("alice", "docker"), "b", "image", now).await;
    push_by(&store, by("alice", "docker"), "c", "image", now).await;
    let body = look(&store, "/ui/activity").await.body;
    let words = text(&body);
    assert!(words.contains("Pushes 3 in 30 days") && words.contains("Pulls 0 in 30 days"), "{words}");
    assert!(words.contains("3 in 30 days; the most on a day are 2, on "), "{words}");
    assert!(words.contains("None in 30 days"), "{words}");
    assert!(words.contains("Today 2 0 0") && words.contains("Yesterday 1 0 0"), "{words}");
}

#[tokio::test]
async fn pushes_and_pulls_of_a_day_are_bars_by_the_hour_and_a_table() {
    let store = Arc::new(MemoryStore::default());
    let at = |text: &str| Timestamp::parse(text).unwrap();
    for (tag, time) in
        [("a", "2026-03-01T09:00:00Z"), ("b", "2026-03-01T09:59:59Z"), ("c", "2026-03-02T00:00:00Z")]
    {
        push_by(&store, by("alice", "docker"), tag, "image", at(time)).await;
    }
    let last_pull = Some(at("2026-03-01T23:30:00Z"));
    let pull = crate::store::Pull { repository: app(), tag: None, count: 5, last_pull, last_seen: time() };
    crate::store::Pulls::record_pulls(&*store, vec![pull]).await.unwrap();
    let body = look(&store, "/ui/activity?day=2026-03-01").await.body;
    let words = text(&body);
    assert!(
        words.contains("Pushes 2 on 1 March 2026") && words.contains("Pulls 5 on 1 March 2026"),
        "{words}"
    );
    assert!(words.contains("2 on 1 March 2026; the most in an hour are 2, from 09:00 on"), "{words}");
    assert!(words.contains("5 on 1 March 2026; the most in an hour are 5, from 23:00 on"), "{words}");
    assert!(words.contains("08:00 0 0 09:00 2 0 10:00 0 0") && words.contains("23:00 0 5"), "{words}");
    assert!(!words.contains("in 30 days") && !body.contains("data-stream"), "one day that is over: {words}");
    let words = text(&look(&store, "/ui/activity?day=2026-03-03").await.body);
    assert!(words.contains("None on 3 March 2026"), "{words}");
    // What they count is said where the list has less.
    assert!(!words.contains("These count all"), "{words}");
    let words = text(&look(&store, "/ui/activity?day=2026-03-01&tag=a").await.body);
    assert!(words.contains("Pushes 2 on 1 March 2026") && words.contains("These count all"), "{words}");
    // The day that is not over goes on.
    push_by(&store, by("alice", "docker"), "d", "image", Timestamp::now()).await;
    let today = &Timestamp::now().to_string()[..10];
    let body = look(&store, &format!("/ui/activity?day={today}")).await.body;
    assert!(text(&body).contains("Pushes 1 today") && body.contains("data-stream"), "{body}");
    assert!(text(&look(&store, "/ui/activity").await.body).contains("Pushes 1 today"));
}

#[tokio::test]
async fn the_numbers_of_days_are_read_without_looking_at_all_blobs() {
    let state = web(&shown().await, ServiceState::Ready);
    let request = Request::get("/ui/activity").body(Body::empty()).unwrap();
    assert!(send(state.clone(), request).await.body.contains("Day by day"));
    assert!(!state.largest_blobs.are_kept().await);
}

#[tokio::test]
async fn digests_lead_to_their_manifests() {
    let store = shown().await;
    let (of, page) = (digest("image"), "/ui/manifest?repository=team%2Fapp&#38;digest=sha256%3A");
    for shown in ["/ui/", "/ui/activity"] {
        let body = look(&store, shown).await.body;
        assert!(body.contains(&format!("<a href=\"{page}{}\"><code", of.encoded())), "{shown}: {body}");
    }
}

#[tokio::test]
async fn an_empty_history_says_so() {
    let body = look(&Arc::new(MemoryStore::default()), "/ui/activity").await.body;
    assert!(body.contains("Nothing happened yet"), "{body}");
    let body = look(&shown().await, "/ui/activity?user=nobody-has-this-name").await.body;
    assert!(body.contains("Nothing fits") && body.contains("All events"), "{body}");
}

#[tokio::test]
async fn what_users_and_clients_call_themselves_is_text() {
    let store = Arc::new(MemoryStore::default());
    for hostile in [
        "<script>alert(1)</script>",
        "\" onfocus=\"alert(1)\" autofocus=\"",
        "'onload='x",
        "javascript:alert(1)",
        "--><img src=x onerror=alert(1)>",
    ] {
        push_by(&store, by(hostile, hostile), "latest", "image", Timestamp::now()).await;
        push_by(&store, by(hostile, hostile), "latest", "other", Timestamp::now()).await;
        let query: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
        let pages = [
            "/ui/activity".to_owned(),
            format!("/ui/activity?user={query}"),
            format!("/ui/activity?tag={query}"),
        ];
        for page in pages {
            markup::assert_is_safe(&page, &look(&store, &page).await.body);
        }
    }
}
