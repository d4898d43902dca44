//! What images say of themselves.

use super::{AnyStore, carry, deleting, find, push};
use crate::oci::{Descriptor, ImageConfig, Manifest, MediaType, Platform};
use crate::store::sample::{blob, image, index, manifest_deleted, put, repository, repository_gone, tag};
use crate::store::{FoundImage, PageRequest, ReadImage, Sequence, Source, UnreadImage};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image that has the configuration of one.
fn runnable(config: &str) -> Manifest {
    let mut image = image(config, &[]);
    image.document.config = Some(Descriptor { media_type: MediaType::from(CONFIG), ..blob(config) });
    image
}

fn found(name: &str, manifest: &Manifest) -> FoundImage {
    FoundImage { repository: repository(name), digest: manifest.digest.clone() }
}

fn config(architecture: &str) -> ImageConfig {
    let (os, architecture) = ("linux".to_owned(), architecture.to_owned());
    let platform = Some(Platform { os, architecture, variant: None });
    ImageConfig { platform, labels: [("a".to_owned(), "b".to_owned())].into(), ..ImageConfig::default() }
}

async fn keep(store: &AnyStore, name: &str, manifest: &Manifest, config: Option<ImageConfig>) {
    let FoundImage { repository, digest } = found(name, manifest);
    store.keep_images(vec![ReadImage { repository, digest, config }], Sequence::new(1)).await.unwrap();
}

pub(in crate::store) async fn what_an_image_says_is_kept_once_and_goes_with_its_manifest(store: AnyStore) {
    let (one, two, artifact) = (runnable("one"), runnable("two"), image("artifact", &[]));
    push(&store, "r", &one, &["t"], 1).await;
    push(&store, "s", &one, &["t"], 1).await;
    push(&store, "r", &two, &[], 1).await;
    push(&store, "r", &artifact, &["u"], 1).await;
    push(&store, "r", &index([&one, &two]), &["v"], 1).await;
    let all = vec![
        found("r", &one),
        found("r", &two),
        found("s", &one),
        found("r", &artifact),
        found("r", &index([&one, &two])),
        found("s", &two),
        found("none", &one),
    ];
    let unread = async || store.unread_images(all.clone()).await.unwrap();
    let of = |name, manifest: &Manifest, configuration| UnreadImage {
        repository: repository(name),
        digest: manifest.digest.clone(),
        config: Descriptor { media_type: MediaType::from(CONFIG), ..blob(configuration) },
    };
    assert_eq!(unread().await, [of("r", &one, "one"), of("r", &two, "two"), of("s", &one, "one")]);
    keep(&store, "r", &one, Some(config("arm64"))).await;
    keep(&store, "r", &two, None).await;
    keep(&store, "none", &one, Some(config("arm64"))).await;
    assert_eq!(unread().await, [of("s", &one, "one")], "what cannot be had is not asked for again");
    let shown = async |name, manifest: &Manifest| {
        store.manifest(&repository(name), &manifest.digest).await.unwrap().and_then(|record| record.image)
    };
    assert_eq!(shown("r", &one).await, Some(config("arm64")));
    assert_eq!((shown("r", &two).await, shown("s", &one).await), (None, None));
    let page = PageRequest { after: None, limit: 9 };
    let listed = store.manifests(&repository("r"), page).await.unwrap().items;
    assert_eq!(listed.iter().filter(|record| record.image.is_some()).count(), 1);
    // Another push of it changes nothing.
    push(&store, "r", &one, &["t", "w"], 2).await;
    assert_eq!(shown("r", &one).await, Some(config("arm64")));
    carry(&store, "r", deleting(&one), vec![manifest_deleted("r", &one)], 3).await;
    push(&store, "r", &one, &["t"], 4).await;
    assert_eq!(shown("r", &one).await, None);
    assert_eq!(unread().await, [of("r", &one, "one"), of("s", &one, "one")]);
    keep(&store, "r", &one, Some(config("arm64"))).await;
    find(&store, repository_gone("r"), Source::Swept, 5).await;
    find(&store, put("r", &one, &["t"]), Source::Swept, 6).await;
    assert_eq!(shown("r", &one).await, None);
}

pub(in crate::store) async fn a_tag_knows_the_platform_of_its_image(store: AnyStore) {
    let (one, two) = (runnable("one"), runnable("two"));
    push(&store, "r", &one, &["t", "u"], 1).await;
    push(&store, "r", &two, &["v"], 1).await;
    push(&store, "r", &index([&one, &two]), &["w"], 1).await;
    keep(&store, "r", &one, Some(config("arm64"))).await;
    push(&store, "r", &one, &["x"], 2).await;
    let page = PageRequest { after: None, limit: 9 };
    let tags = store.tags(&repository("r"), page).await.unwrap().items;
    let platforms: Vec<_> = tags.iter().map(|tag| tag.platforms.join(" ")).collect();
    assert_eq!(platforms, ["linux/arm64", "linux/arm64", "", "linux/amd64 linux/arm64/v8", "linux/arm64"]);
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap(), tags[0]);
}

pub(in crate::store) async fn how_far_images_were_read_is_kept(store: AnyStore) {
    assert_eq!(store.images_read_until().await.unwrap(), Sequence::ZERO);
    push(&store, "r", &image("one", &[]), &["t"], 1).await;
    let last = store.sequence().await.unwrap();
    store.keep_images(Vec::new(), last).await.unwrap();
    assert_eq!(store.images_read_until().await.unwrap(), last);
    assert_eq!(store.sequence().await.unwrap(), last, "nothing has happened");
}
