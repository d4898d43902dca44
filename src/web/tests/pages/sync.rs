//! The page of sweeps and what keeps the record in step, and that of what is wrong with what is held.

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn form(page: &str, body: &str) -> Request<Body> {
    Request::post(page).header("content-type", FORM).body(Body::from(body.to_owned())).unwrap()
}

fn open_writes(store: &Arc<MemoryStore>) -> WebState {
    let pages = PageSettings { open_writes: true, ..PageSettings::default() };
    WebState { pages: Some(pages), ..web(store, ServiceState::Ready) }
}

async fn show(state: &WebState, page: &str) -> Answer {
    send(state.clone(), Request::get(page).body(Body::empty()).unwrap()).await
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    answer.headers[header::LOCATION].to_str().unwrap()
}

/// A record of which the registry denies three tags and a manifest.
async fn held() -> Arc<MemoryStore> {
    let store = shown().await;
    push(&store, &name("lost"), manifest("image"), &["a", "b", "c"]).await;
    for reference in ["a", "b", "c", digest("image").as_str()] {
        let (repository, reference) = (name("lost"), Reference::parse(reference).unwrap());
        find(&store, Change::ReferenceMissing { repository, reference }).await;
    }
    store
}

#[tokio::test]
async fn the_state_of_everything_is_on_one_page() {
    let state = web(&shown().await, ServiceState::Ready);
    let answer = show(&state, "/ui/sync").await;
    for part in [
        "Not yet compared with the registry",
        "Open intents",
        "Hints waiting",
        "http://127.0.0.1:5001",
        "1.2 ms",
        "Not known before the registry has answered.",
        "No sweep has ended yet.",
        "None in 30 days",
        "href=\"/ui/flaws?kind=missing_children\"",
    ] {
        assert!(answer.body.contains(part), "{part:?} is not in {}", answer.body);
    }
    assert!(!answer.body.contains("<form class=\"actions\""), "pages of an open door change nothing");
    markup::assert_is_safe("sync", &answer.body);
    let down = show(&web(&shown().await, ServiceState::Degraded), "/ui/sync").await;
    assert!(down.body.contains("Not compared now: the registry cannot be reached"), "{}", down.body);
}

/// A door whose credentials the registry refuses, which can be reached.
struct Refused;

impl StatusSource for Refused {
    fn state(&self) -> ServiceState {
        ServiceState::Degraded
    }

    fn registry(&self) -> RegistryStatus {
        let registry = Door(ServiceState::Ready).registry();
        RegistryStatus { trouble: Some("the registry refuses the door's credentials".into()), ..registry }
    }

    fn verifications(&self) -> VerificationStatus {
        VerificationStatus::default()
    }
}

#[tokio::test]
async fn a_registry_that_refuses_the_doors_credentials_is_not_called_in_step() {
    let state = WebState { status: Arc::new(Refused), ..web(&shown().await, ServiceState::Ready) };
    for page in ["/ui/", "/ui/sync"] {
        let body = show(&state, page).await.body;
        let line = body.split("class=\"status-line ").nth(1).unwrap();
        assert!(
            line.starts_with("bad\"") && line.contains("Not compared now: the registry refuses"),
            "{page}: {line}"
        );
    }
}

#[tokio::test]
async fn a_sweep_is_asked_for_by_a_form_and_the_page_says_so() {
    let state = open_writes(&shown().await);
    assert!(show(&state, "/ui/sync").await.body.contains("action=\"/ui/sync/start\""));
    let asked = send(state.clone(), form("/ui/sync/start", "kind=deep")).await;
    assert_eq!(location(&asked), "/ui/sync?done=asked&sweep=1");
    assert_eq!(state.store.sweep_queue().await.unwrap().requested, Some(crate::store::SweepKind::Deep));
    let page = show(&state, location(&asked)).await.body;
    assert!(page.contains("Sweep 1 is asked for, and begins as soon as it can."), "{page}");
    assert!(page.contains("data-anew=\"1\""), "it is looked at again soon");
    for wrong in ["", "kind=", "kind=deepest", "kind=deep&kind=deep", "deep=1"] {
        let refused = send(state.clone(), form("/ui/sync/start", wrong)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_held_is_accepted_by_a_form_as_long_as_it_is_what_was_shown() {
    let store = held().await;
    let state = open_writes(&store);
    let page = show(&state, "/ui/sync").await.body;
    for part in ["Held removals", "href=\"/ui/repository?name=lost\"", "Accept 3 tags and 1 manifest as gone"]
    {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert_eq!(markup::attribute(&page, "name=\"tags\"", "value").as_deref(), Some("3"));
    for other in ["tags=2&manifests=1", "tags=3&manifests=0"] {
        let refused = send(state.clone(), form("/ui/sync/accept", other)).await;
        assert_eq!(location(&refused), "/ui/sync?done=changed");
        assert!(show(&state, location(&refused)).await.body.contains("nothing was accepted"));
        assert_eq!(store.removals_accepted_until().await.unwrap().get(), 0, "{other}");
    }
    let accepted = send(state.clone(), form("/ui/sync/accept", "tags=3&manifests=1")).await;
    assert_eq!(location(&accepted), "/ui/sync?done=accepted&sweep=1");
    assert!(store.removals_accepted_until().await.unwrap().get() > 0);
    assert!(
        show(&state, location(&accepted))
            .await
            .body
            .contains("The removal of what is held is accepted. Sweep 1")
    );
}

#[tokio::test]
async fn only_administrators_change_anything_and_nobody_does_from_elsewhere() {
    let store = held().await;
    let house = gate::house(&store);
    let state = || WebState { gate: Some(Arc::clone(&house.gate)), ..web(&store, ServiceState::Ready) };
    for (page, body) in [("/ui/sync/start", "kind=shallow"), ("/ui/sync/accept", "tags=3&manifests=1")] {
        for (who, status) in [(Who::Nobody, StatusCode::SEE_OTHER), (Who::User, StatusCode::FORBIDDEN)] {
            let mut request = form(page, body);
            request.extensions_mut().insert(viewer(&house.gate, who));
            let answer = send(state(), request).await;
            assert_eq!(answer.status, status, "{page} by {who:?}");
            if who == Who::Nobody {
                assert!(location(&answer).starts_with("/ui/sign-in?next="), "{page}");
            }
        }
        let mut elsewhere = form(page, body);
        elsewhere.extensions_mut().insert(viewer(&house.gate, Who::Administrator));
        elsewhere.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(send(state(), elsewhere).await.status, StatusCode::FORBIDDEN, "{page} from elsewhere");
        let open = send(web(&store, ServiceState::Ready), form(page, body)).await;
        assert_eq!(open.status, StatusCode::FORBIDDEN, "{page} at an open door");
        assert!(open.body.contains("Read only"), "{}", open.body);
        let read =
            send(web(&store, ServiceState::Ready), Request::get(page).body(Body::empty()).unwrap()).await;
        assert_ne!(read.status, OK, "{page} is not read");
    }
    assert_eq!(store.removals_accepted_until().await.unwrap().get(), 0);
    assert!(!state().store.sweep_queue().await.unwrap().is_waiting());
    let mut request = form("/ui/sync/accept", "tags=3&manifests=1");
    request.extensions_mut().insert(viewer(&house.gate, Who::Administrator));
    assert_eq!(location(&send(state(), request).await), "/ui/sync?done=accepted&sweep=1");
}

#[tokio::test]
async fn each_flaw_has_its_list() {
    let store = held().await;
    let mut index = manifest("index");
    index.document.kind = ManifestKind::Index;
    index.document.children =
        vec![Descriptor { media_type: MediaType::OCI_MANIFEST.into(), ..descriptor("child") }];
    push(&store, &app(), index, &["v1"]).await;
    let state = web(&store, ServiceState::Ready);
    let broken = show(&state, "/ui/flaws?kind=missing_children").await.body;
    assert!(broken.contains("team/app") && broken.contains(digest("child").as_str()), "{broken}");
    assert!(broken.contains("a pull for those platforms fails"), "{broken}");
    let denied = show(&state, "/ui/flaws?kind=lost_tag").await.body;
    assert!(denied.contains("href=\"/ui/manifest?repository=lost&#38;tag=a\""), "{denied}");
    let none = show(&state, "/ui/flaws?kind=missing_subject").await.body;
    assert!(none.contains("Nothing of this kind is wrong"), "{none}");
    for wrong in ["", "?kind=", "?kind=x", "?kind=untagged&after=@"] {
        assert_eq!(
            show(&state, &format!("/ui/flaws{wrong}")).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}
