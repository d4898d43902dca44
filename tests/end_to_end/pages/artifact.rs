//! Images and other artifacts as people push them: with several layers of believable sizes, a configuration that says how they
//! were made, and annotations.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::image::{Image, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// How an image was made, and what it says of itself. Steps that two of them share make layers that they share.
#[derive(Clone, Default)]
pub(super) struct Recipe {
    /// What each step ran, and the size of the layer that it made, if it made one. The sizes are only claimed: the registry looks
    /// whether it has a layer, and not how large it is.
    pub(super) steps: Vec<(String, Option<u64>)>,
    pub(super) architecture: &'static str,
    pub(super) created: String,
    pub(super) author: Option<String>,
    pub(super) user: Option<String>,
    pub(super) working_directory: Option<String>,
    pub(super) entry_point: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<(String, String)>,
}

impl Recipe {
    /// The image.
    pub(super) fn image(&self) -> Image {
        let mut blobs = Vec::new();
        let mut layers = Vec::new();
        let mut history = Vec::new();
        for (step, size) in &self.steps {
            let mut line =
                json!({"created": self.created, "created_by": step, "comment": "buildkit.dockerfile.v0"});
            match size {
                Some(size) => {
                    let content = Bytes::from(format!("{step} for {}", self.architecture));
                    layers.push(json!({"mediaType": LAYER, "digest": digest(&content), "size": size}));
                    blobs.push(content);
                }
                None => line["empty_layer"] = json!(true),
            }
            history.push(line);
        }
        let diff_ids: Vec<String> = blobs.iter().map(|blob| digest(blob)).collect();
        let ports: serde_json::Map<String, Value> =
            self.ports.iter().map(|port| (port.clone(), json!({}))).collect();
        let config = Bytes::from(
            json!({
                "architecture": self.architecture, "os": "linux", "created": self.created, "author": self.author,
                "config": {
                    "User": self.user, "WorkingDir": self.working_directory, "Entrypoint": self.entry_point,
                    "Cmd": self.command, "Env": self.environment, "ExposedPorts": ports, "Labels": object(&self.labels),
                },
                "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
            })
            .to_string(),
        );
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config), "layers": layers,
            "annotations": object(&self.annotations),
        });
        blobs.insert(0, config);
        Image::of(&document, MANIFEST, blobs)
    }
}

/// A Helm chart, as `helm push` makes it.
pub(super) fn chart(name: &str, version: &str, description: &str) -> Image {
    let config = Bytes::from(
        json!({"name": name, "version": version, "description": description, "apiVersion": "v2"}).to_string(),
    );
    let content = Bytes::from(format!("chart {name} {version}").repeat(150));
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.cncf.helm.config.v1+json", &config),
        "layers": [descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", &content)],
        "annotations": {
            "org.opencontainers.image.title": name, "org.opencontainers.image.version": version,
            "org.opencontainers.image.description": description,
        },
    });
    Image::of(&document, MANIFEST, vec![config, content])
}

/// An artifact of one file, perhaps about another manifest.
pub(super) fn artifact(
    subject: Option<&Image>,
    artifact_type: &str,
    file_type: &str,
    content: &str,
    annotations: &[(&str, &str)],
) -> Image {
    let (empty, content) = (Bytes::from_static(b"{}"), Bytes::from(content.to_owned()));
    let annotations: serde_json::Map<String, Value> =
        annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type, "config": descriptor(EMPTY, &empty),
        "layers": [descriptor(file_type, &content)], "annotations": annotations,
    });
    if let Some(subject) = subject {
        document["subject"] = json!({"mediaType": subject.media_type, "digest": subject.digest, "size": subject.manifest.len()});
    }
    Image::of(&document, MANIFEST, vec![empty, content])
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}
