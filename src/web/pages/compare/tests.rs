use std::collections::BTreeMap;

use super::*;
use crate::oci::{BuildStep, Descriptor, Digest, Document, ImageConfig, ManifestKind, MediaType, Platform};
use crate::store::Source;
use crate::web::pages::format::CutText;

fn record(layers: &[&str], labels: &[(&str, &str)]) -> ManifestRecord {
    let mut document = Document::unread(MediaType::OCI_MANIFEST.into(), 7);
    document.kind = ManifestKind::Image;
    let layer = |text: &&str| Descriptor {
        media_type: "application/x".into(),
        digest: Digest::sha256(text.as_bytes()),
        size: text.len() as u64,
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    };
    document.layers = layers.iter().map(layer).collect();
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ManifestRecord {
        digest: Digest::sha256(layers.concat().as_bytes()),
        document,
        tags: Vec::new(),
        pushed_at: None,
        found_at: None,
        source: Source::Observed,
        missing: None,
        image: Some(ImageConfig { labels: labels.collect(), ..ImageConfig::default() }),
    }
}

#[test]
fn layers_stand_in_their_order_each_with_whether_it_came_went_or_stayed() {
    let (old, new) = (record(&["base", "deps1", "app1"], &[]), record(&["base", "deps2", "app1", "x"], &[]));
    let (rows, counts) = layers(&old, &new);
    let digest = |text: &str| Digest::sha256(text.as_bytes()).encoded()[..12].to_owned();
    let shown: Vec<_> = rows.iter().map(|row| (row.standing, row.digest.short().to_owned())).collect();
    assert_eq!(
        shown,
        [
            (Standing::Kept, digest("base")),
            (Standing::Removed, digest("deps1")),
            (Standing::Added, digest("deps2")),
            (Standing::Kept, digest("app1")),
            (Standing::Added, digest("x")),
        ]
    );
    assert_eq!((counts.added, counts.removed, counts.kept), (2, 1, 2));
    assert_eq!((counts.added_bytes, counts.removed_bytes, counts.kept_bytes), (6, 5, 8));
}

#[test]
fn a_layer_that_stands_there_twice_has_the_step_that_made_it_at_each_place() {
    let mut image = record(&["base", "empty", "app", "empty"], &[]);
    let step = |command: &str| BuildStep { command: Some(command.to_owned()), ..BuildStep::default() };
    let history = ["FROM", "WORKDIR /a", "COPY", "WORKDIR /b"].map(step).into();
    image.image = Some(ImageConfig { history, ..ImageConfig::default() });
    let (rows, _) = layers(&record(&[], &[]), &image);
    let made_by: Vec<_> = rows.iter().map(|row| row.command.as_deref().unwrap()).collect();
    assert_eq!(made_by, ["FROM", "WORKDIR /a", "COPY", "WORKDIR /b"]);
}

#[test]
fn parts_for_one_platform_stand_beside_parts_for_the_same() {
    let index = |parts: &[(&str, &str)]| {
        let mut document = record(&[], &[]).document;
        let part = |(architecture, text): &(&str, &str)| Descriptor {
            platform: Some(Platform {
                os: "linux".to_owned(),
                architecture: (*architecture).to_owned(),
                variant: None,
            }),
            digest: Digest::sha256(text.as_bytes()),
            ..record(&["x"], &[]).document.layers.remove(0)
        };
        document.children = parts.iter().map(part).collect();
        document
    };
    let old = index(&[("amd64", "a1"), ("amd64", "same"), ("s390x", "s")]);
    let new = index(&[("arm64", "r"), ("amd64", "same"), ("amd64", "a2"), ("amd64", "a3")]);
    let rows = parts(&RepositoryName::parse("app").unwrap(), &old, &new);
    let short = |text: &str| Digest::sha256(text.as_bytes()).encoded()[..12].to_owned();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let [from, towards] =
                [&row.from, &row.towards].map(|side| side.as_ref().map(|it| it.short().to_owned()));
            (&*row.platform, from, towards, row.page.is_some())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("linux/amd64", Some(short("same")), Some(short("same")), false),
            ("linux/amd64", Some(short("a1")), Some(short("a2")), true),
            ("linux/amd64", None, Some(short("a3")), false),
            ("linux/arm64", None, Some(short("r")), false),
            ("linux/s390x", Some(short("s")), None, false),
        ]
    );
}

#[test]
fn what_is_said_differently_is_told_and_nothing_else() {
    let old = record(&[], &[("same", "1"), ("version", "1"), ("gone", "x")]);
    let new = record(&[], &[("same", "1"), ("version", "2"), ("new", "y")]);
    let change = |name: &str, from: Option<&str>, towards: Option<&str>| Change {
        name: name.to_owned(),
        from: from.map(CutText::from),
        towards: towards.map(CutText::from),
    };
    assert_eq!(
        changes(&old, &new),
        [
            change("Label gone", Some("x"), None),
            change("Label new", None, Some("y")),
            change("Label version", Some("1"), Some("2")),
        ]
    );
    let whole = |bytes| WholeSize { bytes, is_least: false };
    assert_eq!(difference(whole(1024), whole(2048)), "1.00 KiB more");
    assert_eq!(difference(whole(2048), whole(1024)), "1.00 KiB less");
    assert_eq!(difference(whole(1), whole(1)), "as large as before");
}
