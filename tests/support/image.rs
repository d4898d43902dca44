//! Images made in memory, and pushed by plain HTTP.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::http::http_client;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A manifest with the blobs it names.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its bytes.
    pub manifest: Bytes,
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Digest and bytes of each blob.
    pub blobs: Vec<(String, Bytes)>,
}

impl Image {
    /// A configuration and one small layer under an OCI manifest; each seed makes another image.
    pub fn small(seed: u64) -> Self {
        Self::with_layer(seed, OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)
    }

    /// The same as Docker makes it: schema 2.
    pub fn docker(seed: u64) -> Self {
        Self::with_layer(seed, DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
    }

    /// An OCI manifest of at least so many bytes, with an empty configuration and nothing else.
    pub fn heavy(seed: u64, bytes: usize) -> Self {
        let empty = Bytes::from_static(b"{}");
        let document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_EMPTY, &empty),
            "layers": [],
            "annotations": {"seed": seed.to_string(), "weight": "x".repeat(bytes)},
        });
        Self::of(&document, OCI_MANIFEST, vec![empty])
    }

    /// An OCI index of these, each for a platform of its own.
    pub fn index(children: &[&Self]) -> Self {
        let architectures = ["amd64", "arm64", "arm", "s390x"];
        let manifests: Vec<Value> = children
            .iter()
            .zip(architectures)
            .map(|(child, architecture)| {
                json!({
                    "mediaType": child.media_type, "digest": child.digest, "size": child.manifest.len(),
                    "platform": {"os": "linux", "architecture": architecture},
                })
            })
            .collect();
        let document = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        Self::of(&document, OCI_INDEX, Vec::new())
    }

    /// A cache as BuildKit exports it: an OCI index of layers and of a configuration, none of which is a manifest; and
    /// perhaps of images besides.
    pub fn buildkit_cache(layers: usize, images: &[&Self]) -> Self {
        let mut blobs: Vec<Bytes> =
            (0..layers).map(|number| Bytes::from(format!("layer {number}"))).collect();
        let mut manifests: Vec<Value> = blobs
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer))
            .collect();
        let configuration = Bytes::from_static(br#"{"layers":[],"records":[]}"#);
        manifests.push(descriptor("application/vnd.buildkit.cacheconfig.v0", &configuration));
        blobs.push(configuration);
        manifests.extend(images.iter().map(|image| descriptor(&image.media_type, &image.manifest)));
        let document = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        Self::of(&document, OCI_INDEX, blobs)
    }

    /// A Docker manifest list of these, all for one platform.
    pub fn docker_list(children: &[&Self]) -> Self {
        let child = |child: &&Self| {
            json!({
                "mediaType": child.media_type, "digest": child.digest, "size": child.manifest.len(),
                "platform": {"os": "linux", "architecture": "amd64"},
            })
        };
        let manifests: Vec<Value> = children.iter().map(child).collect();
        let document = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": manifests});
        Self::of(&document, DOCKER_LIST, Vec::new())
    }

    /// An OCI artifact that is about another manifest.
    pub fn about(subject: &Self, seed: u64) -> Self {
        let empty = Bytes::from_static(b"{}");
        let layer = Bytes::from(format!("about {} {seed}", subject.digest));
        let document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example.statement",
            "config": descriptor(OCI_EMPTY, &empty),
            "layers": [descriptor("text/plain", &layer)],
            "subject": {
                "mediaType": subject.media_type, "digest": subject.digest, "size": subject.manifest.len(),
            },
        });
        Self::of(&document, OCI_MANIFEST, vec![empty, layer])
    }

    /// An image manifest that is about another one: its artifact type is that of its configuration, and it has an annotation,
    /// `name=value`.
    pub fn plain_about(subject: &Self, seed: u64, config: &str, annotation: &str) -> Self {
        let (name, value) = annotation.split_once('=').unwrap();
        let empty = Bytes::from(format!("{{\"seed\": {seed}}}"));
        let document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, &empty),
            "layers": [],
            "subject": {
                "mediaType": subject.media_type, "digest": subject.digest, "size": subject.manifest.len(),
            },
            "annotations": {name: value},
        });
        Self::of(&document, OCI_MANIFEST, vec![empty])
    }

    fn with_layer(seed: u64, manifest: &str, config: &str, layer: &str) -> Self {
        let layer_bytes = Bytes::from(format!("layer {seed}\n").repeat(20));
        let config_bytes = Bytes::from(
            json!({
                "architecture": "amd64", "os": "linux", "config": {"Labels": {"seed": seed.to_string()}},
                "rootfs": {"type": "layers", "diff_ids": [digest(&layer_bytes)]},
            })
            .to_string(),
        );
        let document = json!({
            "schemaVersion": 2,
            "mediaType": manifest,
            "config": descriptor(config, &config_bytes),
            "layers": [descriptor(layer, &layer_bytes)],
        });
        Self::of(&document, manifest, vec![config_bytes, layer_bytes])
    }

    /// A manifest of this content, with its blobs.
    pub fn of(document: &Value, media_type: &str, blobs: Vec<Bytes>) -> Self {
        let manifest = Bytes::from(document.to_string());
        Self {
            digest: digest(&manifest),
            manifest,
            media_type: media_type.to_owned(),
            blobs: blobs.into_iter().map(|blob| (digest(&blob), blob)).collect(),
        }
    }

    /// Uploads the blobs, each in one piece.
    pub async fn push_blobs(&self, base: &str, repository: &str) {
        let client = http_client();
        for (digest, bytes) in &self.blobs {
            let url = format!("{base}/v2/{repository}/blobs/uploads/");
            let started = client.post(url).send().await.unwrap();
            assert_eq!(started.status(), 202, "{}", started.text().await.unwrap());
            let location = started.headers()[LOCATION].to_str().unwrap();
            let location =
                if location.starts_with('/') { format!("{base}{location}") } else { location.to_owned() };
            let separator = if location.contains('?') { '&' } else { '?' };
            let url = format!("{location}{separator}digest={digest}");
            let finished = client
                .put(url)
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(bytes.clone())
                .send()
                .await
                .unwrap();
            assert_eq!(finished.status(), 201, "{}", finished.text().await.unwrap());
        }
    }

    /// Puts the manifest; its blobs have to be there.
    pub async fn put(&self, base: &str, repository: &str, reference: &str) -> Response {
        self.put_by(&http_client(), base, repository, reference).await.unwrap()
    }

    /// The same with this client, whose failure to get an answer is handed on.
    pub async fn put_by(
        &self,
        client: &reqwest::Client,
        base: &str,
        repository: &str,
        reference: &str,
    ) -> reqwest::Result<Response> {
        let request = client.put(format!("{base}/v2/{repository}/manifests/{reference}"));
        request.header(CONTENT_TYPE, &self.media_type).body(self.manifest.clone()).send().await
    }

    /// Uploads the blobs and puts the manifest, which has to succeed.
    pub async fn push(&self, base: &str, repository: &str, reference: &str) {
        self.push_blobs(base, repository).await;
        let response = self.put(base, repository, reference).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
    }
}

/// The digest of these bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}
