//! What must hold for any manifest and any bytes. `check` is shared with the fuzz target.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::check::manifest_check::assert_holds_together;
use super::tests::{image, index, parse};
use super::*;

/// A descriptor and the JSON that a client would write for it.
fn any_descriptor() -> impl Strategy<Value = (Descriptor, Value)> {
    let platform =
        (select(vec!["linux", "windows", "unknown"]), select(vec!["amd64", "arm64"]), any::<bool>());
    (
        "[a-z]{1,8}/[a-z.+-]{1,12}",
        "[0-9a-f]{8}",
        0..=i64::MAX as u64,
        proptest::option::of(platform),
        proptest::option::of("[a-z]{1,8}/[a-z]{1,8}"),
        btree_map(".{0,8}", ".{0,8}", 0..3),
    )
        .prop_map(|(media_type, digits, size, platform, artifact_type, annotations)| {
            let digest = format!("sha256:{}", digits.repeat(8));
            let mut written = json!({"mediaType": media_type, "digest": digest, "size": size, "urls": ["x"]});
            if let Some((os, architecture, has_variant)) = platform {
                written["platform"] = json!({"os": os, "architecture": architecture, "os.version": "1"});
                if has_variant {
                    written["platform"]["variant"] = json!("v8");
                }
            }
            if let Some(artifact_type) = &artifact_type {
                written["artifactType"] = json!(artifact_type);
            }
            if !annotations.is_empty() {
                written["annotations"] = json!(annotations);
            }
            let descriptor = Descriptor {
                media_type: MediaType::from(media_type.as_str()),
                digest: Digest::parse(&digest).unwrap(),
                size,
                platform: platform.map(|(os, architecture, has_variant)| Platform {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant: has_variant.then(|| "v8".to_owned()),
                }),
                artifact_type: artifact_type.as_deref().map(MediaType::from),
                annotations,
            };
            (descriptor, written)
        })
}

proptest! {
    #[test]
    fn a_generated_manifest_gives_its_fields_back(
        (config, config_written) in any_descriptor(),
        (subject, subject_written) in any_descriptor(),
        has_subject in any::<bool>(),
        items in vec(any_descriptor(), 0..5),
        artifact_type in proptest::option::of("[a-z]{1,8}/[a-z]{1,8}"),
        annotations in btree_map(".{0,8}", ".{0,8}", 0..4),
        has_header in any::<bool>(),
        is_index in any::<bool>(),
    ) {
        let (items, items_written): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let media_type = if is_index { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST };
        let mut document = json!({"schemaVersion": 2, "mediaType": media_type, "annotations": annotations});
        if is_index {
            document["manifests"] = json!(items_written);
        } else {
            document["config"] = config_written;
            document["layers"] = json!(items_written);
        }
        if has_subject {
            document["subject"] = subject_written;
        }
        if let Some(artifact_type) = &artifact_type {
            document["artifactType"] = json!(artifact_type);
        }
        let manifest = parse(if has_header { media_type } else { "" }, &document).unwrap();
        let artifact_type = artifact_type.as_deref().map(MediaType::from);
        prop_assert_eq!(manifest.document.media_type.as_str(), media_type);
        prop_assert_eq!(manifest.document.subject, has_subject.then_some(subject));
        prop_assert_eq!(manifest.document.annotations, annotations);
        if is_index {
            prop_assert_eq!(manifest.document.children, items);
            prop_assert_eq!(manifest.document.artifact_type, artifact_type);
        } else {
            prop_assert_eq!(manifest.document.layers, items);
            prop_assert_eq!(manifest.document.artifact_type, artifact_type.or(Some(config.media_type.clone())));
            prop_assert_eq!(manifest.document.config, Some(config));
        }
    }

    #[test]
    fn no_bytes_break_the_parser(
        header in proptest::option::of(select(vec![
            MediaType::OCI_MANIFEST, MediaType::OCI_INDEX, MediaType::OCI_ARTIFACT, MediaType::DOCKER_MANIFEST,
            MediaType::DOCKER_LIST, MediaType::DOCKER_SCHEMA_1, "", "x/y",
        ])),
        body in vec(any::<u8>(), 0..200),
    ) {
        assert_holds_together(header, Bytes::from(body));
    }

    /// A well-formed manifest with bytes overwritten: deeper into the parser than noise gets.
    #[test]
    fn no_damaged_manifest_breaks_the_parser(
        is_index in any::<bool>(),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (media_type, document) =
            if is_index { (MediaType::OCI_INDEX, index()) } else { (MediaType::OCI_MANIFEST, image()) };
        let mut body = document.to_string().into_bytes();
        for (index, byte) in damage {
            let position = index.index(body.len());
            body[position] = byte;
        }
        assert_holds_together(Some(media_type), Bytes::from(body.clone()));
        assert_holds_together(None, Bytes::from(body));
    }
}
