//! `cosign` 3: signatures by a key, without any service of Sigstore, kept as referrers of the image.

use crate::support::image::Image;
use crate::support::tool::Tool;

use super::{Sides, fallback_tag};

/// The client with a key pair, `cosign.key` and `cosign.pub`, and `services.json`, which says that there are no services.
async fn cosign() -> Tool {
    let cosign = Tool::brought("cosign").set("COSIGN_PASSWORD", "secret");
    cosign.run(&["generate-key-pair"]).await;
    cosign.run(&["signing-config", "create", "--out", "services.json"]).await;
    cosign
}

/// Signs an image at both sides.
async fn sign(sides: &Sides, cosign: &Tool, image: &str, note: &str) {
    let note = format!("note={note}");
    let sign =
        ["sign", "--yes", "--key", "cosign.key", "--signing-config", "services.json", "-a", &note, image];
    sides.same(cosign, &sign).await;
}

/// Verifies an image at both sides: how many signatures there are.
async fn verify(sides: &Sides, cosign: &Tool, image: &str) -> usize {
    let verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", image];
    let mut counted = Vec::new();
    for address in sides.addresses() {
        let said = super::run(cosign, &verify, &address).await;
        let signatures: serde_json::Value = serde_json::from_str(&said).unwrap();
        counted.push(signatures.as_array().unwrap().len());
    }
    assert_eq!(counted[0], counted[1], "{image}");
    counted[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn cosign_verifies_what_it_signed_before_the_record_was_complete_and_after() {
    let sides = Sides::new().await;
    let (signer, stranger) = (cosign().await, cosign().await);
    let image = Image::small(1);
    sides.push(&image, "team/app", "v1").await;
    let by_digest = format!("HOST/team/app@{}", image.digest);

    // The door asks the registry, which knows no referrers: the client keeps the signature under a tag.
    sign(&sides, &signer, &by_digest, "first").await;
    let fallback = fallback_tag(&image.digest);
    sides.assert_tags("team/app", &[&fallback, "v1"]).await;
    assert_eq!(verify(&sides, &signer, "HOST/team/app:v1").await, 1);

    // The door answers, with what is under the tag and with what comes after it.
    sides.compare().await;
    assert_eq!(verify(&sides, &signer, "HOST/team/app:v1").await, 1);
    sign(&sides, &signer, &by_digest, "second").await;
    assert_eq!(verify(&sides, &signer, "HOST/team/app:v1").await, 2);
    assert_eq!(verify(&sides, &signer, &by_digest).await, 2);
    let tree = sides.through_the_door(&signer, &["tree", &by_digest]).await;
    assert_eq!(tree.matches("via OCI referrer").count(), 2, "{tree}");

    // Who has signed nothing verifies nothing, and nobody verifies what is not signed.
    let other = Image::small(2);
    sides.push(&other, "team/app", "v2").await;
    for (cosign, image) in [(&stranger, "HOST/team/app:v1"), (&signer, "HOST/team/app:v2")] {
        for address in sides.addresses() {
            let image = image.replace(super::HOST, &address);
            let verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", &image];
            assert!(!cosign.attempt(&verify).await.status.success(), "{image}");
        }
    }
    sign(&sides, &signer, &format!("HOST/team/app@{}", other.digest), "third").await;
    assert_eq!(verify(&sides, &signer, "HOST/team/app:v2").await, 1);
    sides.assert_tags("team/app", &[&fallback, "v1", "v2"]).await;
    sides.compare().await;
}
