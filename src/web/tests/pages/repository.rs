//! The pages of a repository, of its manifests, and of what deletes and brings back.

use axum::http::header;

use super::*;
use crate::oci::{BuildStep, ImageConfig};
use crate::store::{Images as _, Outcome, ReadImage};

const HOSTILE: &str = r#""><img src=x onerror=alert(1)></textarea><script>alert(1)</script>'"#;

/// A page of an open door whose pages may change something.
async fn look_and_change(store: &Arc<MemoryStore>, request: Request<Body>) -> Answer {
    let pages = Some(PageSettings { open_writes: true, ..PageSettings::default() });
    send(WebState { pages, ..web(store, ServiceState::Ready) }, request).await
}

fn read(page: &str) -> Request<Body> {
    Request::get(page).header("host", "door.example:5000").body(Body::empty()).unwrap()
}

fn sent(page: &str) -> Request<Body> {
    Request::post(page).header("host", "door.example:5000").body(Body::empty()).unwrap()
}

/// An image with layers of these names, each as long as its name.
fn image(text: &'static str, layers: &[&str]) -> Manifest {
    let mut image = manifest(text);
    image.document.config = Some(Descriptor {
        media_type: "application/vnd.oci.image.config.v1+json".into(),
        ..descriptor(text)
    });
    image.document.layers = layers.iter().map(|layer| descriptor(layer)).collect();
    image
}

#[tokio::test]
async fn tags_that_point_to_the_same_stand_together_and_the_others_apart() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &["base"]), &["v1", "latest"]).await;
    push(&store, &app(), image("two", &["base"]), &["v2"]).await;
    let page = look(&store, "/ui/repository?name=team/app").await;
    assert_eq!(page.status, OK);
    assert_eq!(page.body.matches("rowspan=\"2\"").count(), 3, "size, platforms and digest");
    assert_eq!(page.body.matches("rowspan=\"1\"").count(), 3);
    assert!(page.body.contains("by alice") || page.body.contains("by</span> alice"), "{}", page.body);
    let filtered = look(&store, "/ui/repository?name=team/app&q=v").await.body;
    // The history goes on to tell of all of them.
    let filtered = filtered.split("What moved").next().unwrap();
    assert!(
        filtered.contains(">v1</a>") && filtered.contains(">v2</a>") && !filtered.contains(">latest</a>")
    );
    let none = look(&store, "/ui/repository?name=team/app&q=nothing").await.body;
    assert!(none.contains("No tag is in this part"), "{none}");
}

#[tokio::test]
async fn tags_are_shown_in_parts_and_sorted_as_wanted() {
    let store = Arc::new(MemoryStore::default());
    for number in 0..60 {
        push(&store, &app(), manifest("image"), &[&format!("t{number:02}")]).await;
    }
    let first = look(&store, "/ui/repository?name=team/app&sort=name").await.body;
    assert!(first.contains(">t49</a>") && !first.contains(">t50</a>"));
    let next = markup::attribute(&first, "rel=\"next\"", "href").unwrap();
    let second = look(&store, &next).await.body;
    assert!(second.contains(">t50</a>") && second.contains("From the beginning"), "{next}");
    let last = look(&store, "/ui/repository?name=team/app&sort=name&order=desc").await.body;
    assert!(last.contains(">t59</a>") && !last.contains(">t00</a>"));
    let wrong = look(&store, "/ui/repository?name=team/app&sort=colour").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_pulled_is_named_by_the_address_that_clients_know_and_the_programs_that_can() {
    let store = filled().await;
    push(&store, &app(), image("one", &["base"]), &["v1"]).await;
    let mut chart = manifest("chart");
    chart.document.config =
        Some(Descriptor { media_type: "application/vnd.cncf.helm.config.v1+json".into(), ..descriptor("c") });
    push(&store, &name("team/chart"), chart, &["1.0.0_2"]).await;
    for (page, command) in [
        ("/ui/manifest?repository=team/app&tag=v1", "docker pull door.example:5000/team/app:v1"),
        ("/ui/manifest?repository=team/app&tag=v1", "podman pull door.example:5000/team/app:v1"),
        ("/ui/repository?name=team/chart", "helm pull oci://door.example:5000/team/chart --version 1.0.0+2"),
        ("/ui/manifest?repository=team/app&tag=latest", "oras pull door.example:5000/team/app:latest"),
    ] {
        let body = look(&store, page).await.body;
        assert!(body.contains(&format!("data-copy=\"{command}\"")), "{page}: {body}");
    }
}

#[tokio::test]
async fn a_manifest_says_which_of_its_layers_the_one_before_had() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &["base", "old"]), &["v1"]).await;
    push(&store, &app(), image("two", &["base", "newer"]), &["v1"]).await;
    let body = look(&store, "/ui/manifest?repository=team/app&tag=v1").await.body;
    assert!(body.contains("2 layers, 9 B; 1 of them, 4 B, are shared with what v1 was before"), "{body}");
    assert_eq!(body.matches(">shared</span>").count(), 1);
    assert!(body.contains("<rect class=\"shared\" x=\"0\" y=\"0\" width=\"444\""), "{body}");
    let compare = markup::attribute(&body, "Compare with what v1 was before", "href").unwrap();
    let compared = look(&store, &compare).await;
    assert_eq!(compared.status, OK, "{compare}");
    for words in [">added</span>", ">removed</span>", ">kept</span>", "2 B more"] {
        assert!(compared.body.contains(words), "{words}: {}", compared.body);
    }
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_named_by_what_it_is() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &["base"]), &["v1"]).await;
    for (text, artifact_type) in [
        ("signature", "application/vnd.dev.cosign.artifact.sig.v1+json"),
        ("sbom", "application/spdx+json"),
        ("provenance", "application/vnd.in-toto+json"),
    ] {
        let mut referrer = manifest(text);
        referrer.document.subject = Some(descriptor("one"));
        referrer.document.artifact_type = Some(artifact_type.into());
        push(&store, &app(), referrer, &[]).await;
    }
    let start = digest("one").to_string().replace(':', "-");
    push(&store, &app(), manifest("attestation"), &[&format!("{start}.att")]).await;
    for number in 0..20 {
        push(&store, &app(), manifest("other"), &[&format!("{start}.{number:02}")]).await;
    }
    let body = look(&store, "/ui/manifest?repository=team/app&tag=v1").await.body;
    for (words, count) in [("Signature", 1), ("SBOM", 1), ("Attestation", 2)] {
        assert_eq!(body.matches(&format!("<strong>{words}</strong>")).count(), count, "{words}: {body}");
    }
}

#[tokio::test]
async fn history_says_what_was_before_and_undoes_only_the_newest_and_for_those_who_may() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &[]), &["v1"]).await;
    push(&store, &app(), image("two", &[]), &["v1"]).await;
    delete(&store, &app(), "v1").await;
    push(&store, &app(), image("three", &[]), &["v2"]).await;
    push(&store, &app(), image("four", &[]), &["v2"]).await;
    for page in ["/ui/repository?name=team/app", "/ui/manifest?repository=team/app&tag=v2"] {
        assert!(
            !look(&store, page).await.body.contains("/ui/undelete"),
            "pages of an open door change nothing"
        );
    }
    let body = look_and_change(&store, read("/ui/repository?name=team/app")).await.body;
    assert!(body.contains("Moved") && body.contains(">(was</span>"), "{body}");
    let forms: Vec<&str> =
        body.split("action=\"").skip(1).filter(|rest| rest.starts_with("/ui/undelete")).collect();
    assert_eq!(forms.len(), 2, "the deletion of v1, and the last move of v2: {body}");
    let back =
        url::form_urlencoded::byte_serialize(digest("three").to_string().as_bytes()).collect::<String>();
    let undo = format!("/ui/undelete?repository=team%2Fapp&#38;tag=v2&#38;digest={back}");
    assert!(forms[0].starts_with(&undo), "{}", forms[0]);
    assert!(forms[1].starts_with("/ui/undelete?repository=team%2Fapp&#38;tag=v1\""), "{}", forms[1]);
}

/// The forms on a page that bring something back or point a tag back.
fn undoing(body: &str) -> Vec<String> {
    let forms = body.split("action=\"/ui/undelete?").skip(1);
    forms.map(|form| form.split('"').next().unwrap_or_default().replace("&#38;", "&")).collect()
}

/// A manifest goes, and its tags with it.
async fn delete_manifest(store: &MemoryStore, of: &Digest) {
    let write = Write::Delete { reference: Reference::Digest(of.clone()) };
    let intent = store.begin(app(), write, client(), time()).await.unwrap();
    let gone = Change::ManifestDeleted { repository: app(), digest: of.clone(), undecided: Vec::new() };
    store.settle(&intent, Outcome::Applied(vec![gone]), time()).await.unwrap();
}

#[tokio::test]
async fn what_is_back_is_not_brought_back_again_and_what_is_back_in_part_is() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &[]), &["v1", "v2"]).await;
    push(&store, &app(), image("two", &[]), &["v3"]).await;
    delete_manifest(&store, &digest("one")).await;
    let page = "/ui/repository?name=team/app";
    let offered = async || undoing(&look_and_change(&store, read(page)).await.body);
    let manifest = format!("repository=team%2Fapp&digest=sha256%3A{}", digest("one").encoded());
    let tag = |tag: &str| format!("repository=team%2Fapp&tag={tag}");
    let all = offered().await;
    assert!(all.contains(&manifest) && all.contains(&tag("v1")) && all.contains(&tag("v2")), "{all:?}");
    // The first of its tags is put back, and then something goes wrong.
    push(&store, &app(), image("one", &[]), &["v1"]).await;
    let rest = offered().await;
    assert!(rest.contains(&manifest) && rest.contains(&tag("v2")) && !rest.contains(&tag("v1")), "{rest:?}");
    push(&store, &app(), image("one", &[]), &["v2"]).await;
    assert_eq!(offered().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_manifest_that_was_deleted_has_a_page_however_much_happened_since() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &[]), &["v1"]).await;
    delete_manifest(&store, &digest("one")).await;
    for number in 0..150 {
        push(&store, &app(), image("two", &[]), &[&format!("t{number}")]).await;
    }
    let page = format!("/ui/manifest?repository=team/app&digest={}", digest("one"));
    let answer = look_and_change(&store, read(&page)).await;
    assert_eq!(answer.status, OK);
    assert!(answer.body.contains("Deleted the manifest"), "{}", answer.body);
    assert!(undoing(&answer.body).iter().any(|form| form.contains("digest=sha256")), "{}", answer.body);
    assert!(!look(&store, &page).await.body.contains("/ui/undelete"), "pages of an open door change nothing");
}

#[tokio::test]
async fn much_that_a_manifest_says_is_cut_and_says_how_much_more_there_is() {
    let store = Arc::new(MemoryStore::default());
    let mut wordy = image("wordy", &["base"]);
    wordy.document.annotations =
        (0..250).map(|number| (format!("org.example.{number:03}"), "x".to_owned())).collect();
    wordy.document.annotations.insert("a".to_owned(), "long ".repeat(100_000));
    wordy.document.media_type = MediaType::from(&*format!("application/{}", "x".repeat(100_000)));
    wordy.document.children = (0..300)
        .map(|number| Descriptor {
            platform: Some(Platform {
                os: "o".repeat(1_000),
                architecture: format!("{number}"),
                variant: None,
            }),
            media_type: MediaType::from(&*"y".repeat(1_000)),
            ..descriptor("child")
        })
        .collect();
    push(&store, &app(), image("plain", &["base"]), &["v0"]).await;
    push(&store, &app(), wordy, &["v1"]).await;
    let page = look(&store, "/ui/manifest?repository=team/app&tag=v1").await.body;
    for words in
        ["And 151 more.", "and 499,500 more characters", "And 200 more, which stand in the manifest."]
    {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.len() < 200_000, "{}", page.len());
    let compared = look(&store, "/ui/compare?repository=team/app&from=v0&to=v1").await.body;
    assert!(compared.contains("And 152 more.") && compared.contains("And 200 more."), "{compared}");
    assert!(compared.len() < 200_000, "{}", compared.len());
    let listed = look(&store, "/ui/repository?name=team/app").await.body;
    assert!(listed.len() < 60_000, "{}", listed.len());
}

#[tokio::test]
async fn a_manifest_is_compared_where_there_is_another_one() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &["base"]), &["v1"]).await;
    let page = "/ui/manifest?repository=team/app&tag=v1";
    let alone = look(&store, page).await.body;
    assert!(!alone.contains("/ui/compare"), "{alone}");
    push(&store, &app(), image("two", &["base"]), &["v1"]).await;
    assert!(look(&store, page).await.body.contains("href=\"/ui/compare?"));
    delete_manifest(&store, &digest("one")).await;
    let body = look(&store, page).await.body;
    assert!(!body.contains("/ui/compare"), "what it was before is gone: {body}");
}

#[tokio::test]
async fn tags_are_chosen_and_deleted_together_and_none_chosen_are_not_all() {
    let store = Arc::new(MemoryStore::default());
    push(&store, &app(), image("one", &["base"]), &["v1", "v2"]).await;
    push(&store, &app(), image("two", &["base"]), &["v3", "v4"]).await;
    let page = "/ui/repository?name=team/app";
    assert!(!look(&store, page).await.body.contains("type=\"checkbox\""), "an open door changes nothing");
    let body = look_and_change(&store, read(page)).await.body;
    assert_eq!(body.matches("<input type=\"checkbox\" name=\"tag\" value=\"v").count(), 4, "{body}");
    assert!(body.contains("name=\"what\" value=\"tags\""), "{body}");
    let chosen = "/ui/delete?repository=team/app&what=tags&tag=v1&tag=v3&tag=v4";
    let asked = look_and_change(&store, read(chosen)).await;
    assert_eq!(asked.status, OK, "{}", asked.body);
    let words = "the tags v1, v3, v4 of team/app; all manifests stay, one of them without a tag";
    assert!(asked.body.contains(words), "{}", asked.body);
    let again = markup::attribute(&asked.body, "class=\"page-actions\"", "action").unwrap();
    assert_eq!(again, "/ui/delete?repository=team%2Fapp&what=tags&tag=v1&tag=v3&tag=v4");
    // This registry cannot be reached.
    let answer = look_and_change(&store, sent(&again)).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert!(answer.body.contains("Not deleted. v1: ") && answer.body.contains(words), "{}", answer.body);
    let too_many: String = (0..101).map(|number| format!("&tag=t{number}")).collect();
    for (wrong, words) in [
        ("&what=tags".to_owned(), "none is chosen"),
        ("&what=all&tag=v1".to_owned(), "`what` is wrong"),
        ("&tag=v1&tag=v2".to_owned(), "it is given twice"),
        (format!("&what=tags{too_many}"), "at most 100 tags"),
    ] {
        let answer = look_and_change(&store, read(&format!("/ui/delete?repository=team/app{wrong}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer.body.contains(words), "{wrong}: {}", answer.body);
    }
    let gone = look_and_change(&store, read("/ui/delete?repository=team/app&what=tags&tag=never")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_deletion_that_has_begun_says_so() {
    let store = filled().await;
    let body = look_and_change(&store, read("/ui/delete?repository=team/app&done=part")).await.body;
    assert!(body.contains("A part of it is deleted.") && body.contains("all of team/app"), "{body}");
}

#[tokio::test]
async fn more_referrers_than_are_counted_are_not_called_so_many() {
    let store = filled().await;
    let page = "/ui/delete?repository=team/app&tag=latest";
    for count in 0..102 {
        let mut referrer = manifest("referrer");
        referrer.digest = digest(&format!("referrer {count}"));
        referrer.document.subject = Some(descriptor("image"));
        push(&store, &app(), referrer, &[]).await;
        if count == 0 {
            let one = look_and_change(&store, read(page)).await.body;
            assert!(one.contains("1 other manifest refers to it"), "{one}");
        }
    }
    let many = look_and_change(&store, read(page)).await.body;
    assert!(many.contains("More than 100 other manifests refer to it"), "{many}");
}

#[tokio::test]
async fn a_tag_may_be_pointed_to_all_that_it_ever_pointed_to() {
    let store = Arc::new(MemoryStore::default());
    for text in ["one", "two", "three"] {
        push(&store, &app(), image(text, &[]), &["v1"]).await;
    }
    let page = "/ui/manifest?repository=team/app&tag=v1";
    let body = look_and_change(&store, read(page)).await.body;
    let led: Vec<&str> = body.split("action=\"/ui/undelete?").skip(1).collect();
    assert_eq!(led.len(), 3, "{body}");
    for (form, text) in led.iter().zip(["two", "two", "one"]) {
        assert!(form.split('"').next().unwrap().contains(digest(text).encoded()), "{text}: {form}");
    }
    assert!(!look(&store, page).await.body.contains("/ui/undelete"));
}

#[tokio::test]
async fn files_of_an_artifact_have_their_names() {
    let store = Arc::new(MemoryStore::default());
    let mut artifact = manifest("artifact");
    artifact.document.artifact_type = Some("application/x".into());
    let title = ("org.opencontainers.image.title".to_owned(), "policy.rego".to_owned());
    artifact.document.layers = vec![Descriptor { annotations: [title].into(), ..descriptor("file") }];
    push(&store, &app(), artifact, &["v1"]).await;
    let body = look(&store, "/ui/manifest?repository=team/app&tag=v1").await.body;
    assert!(body.contains(">Files</h2>") && body.contains("policy.rego"), "{body}");
}

#[tokio::test]
async fn what_was_deleted_has_a_page_that_brings_it_back_and_what_never_was_has_none() {
    let store = filled().await;
    delete(&store, &app(), "latest").await;
    let page = look_and_change(&store, read("/ui/manifest?repository=team/app&tag=latest")).await;
    assert_eq!(page.status, OK);
    assert!(page.body.contains("not there any more") && page.body.contains("Bring back"), "{}", page.body);
    for never in [
        "/ui/manifest?repository=team/app&tag=never".to_owned(),
        format!("/ui/manifest?repository=team/app&digest={}", digest("never")),
        "/ui/repository?name=team/never".to_owned(),
        "/ui/compare?repository=team/app&from=never&to=latest".to_owned(),
    ] {
        let answer = look(&store, &never).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{never}");
        assert!(answer.body.contains("search for it"), "{never}");
    }
}

#[tokio::test]
async fn what_would_go_is_told_exactly_before_it_goes() {
    let store = filled().await;
    push(&store, &app(), manifest("image"), &["v1"]).await;
    let digest = digest("image");
    for (page, preview) in [
        (
            "/ui/delete?repository=team/app&tag=v1".to_owned(),
            format!("the tag team/app:v1, which points to {digest}; latest stays"),
        ),
        (
            format!("/ui/delete?repository=team/app&digest={digest}"),
            format!("the manifest team/app@{digest}, and with it the tags latest, v1"),
        ),
        ("/ui/delete?repository=team/app".to_owned(), "all of team/app: 2 tags, 1 manifests".to_owned()),
    ] {
        let answer = look_and_change(&store, read(&page)).await;
        assert_eq!(answer.status, OK, "{page}");
        assert!(answer.body.contains(&preview), "{page}: {}", answer.body);
        // What cannot be done says why, beside what would have gone: this registry cannot be reached.
        let answer = look_and_change(&store, sent(&page)).await;
        assert!(answer.status.is_server_error(), "{page}: {}", answer.status);
        assert!(answer.body.contains("Not deleted.") && answer.body.contains(&preview), "{}", answer.body);
    }
    let both = format!("/ui/delete?repository=team/app&tag=v1&digest={digest}");
    assert_eq!(look_and_change(&store, read(&both)).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_changes_anything_is_refused_to_those_who_may_not_and_to_pages_of_other_sites() {
    let store = shown().await;
    let house = gate::house(&store);
    let deletion = "/ui/delete?repository=team/app&tag=latest";
    let undeletion = "/ui/undelete?repository=team/app&tag=latest";
    for page in [deletion, undeletion] {
        assert_eq!(
            look_and_change(&store, sent(page)).await.status.as_u16() / 100,
            5 - u16::from(page == undeletion)
        );
        let open = send(web(&store, ServiceState::Ready), sent(page)).await;
        assert_eq!(open.status, FORBIDDEN, "{page}");
        assert!(open.body.contains("Read only"), "{page}: {}", open.body);
        let mut elsewhere = sent(page);
        elsewhere.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(look_and_change(&store, elsewhere).await.status, FORBIDDEN, "{page} from elsewhere");
        for (who, expected) in [(Who::Nobody, SIGN_IN), (Who::User, FORBIDDEN)] {
            let mut request = sent(page);
            request.extensions_mut().insert(viewer(&house.gate, who));
            let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
            assert_eq!(send(state, request).await.status, expected, "{page} by {who:?}");
        }
    }
    // Who may pull and nothing else is not offered anything.
    for page in ["/ui/repository?name=team/app", "/ui/manifest?repository=team/app&tag=latest"] {
        let mut request = read(page);
        request.extensions_mut().insert(viewer(&house.gate, Who::User));
        let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
        let body = send(state, request).await.body;
        assert!(!body.contains("/ui/delete") && !body.contains("/ui/undelete"), "{page}: {body}");
    }
}

#[tokio::test]
async fn a_repository_that_one_may_not_pull_from_is_shown_by_no_page() {
    let store = shown().await;
    let house = gate::house(&store);
    for page in [
        "/ui/repository?name=private/thing",
        "/ui/manifest?repository=private/thing&tag=v1",
        "/ui/compare?repository=private/thing&from=v1&to=v1",
        "/ui/delete?repository=private/thing&tag=v1",
        // Rights are those of the repository that the page shows.
        "/ui/repository?name=private/thing&repository=team/app",
        "/ui/manifest?repository=private/thing&repository=team/app&tag=v1",
    ] {
        for (who, expected) in [(Who::Nobody, SIGN_IN), (Who::User, FORBIDDEN)] {
            let mut request = read(page);
            request.extensions_mut().insert(viewer(&house.gate, who));
            let state = WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
            let answer = send(state, request).await;
            let is_twice = page.matches("repository=").count() == 2 && who == Who::User;
            let expected = if is_twice { StatusCode::BAD_REQUEST } else { expected };
            assert_eq!(answer.status, expected, "{page} for {who:?}");
            assert!(!answer.body.contains(digest("other").encoded()), "{page} for {who:?}");
        }
    }
}

#[tokio::test]
async fn what_manifests_and_images_say_is_text_on_every_page() {
    let store = Arc::new(MemoryStore::default());
    let mut hostile = image("one", &["base"]);
    let pairs: std::collections::BTreeMap<String, String> = [
        (HOSTILE.to_owned(), HOSTILE.to_owned()),
        ("javascript:alert(1)".to_owned(), "javascript:x".to_owned()),
    ]
    .into();
    hostile.document.annotations = pairs.clone();
    hostile.document.layers[0].media_type = HOSTILE.into();
    hostile.document.artifact_type = Some(HOSTILE.into());
    hostile.bytes = format!("{{\"x\":\"{HOSTILE}</code></pre>\"}}").into();
    hostile.document.children = vec![Descriptor {
        platform: Some(Platform { os: HOSTILE.to_owned(), architecture: HOSTILE.to_owned(), variant: None }),
        media_type: HOSTILE.into(),
        ..descriptor("child")
    }];
    let of = hostile.digest.clone();
    push(&store, &app(), image("before", &["base"]), &["v1"]).await;
    push(&store, &app(), hostile, &["v1", "v2"]).await;
    let mut referrer = manifest("referrer");
    referrer.document.subject = Some(descriptor("one"));
    referrer.document.artifact_type = Some(HOSTILE.into());
    push(&store, &app(), referrer, &["about"]).await;
    let step = BuildStep {
        command: Some(HOSTILE.to_owned()),
        comment: Some(HOSTILE.to_owned()),
        ..BuildStep::default()
    };
    let texts = || vec![HOSTILE.to_owned()];
    let config = ImageConfig {
        author: Some(HOSTILE.to_owned()),
        user: Some(HOSTILE.to_owned()),
        working_directory: Some(HOSTILE.to_owned()),
        labels: pairs,
        entry_point: texts(),
        command: texts(),
        exposed_ports: texts(),
        history: vec![step],
        ..ImageConfig::default()
    };
    let read_image = ReadImage { repository: app(), digest: of.clone(), config: Some(config) };
    store.keep_images(vec![read_image], store.sequence().await.unwrap()).await.unwrap();
    let before = digest("before");
    for page in [
        "/ui/repository?name=team/app".to_owned(),
        "/ui/manifest?repository=team/app&tag=v1".to_owned(),
        format!("/ui/manifest?repository=team/app&digest={of}"),
        "/ui/manifest?repository=team/app&tag=about".to_owned(),
        format!("/ui/compare?repository=team/app&from={before}&to=v1"),
        format!("/ui/compare?repository=team/app&from=v1&to={before}"),
        "/ui/delete?repository=team/app&tag=v1".to_owned(),
        format!("/ui/delete?repository=team/app&digest={of}"),
    ] {
        let answer = look_and_change(&store, read(&page)).await;
        assert_eq!(answer.status, OK, "{page}: {}", answer.body);
        markup::assert_is_safe(&page, &answer.body);
    }
    let body = look(&store, "/ui/manifest?repository=team/app&tag=v1").await.body;
    assert!(body.matches("&#60;script&#62;").count() >= 10, "they are shown: {body}");
    let host = Request::get("/ui/manifest?repository=team/app&tag=v1")
        .header(header::HOST, HOSTILE)
        .body(Body::empty())
        .unwrap();
    markup::assert_is_safe("a host that is none", &look_and_change(&store, host).await.body);
}
