//! What has to hold for any `Location` of an upload.

use proptest::collection::vec;
use proptest::prelude::*;
use url::Url;

use super::*;

const REPOSITORY: &str = "team/app";
const DIGEST: &str = "digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const FIRST: &str = "http://registry.internal:5001";
const SECOND: &str = "http://10.0.0.7";

fn repository() -> RepositoryName {
    RepositoryName::parse(REPOSITORY).unwrap()
}

fn targets(backends: &[&str]) -> UploadTargets {
    let backends = Backends::new(backends.iter().map(|url| Url::parse(url).unwrap()));
    UploadTargets::new(Arc::new(TargetSeal::new(&[7; 32]).unwrap()), Arc::new(backends))
}

/// What becomes of a `Location` with which the first backend answers to this path and query.
fn led_back(
    targets: &UploadTargets,
    asked: &str,
    location: &str,
    redirects: bool,
) -> Option<RewrittenUpload> {
    let answered = UpstreamAnswer {
        repository: &repository(),
        backend: &targets.backends.all()[0],
        asked,
        door: "https://door.example",
        scheme: "https",
        names: &["door.example"],
        redirects,
    };
    targets.rewrite_location(location, &answered).unwrap()
}

/// Where a client goes that got this `Location`, with the digest that it adds.
fn followed(location: &str, asked: &str) -> Url {
    let url = Url::parse("https://door.example").unwrap().join(asked).unwrap().join(location).unwrap();
    let separator =
        if url.query().is_some_and(|query| !query.is_empty() && !query.ends_with('&')) { "&" } else { "" };
    let query = format!("{}{separator}{DIGEST}", url.query().unwrap_or_default());
    let mut with_digest = url;
    with_digest.set_query(Some(&query));
    with_digest.set_fragment(None);
    with_digest
}

/// To which backend the door takes a request for this path and query, and what it asks there.
fn led_on(targets: &UploadTargets, path_and_query: &str) -> (Option<String>, String) {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let route = Route::parse(&Method::PUT, path, Some(query));
    let Ok(Route::Upload { repository, upload, .. }) = &route else { panic!("{path_and_query}: {route:?}") };
    match targets.target_of_upload(repository, upload.as_str(), path_and_query).unwrap() {
        Some(ForwardTarget { backend, path_and_query }) => {
            (backend.map(|backend| backend.url().to_string()), path_and_query)
        }
        None => (None, path_and_query.to_owned()),
    }
}

/// Paths and queries as registries make them up, with everything that may stand in a URL.
fn target() -> impl Strategy<Value = String> {
    let id = "[a-zA-Z0-9._=+~:@!$&'()*,;%-]{1,20}".prop_map(|id| id.replace('%', "%2F"));
    let path = prop_oneof![
        3 => id.clone().prop_map(|id| format!("/v2/{REPOSITORY}/blobs/uploads/{id}")),
        2 => id.clone().prop_map(|id| format!("/v2/{REPOSITORY}/blobs/upload/{id}")),
        2 => id.clone().prop_map(|id| format!("/prefix/v2/{REPOSITORY}/blobs/uploads/{id}")),
        1 => id.clone().prop_map(|id| format!("/v2/other/blobs/uploads/{id}")),
        1 => id.clone().prop_map(|id| format!("/v2/{REPOSITORY}/blobs/uploads/portreeve.{id}")),
        2 => vec(id, 1..5).prop_map(|segments| format!("/{}", segments.join("/"))),
    ];
    let query = prop_oneof![
        2 => Just(String::new()),
        1 => Just("?".to_owned()),
        4 => "\\?[a-z_]{1,8}=[A-Za-z0-9%+/=:~-]{0,40}".prop_map(|query| query.replace('%', "%3D")),
        1 => "\\?_portreeve_(backend|grant)=[0-9a-f]{8}",
        1 => "\\?[a-z&=]{1,12}",
    ];
    (path, query).prop_map(|(path, query)| path + &query)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever `Location` the registry sends, the client that follows it through the door ends at the registry with
    /// exactly the target that the registry named, and the client's digest.
    #[test]
    fn a_client_ends_where_the_registry_wanted_it(
        target in target(),
        form in 0..7_usize,
        is_second in any::<bool>(),
        are_several in any::<bool>(),
        fragment in prop_oneof![4 => Just(""), 1 => Just("#part")],
    ) {
        // What the door takes for a manifest is led nowhere: tried on its own below.
        prop_assume!(!is_manifest(&target));
        let backends = if are_several { vec![FIRST, SECOND] } else { vec![FIRST] };
        let targets = targets(&backends);
        let named = if is_second && are_several { SECOND } else { FIRST };
        let location = match form {
            0 => format!("{named}{target}{fragment}"),
            1 => format!("{}{target}{fragment}", named.replace("http:", "")),
            2 => format!("{}{target}{fragment}", named.replace("registry.internal", "REGISTRY.Internal")),
            3 => format!("https://door.example{target}{fragment}"),
            4 => format!("https://Door.example:443{target}{fragment}"),
            _ => format!("{target}{fragment}"),
        };
        let names_backend = form < 3;
        let asked = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let Some(continued) = led_back(&targets, &asked, &location, false) else {
            panic!("{location} is not led back");
        };
        let url = followed(&continued.location, &asked);
        prop_assert_eq!(url.host_str(), Some("door.example"), "{}", &continued.location);
        let (backend, path_and_query) = led_on(&targets, &url[url::Position::BeforePath..]);
        let expected = followed(&location, &asked);
        prop_assert_eq!(path_and_query, &expected[url::Position::BeforePath..], "from {}", continued.location);
        let answering = if names_backend { named } else { FIRST };
        if are_several {
            prop_assert_eq!(backend, Some(format!("{answering}/")));
        } else if let Some(backend) = backend {
            prop_assert_eq!(backend, format!("{FIRST}/"));
        }
    }

    /// A session name that the door did not make leads to a backend only as the very path that the client asked for.
    #[test]
    fn whatever_a_client_makes_up_stays_in_its_repository(
        id in "(portreeve\\.)?[a-zA-Z0-9_.=-]{1,80}",
        query in "[a-z_=&%0-9]{0,20}",
    ) {
        let path_and_query = format!("/v2/{REPOSITORY}/blobs/uploads/{id}?{query}");
        let targets = targets(&[FIRST, SECOND]);
        match targets.target_of_upload(&repository(), &id, &path_and_query) {
            Ok(Some(ForwardTarget { path_and_query: forwarded, .. })) => {
                prop_assert!(!TargetSeal::is_sealed(&id));
                let usual = format!("/v2/{REPOSITORY}/blobs/uploads/{id}");
                prop_assert_eq!(forwarded.split('?').next(), Some(usual.as_str()));
            }
            Ok(None) => prop_assert!(false, "with several backends the query is always looked at"),
            Err(error) => {
                prop_assert!(TargetSeal::is_sealed(&id));
                prop_assert_eq!(error, TargetError::Unknown);
            }
        }
    }

    #[test]
    fn no_location_is_too_strange(location in "\\PC{0,40}", redirects in any::<bool>()) {
        led_back(&targets(&[FIRST]), "/v2/team/app/blobs/uploads/", &location, redirects);
    }
}

const ASKED: &str = "/v2/team/app/blobs/uploads/";

#[test]
fn the_usual_location_stays_in_the_clear() {
    let targets = targets(&[FIRST]);
    for (location, expected) in [
        ("/v2/team/app/blobs/uploads/1?_state=x%3D", "/v2/team/app/blobs/uploads/1?_state=x%3D"),
        ("1", "/v2/team/app/blobs/uploads/1"),
        (
            "http://registry.internal:5001/v2/team/app/blobs/uploads/1",
            "https://door.example/v2/team/app/blobs/uploads/1",
        ),
        // Its own name for itself.
        (
            "https://public.example/v2/team/app/blobs/uploads/1",
            "https://door.example/v2/team/app/blobs/uploads/1",
        ),
    ] {
        let continued = led_back(&targets, ASKED, location, false);
        let expected = RewrittenUpload { location: expected.to_owned(), upload: "1".to_owned() };
        assert_eq!(continued, Some(expected), "{location}");
    }
}

#[test]
fn a_location_at_another_server_is_left_to_the_client() {
    for targets in [targets(&[FIRST]), targets(&[FIRST, SECOND])] {
        for location in [
            "https://storage.example/upload/v2/1?signature=x",
            "//storage.example/upload/1",
            "http://registry.internal:5002/blobs/upload/1",
            "http://registry.internal@storage.example/upload",
            "ftp://registry.internal:5001/upload",
        ] {
            assert_eq!(led_back(&targets, ASKED, location, false), None, "{location}");
        }
        // A redirect may lead anywhere, whatever the path.
        let elsewhere = "https://storage.example/v2/team/app/blobs/uploads/1";
        assert_eq!(led_back(&targets, ASKED, elsewhere, true), None);
        let own = "http://registry.internal:5001/other/1";
        assert!(led_back(&targets, ASKED, own, true).is_some());
    }
}

#[test]
fn a_relative_location_is_seen_from_the_sealed_target_and_not_from_the_doors_url() {
    let targets = targets(&[FIRST]);
    let continued = led_back(&targets, "/artifacts/v1/upload?id=1", "next?id=2", false).unwrap();
    let (_, forwarding) = led_on(&targets, &format!("{}?{DIGEST}", continued.location));
    assert_eq!(forwarding, format!("/artifacts/v1/next?id=2&{DIGEST}"));
}

#[test]
fn a_sealed_target_takes_a_digest_and_nothing_else() {
    let targets = targets(&[FIRST]);
    let RewrittenUpload { upload, .. } =
        led_back(&targets, ASKED, "/artifacts?repository=app", false).unwrap();
    let target_of_upload = |repository: &str, query: &str| {
        let path_and_query = format!("/v2/{repository}/blobs/uploads/{upload}{query}");
        let repository = RepositoryName::parse(repository).unwrap();
        targets
            .target_of_upload(&repository, &upload, &path_and_query)
            .map(|session| session.unwrap().path_and_query)
    };
    assert_eq!(target_of_upload(REPOSITORY, ""), Ok("/artifacts?repository=app".to_owned()));
    assert_eq!(target_of_upload(REPOSITORY, "?"), Ok("/artifacts?repository=app".to_owned()));
    assert_eq!(
        target_of_upload(REPOSITORY, "?&digest=a:b"),
        Ok("/artifacts?repository=app&digest=a:b".to_owned())
    );
    for added in
        ["?repository=other", "?digest=a:b&repository=other", "?digest=a:b;repository=other", "?digest"]
    {
        assert_eq!(target_of_upload(REPOSITORY, added), Err(TargetError::ParameterAdded), "{added}");
    }
    assert_eq!(target_of_upload("team/other", "?digest=a:b"), Err(TargetError::Unknown));
}

#[test]
fn a_sealed_target_of_a_backend_that_is_gone_leads_nowhere() {
    let RewrittenUpload { upload, .. } = led_back(&targets(&[FIRST]), ASKED, "/artifacts", false).unwrap();
    let moved = targets(&[SECOND]);
    assert_eq!(moved.target_of_upload(&repository(), &upload, "/v2/x").unwrap_err(), TargetError::Unknown);
}

#[test]
fn no_manifest_is_written_by_a_sealed_target() {
    let targets = targets(&[FIRST]);
    for location in [
        "/v2/team/app/manifests/latest",
        "http://registry.internal:5001/v2/team/app/manifests/latest?x=y",
        "/prefix/v2/team/app/manifests/sha256:abc",
        "/v2/team/app/%6danifests/latest",
        "/v2/team/app/%256danifests/latest",
        "/v2/team/app/manifests%2Flatest",
        "/v2/team/app/manifests/latest/",
        "/v2/team/app/manifests/x/../latest",
        "/v2/team/app/manifests\\latest",
        "/v2/team/app/manifests/x/%2e%2e/latest",
        "/v2/team/app/manifests//latest",
    ] {
        assert_eq!(led_back(&targets, ASKED, location, false), None, "{location}");
    }
    assert!(led_back(&targets, ASKED, "/v2/team/manifests/blobs/upload/1", false).is_some());
}
