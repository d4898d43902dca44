use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use super::check::manifest_check::assert_holds_together;
use super::*;

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(super) fn parse(media_type: &str, document: &Value) -> Result<Manifest, InvalidManifest> {
    let header = (!media_type.is_empty()).then_some(media_type);
    let body = Bytes::from(document.to_string());
    assert_holds_together(header, body.clone());
    Manifest::parse(body, header.map(MediaType::from_header))
}

fn descriptor(media_type: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": DIGEST, "size": size})
}

pub(super) fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", 7),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", 11)],
    })
}

pub(super) fn index() -> Value {
    let mut linux = descriptor(MediaType::OCI_MANIFEST, 13);
    linux["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
    let mut attestation = descriptor(MediaType::OCI_MANIFEST, 17);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [linux, attestation]})
}

/// The document with one top-level field set; `null` stands for Go's empty list.
fn with(mut document: Value, field: &str, value: Value) -> Value {
    document[field] = value;
    document
}

fn without(mut document: Value, field: &str) -> Value {
    document.as_object_mut().unwrap().remove(field);
    document
}

fn shape_error(media_type: &str, document: &Value) -> String {
    match parse(media_type, document) {
        Err(error @ InvalidManifest::Shape { .. }) => error.to_string(),
        other => panic!("{document} is {other:?}"),
    }
}

#[test]
fn an_image_manifest_is_read() {
    let manifest = parse(MediaType::OCI_MANIFEST, &image()).unwrap();
    assert_eq!(manifest.document.kind, ManifestKind::Image);
    assert_eq!(manifest.document.config.as_ref().map(|config| config.size), Some(7));
    assert_eq!(manifest.document.layers.iter().map(|layer| layer.size).collect::<Vec<_>>(), [11]);
    assert_eq!(
        manifest.document.artifact_type,
        Some(MediaType::from("application/vnd.oci.image.config.v1+json"))
    );
    assert_eq!((manifest.document.subject, manifest.document.children), (None, vec![]));
}

#[test]
fn a_docker_manifest_is_read() {
    let document = with(image(), "mediaType", json!(MediaType::DOCKER_MANIFEST));
    let document = with(document, "subject", descriptor(MediaType::DOCKER_MANIFEST, 1));
    let manifest = parse(MediaType::DOCKER_MANIFEST, &document).unwrap();
    assert_eq!(manifest.document.kind, ManifestKind::Image);
    assert_eq!(manifest.document.layers.len(), 1);
    assert_eq!(manifest.document.subject, None, "Docker's type knows no subject");
}

#[test]
fn an_index_is_read_with_platforms_and_attestations() {
    let manifest = parse(MediaType::OCI_INDEX, &index()).unwrap();
    assert_eq!(manifest.document.kind, ManifestKind::Index);
    assert_eq!(manifest.document.children.len(), 2);
    assert_eq!(
        manifest.document.platforms().map(ToString::to_string).collect::<Vec<_>>(),
        ["linux/arm64/v8"]
    );
    assert_eq!(
        manifest.document.children[1].annotations["vnd.docker.reference.type"],
        "attestation-manifest"
    );
    assert_eq!(manifest.document.artifact_type, None);
    let list = with(index(), "mediaType", json!(MediaType::DOCKER_LIST));
    assert_eq!(parse(MediaType::DOCKER_LIST, &list).unwrap().document.children, manifest.document.children);
}

#[test]
fn an_artifact_with_subject_is_read() {
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "artifactType": "application/vnd.example.sbom",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": 2, "data": "e30="},
        "layers": [],
        "subject": descriptor(MediaType::OCI_MANIFEST, 3),
        "annotations": {"a": "b"},
    });
    let manifest = parse(MediaType::OCI_MANIFEST, &document).unwrap();
    assert_eq!(manifest.document.artifact_type, Some(MediaType::from("application/vnd.example.sbom")));
    assert_eq!(manifest.document.subject.map(|subject| subject.size), Some(3));
    assert_eq!(manifest.document.annotations["a"], "b");
    let withdrawn = json!({
        "mediaType": MediaType::OCI_ARTIFACT,
        "artifactType": "application/vnd.example.sbom",
        "blobs": [descriptor("text/plain", 5)],
        "subject": descriptor(MediaType::OCI_MANIFEST, 3),
    });
    let manifest = parse(MediaType::OCI_ARTIFACT, &withdrawn).unwrap();
    assert_eq!((manifest.document.kind, manifest.document.layers.len()), (ManifestKind::Image, 1));
    assert!(manifest.document.subject.is_some() && manifest.document.config.is_none());
}

#[test]
fn an_index_may_be_a_referrer_too() {
    let document = with(index(), "subject", descriptor(MediaType::OCI_INDEX, 3));
    let manifest = parse(MediaType::OCI_INDEX, &with(document, "artifactType", json!("x/y"))).unwrap();
    assert_eq!(manifest.document.artifact_type, Some(MediaType::from("x/y")));
    assert!(manifest.document.subject.is_some());
}

#[test]
fn what_clients_leave_out_or_write_as_null_is_accepted() {
    for document in [
        without(image(), "schemaVersion"),
        without(image(), "mediaType"),
        with(image(), "mediaType", json!("")),
        without(image(), "layers"),
        with(image(), "layers", Value::Null),
        with(image(), "manifests", Value::Null),
        with(image(), "annotations", Value::Null),
        with(image(), "annotations", json!({"a": null})),
        with(image(), "artifactType", json!("")),
        with(image(), "subject", Value::Null),
        with(image(), "org.example.extension", json!({"Layers": [1, {"DIGEST": null}]})),
        with(image(), "annotations", json!({"Layers": "", "layers": "", "Digest": "x"})),
    ] {
        assert!(parse(MediaType::OCI_MANIFEST, &document).is_ok(), "{document}");
    }
    for document in [
        with(index(), "manifests", Value::Null),
        with(index(), "manifests", json!([])),
        with(index(), "layers", Value::Null),
    ] {
        assert!(parse(MediaType::OCI_INDEX, &document).is_ok(), "{document}");
    }
    let mut document = index();
    document["manifests"][0]["platform"] = json!({});
    document["manifests"][1]["platform"] = json!({"os": "linux", "architecture": "amd64", "variant": ""});
    let manifest = parse(MediaType::OCI_INDEX, &document).unwrap();
    assert_eq!(manifest.document.children[0].platform, None);
    assert_eq!(manifest.document.platforms().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64"]);
}

#[test]
fn a_document_that_calls_itself_something_else_is_refused() {
    for (header, document) in [
        (MediaType::OCI_MANIFEST, index()),
        (MediaType::OCI_INDEX, image()),
        (MediaType::DOCKER_MANIFEST, image()),
        (MediaType::DOCKER_LIST, index()),
        (
            MediaType::OCI_MANIFEST,
            with(image(), "mediaType", json!("application/VND.oci.image.manifest.v1+json")),
        ),
    ] {
        match parse(header, &document) {
            Err(InvalidManifest::MediaType { header: reported, .. }) => assert_eq!(reported.as_str(), header),
            other => panic!("{document} as {header} is {other:?}"),
        }
    }
}

/// CVE-2021-41190: a document that is an image to one reader and an index to another.
#[test]
fn a_document_of_two_types_is_refused() {
    let manifests = index()["manifests"].clone();
    let anonymous = |document| without(document, "mediaType");
    for (media_type, document) in [
        (MediaType::OCI_MANIFEST, with(image(), "manifests", manifests.clone())),
        (MediaType::OCI_MANIFEST, with(image(), "manifests", json!([]))),
        (MediaType::OCI_MANIFEST, with(anonymous(image()), "manifests", manifests.clone())),
        (MediaType::DOCKER_MANIFEST, with(anonymous(image()), "manifests", manifests.clone())),
        (MediaType::OCI_MANIFEST, with(image(), "fsLayers", json!([]))),
        (MediaType::OCI_INDEX, with(index(), "layers", json!([]))),
        (MediaType::OCI_INDEX, with(index(), "config", image()["config"].clone())),
        (MediaType::DOCKER_LIST, with(anonymous(index()), "layers", image()["layers"].clone())),
        (MediaType::OCI_INDEX, with(index(), "blobs", json!([]))),
        (MediaType::OCI_INDEX, with(index(), "fsLayers", json!([]))),
        (MediaType::OCI_ARTIFACT, json!({"blobs": [], "manifests": []})),
        (MediaType::OCI_ARTIFACT, json!({"blobs": [], "layers": []})),
    ] {
        assert!(shape_error(media_type, &document).contains("belongs to another type"), "{document}");
    }
}

#[test]
fn a_document_that_registries_read_differently_is_refused() {
    let spelt = |document: Value, key: &str| document.to_string().replacen("\"layers\"", key, 1);
    let nested = |from: &str, to: &str| image().to_string().replacen(from, to, 1);
    for text in [
        spelt(image(), "\"Layers\""),
        spelt(image(), "\"layer\u{17f}\""),
        spelt(image(), "\"layers\":[],\"layers\""),
        spelt(image(), "\"layers\":[],\"LAYERS\""),
        spelt(image(), "\"Manifests\":[],\"layers\""),
        nested("\"digest\"", "\"digest\":\"x\",\"digest\""),
        nested("\"digest\"", "\"Digest\""),
        nested("\"size\"", "\"SIZE\":1,\"size\""),
        nested("\"mediaType\"", "\"mediatype\""),
        format!("[2,\"{}\",{}]", MediaType::OCI_MANIFEST, image()["config"]),
        image().to_string() + "{}",
        image().to_string() + "x",
    ] {
        let body = Bytes::from(text);
        let refused = !assert_holds_together(Some(MediaType::OCI_MANIFEST), body.clone());
        assert!(refused, "{body:?}");
    }
    let config = json!(["x/y", DIGEST, 1]);
    assert!(shape_error(MediaType::OCI_MANIFEST, &with(image(), "config", config)).contains("an array"));
    let mut document = index();
    document["manifests"][0]["platform"] = json!({"OS": "windows", "os": "linux", "architecture": "amd64"});
    assert!(shape_error(MediaType::OCI_INDEX, &document).contains("`os` must be spelt"));
}

/// distribution 2.8.2 and 3.1.1 take each of these.
#[test]
fn what_a_registry_takes_is_taken_and_what_is_not_told_is_absent() {
    for (field, value) in [
        ("size", None),
        ("size", Some(Value::Null)),
        ("size", Some(json!(-1))),
        ("mediaType", None),
        ("mediaType", Some(Value::Null)),
    ] {
        let mut document = image();
        let layer = document["layers"][0].as_object_mut().unwrap();
        match value {
            Some(value) => layer.insert(field.to_owned(), value),
            None => layer.remove(field),
        };
        let manifest = parse(MediaType::OCI_MANIFEST, &document).unwrap();
        let layer = &manifest.document.layers[0];
        assert_eq!(layer.digest.as_str(), DIGEST);
        let (size, media_type) =
            if field == "size" { (0, "application/vnd.oci.image.layer.v1.tar+gzip") } else { (11, "") };
        assert_eq!((layer.size, layer.media_type.as_str()), (size, media_type), "{document}");
    }
    let bare = parse(MediaType::OCI_MANIFEST, &with(image(), "config", json!({"digest": DIGEST}))).unwrap();
    assert_eq!((bare.document.config.unwrap().size, bare.document.artifact_type), (0, None));
    for (field, value) in [
        ("artifactType", json!(1)),
        ("artifactType", json!({"a": []})),
        ("annotations", json!(["a"])),
        ("annotations", json!({"a": 1, "b": {"c": "d"}})),
        ("subject", json!({})),
        ("subject", json!({"mediaType": "x/y"})),
    ] {
        let manifest = parse(MediaType::OCI_MANIFEST, &with(image(), field, value)).unwrap();
        assert_eq!((manifest.document.subject, manifest.document.annotations.len()), (None, 0), "{field}");
    }
    let subject =
        parse(MediaType::OCI_MANIFEST, &with(image(), "subject", json!({"digest": DIGEST}))).unwrap();
    assert_eq!(subject.document.subject.map(|subject| subject.size), Some(0));
    for media_type in [MediaType::OCI_INDEX, MediaType::DOCKER_LIST] {
        let document = with(without(index(), "manifests"), "mediaType", json!(media_type));
        assert_eq!(parse(media_type, &document).unwrap().document.children, []);
    }
    let mut child = index();
    child["manifests"] = json!([{"digest": DIGEST}]);
    assert_eq!(parse(MediaType::OCI_INDEX, &child).unwrap().document.children[0].size, 0);
    let mut latin1 =
        image().to_string().replacen('{', "{\"annotations\":{\"author\":\"J?rg\"},", 1).into_bytes();
    let place = latin1.iter().position(|byte| *byte == b'?').unwrap();
    latin1[place] = 0xf6;
    let manifest =
        Manifest::parse(Bytes::from(latin1), Some(MediaType::from(MediaType::OCI_MANIFEST))).unwrap();
    assert_eq!(manifest.document.annotations["author"], "J\u{fffd}rg");
}

#[test]
fn a_document_without_the_shape_of_its_type_is_refused() {
    for document in [
        without(image(), "config"),
        with(image(), "config", Value::Null),
        with(image(), "schemaVersion", json!(1)),
        with(image(), "schemaVersion", json!("2")),
        with(image(), "layers", json!({})),
        with(image(), "layers", json!([null])),
        with(image(), "layers", json!([{"mediaType": "x/y", "size": 1}])),
        with(image(), "subject", json!("x")),
        json!([]),
        json!(null),
        json!("x"),
        json!({}),
    ] {
        shape_error(MediaType::OCI_MANIFEST, &document);
    }
    for (field, value) in [
        ("digest", json!("sha256:00")),
        ("digest", json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        ("digest", json!("")),
        ("size", json!(1.5)),
        ("size", json!("1")),
        ("size", json!(1_u64 << 63)),
        ("mediaType", json!(1)),
    ] {
        let mut document = image();
        document["layers"][0][field] = value;
        shape_error(MediaType::OCI_MANIFEST, &document);
    }
}

#[test]
fn malformed_json_of_a_known_type_is_refused() {
    for body in ["", "{", "nonsense", "\u{feff}{}", "{\"schemaVersion\":2,}"] {
        for media_type in [MediaType::OCI_MANIFEST, MediaType::OCI_INDEX, MediaType::OCI_ARTIFACT] {
            assert!(!assert_holds_together(Some(media_type), Bytes::from(body)), "{body:?} as {media_type}");
        }
    }
}

#[test]
fn schema_1_and_unknown_types_are_kept_unread() {
    for media_type in [
        MediaType::DOCKER_SCHEMA_1,
        MediaType::DOCKER_SCHEMA_1_SIGNED,
        "application/vnd.example.other+json",
        "application/json",
    ] {
        for body in [image().to_string(), "no json".to_owned(), String::new()] {
            let manifest = Manifest::parse(Bytes::from(body), Some(MediaType::from(media_type))).unwrap();
            assert_eq!(
                (manifest.document.kind, manifest.document.media_type.as_str()),
                (ManifestKind::Opaque, media_type)
            );
            assert_eq!((manifest.document.config, manifest.document.layers.len()), (None, 0));
        }
    }
}

#[test]
fn without_a_header_the_document_says_what_it_is() {
    let named = |document: &Value| parse("", document).unwrap().document.media_type.to_string();
    assert_eq!(named(&image()), MediaType::OCI_MANIFEST);
    assert_eq!(named(&without(image(), "mediaType")), MediaType::OCI_MANIFEST);
    assert_eq!(named(&index()), MediaType::OCI_INDEX);
    assert_eq!(named(&without(index(), "mediaType")), MediaType::OCI_INDEX);
    assert_eq!(named(&with(index(), "mediaType", json!(MediaType::DOCKER_LIST))), MediaType::DOCKER_LIST);
    assert_eq!(named(&json!({"mediaType": "application/vnd.example"})), "application/vnd.example");
    for unknown in
        [json!({}), json!([]), json!({"config": {}}), json!({"config": {}, "layers": [], "manifests": []})]
    {
        assert_eq!(named(&unknown), "application/octet-stream", "{unknown}");
    }
    let header = Some(MediaType::from_header(" "));
    let manifest = Manifest::parse(Bytes::from(image().to_string()), header).unwrap();
    assert_eq!(manifest.document.kind, ManifestKind::Image);
    let manifest = Manifest::parse(Bytes::from_static(b"\xff"), None).unwrap();
    assert_eq!(manifest.document.kind, ManifestKind::Opaque);
}

#[test]
fn the_header_is_read_without_regard_to_case_and_parameters() {
    let header = "Application/VND.oci.image.manifest.v1+JSON; charset=utf-8";
    assert_eq!(parse(header, &image()).unwrap().document.media_type.as_str(), MediaType::OCI_MANIFEST);
}

#[test]
fn another_digest_can_be_set() {
    let sha512 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
    let manifest = parse(MediaType::OCI_MANIFEST, &image()).unwrap();
    assert_eq!(manifest.digest, Digest::sha256(&manifest.bytes));
    assert_eq!(manifest.with_digest(sha512.clone()).digest, sha512);
}

#[test]
fn a_manifest_of_the_largest_size_is_read() {
    let annotations: BTreeMap<_, _> =
        (0..390).map(|number| (format!("annotation-{number}"), "A".repeat(10_000))).collect();
    let document = with(image(), "annotations", json!(annotations));
    let manifest = parse(MediaType::OCI_MANIFEST, &document).unwrap();
    assert_eq!(manifest.document.annotations.len(), 390);
    assert!(manifest.bytes.len() > 3_900_000 && manifest.bytes.len() < MAXIMUM_MANIFEST_BYTES);
}

#[test]
fn a_document_of_very_many_values_is_refused() {
    let of = |count: usize| with(image(), "x", json!(vec![0; count]));
    assert!(parse(MediaType::OCI_MANIFEST, &of(99_000)).is_ok());
    assert!(shape_error(MediaType::OCI_MANIFEST, &of(100_000)).contains("at most"));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = format!("{{\"x\":{deep},\"config\":{},\"layers\":[]}}", image()["config"]);
    assert!(!assert_holds_together(Some(MediaType::OCI_MANIFEST), Bytes::from(text)));
}

#[test]
fn an_error_quotes_a_piece_of_the_document_at_most() {
    let long = "x".repeat(1 << 20);
    for document in [
        with(image(), "mediaType", json!(long)),
        with(image(), "config", json!(long)),
        with(image(), "schemaVersion", json!(long)),
        with(image(), "layers", json!([{"mediaType": "x/y", "digest": long, "size": 1}])),
    ] {
        let error = parse(MediaType::OCI_MANIFEST, &document).unwrap_err().to_string();
        assert!(error.len() < 1024, "{}", error.len());
    }
}

#[test]
fn of_what_an_index_names_only_manifests_are_child_manifests() {
    let child = |media_type: &str, content: &str| {
        let digest = crate::oci::Digest::sha256(content.as_bytes());
        serde_json::json!({ "mediaType": media_type, "digest": digest.as_str(), "size": 2 })
    };
    let children = [
        child("application/vnd.oci.image.layer.v1.tar+gzip", "layer"),
        child(MediaType::OCI_MANIFEST, "image"),
        child("application/vnd.buildkit.cacheconfig.v0", "configuration"),
        child("application/vnd.example.unknown+json", "unknown"),
        child(MediaType::DOCKER_LIST, "list"),
        child("", "without a type"),
    ];
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": children }).to_string();
    let index = Manifest::parse(index.into(), Some(MediaType::from(MediaType::OCI_INDEX))).unwrap();
    assert_eq!(index.document.children.len(), 6, "all are kept");
    let followed: Vec<_> = index.document.child_manifests().cloned().collect();
    assert_eq!(followed, ["image", "list"].map(|content| crate::oci::Digest::sha256(content.as_bytes())));
}

#[test]
fn a_manifest_has_the_digests_of_its_bytes_and_no_others() {
    let manifest = parse(MediaType::OCI_MANIFEST, &image()).unwrap();
    let sha512 = Digest::parse(&format!("sha512:{}", hex::encode(Sha512::digest(&manifest.bytes)))).unwrap();
    let sha384 = Digest::parse(&format!("sha384:{}", "0".repeat(96))).unwrap();
    for known_by in [&manifest.digest, &sha512, &sha384] {
        let known = manifest.clone().with_digest(known_by.clone());
        assert_eq!(known.has_digest(&manifest.digest), Some(true), "{known_by}");
        assert_eq!(known.has_digest(&sha512), Some(true), "{known_by}");
        assert_eq!(known.has_digest(&Digest::sha256(b"another")), Some(false), "{known_by}");
        assert_eq!(known.has_digest(&sha384), None, "{known_by}");
    }
}
