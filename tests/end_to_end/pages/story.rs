//! What happened in the sample world, in the order of its telling: it is played in the order of time.

use std::time::{Duration, SystemTime};

use portreeve::clock::Timestamp;
use serde_json::json;

use super::artifact::{Recipe, artifact, chart};
use super::past::{Act, DAY, HOUR, Moment};
use crate::support::image::{Image, digest};

const DOCKER: &str = "docker/29.1.2 go/go1.25.4 git-commit/4e57de9 kernel/6.12.48 os/linux arch/amd64";
const BUILDKIT: &str = "buildkit/v0.26";
const CONTAINERD: &str = "containerd/2.2.0";
const SKOPEO: &str = "skopeo/1.20.0";
const HELM: &str = "Helm/4.0.1";
const ORAS: &str = "oras/1.3.6";
const COSIGN: &str = "cosign/v3.1.3 (linux; amd64)";

/// What images of applications are built on.
#[derive(Clone, Copy)]
enum Base {
    Debian,
    Go,
    Node,
    Python,
}

/// An application that is released again and again.
struct Application {
    repository: &'static str,
    base: Base,
    releases: u64,
    /// Days between two of them.
    days: u64,
    /// Whether it is built for `arm64` too.
    is_multi_platform: bool,
    megabytes: u64,
}

const APPLICATIONS: [Application; 9] = [
    application("web/storefront", Base::Node, 6, 5, true, 24),
    application("web/checkout", Base::Node, 4, 7, false, 18),
    application("api/orders", Base::Go, 6, 4, true, 14),
    application("api/payments", Base::Go, 4, 6, true, 11),
    application("api/search-indexer", Base::Python, 3, 9, false, 63),
    application("api/notifications", Base::Go, 3, 8, false, 9),
    application("data/warehouse-loader", Base::Python, 3, 7, false, 142),
    application("platform/ingress", Base::Debian, 2, 12, true, 37),
    application("platform/cert-renewer", Base::Go, 2, 13, false, 8),
];

const fn application(
    repository: &'static str,
    base: Base,
    releases: u64,
    days: u64,
    is_multi_platform: bool,
    megabytes: u64,
) -> Application {
    Application { repository, base, releases, days, is_multi_platform, megabytes }
}

/// Some weeks of a company's registry.
pub(super) fn story() -> Vec<Moment> {
    let mut story = Vec::new();
    bases(&mut story);
    applications(&mut story);
    what_is_no_image(&mut story);
    this_week(&mut story);
    today(&mut story);
    story
}

fn push(
    ago: u64,
    user: &'static str,
    agent: &'static str,
    repository: &'static str,
    tags: &[&str],
    image: &Image,
) -> Moment {
    let act = Act::Push { user, agent, repository, tags: texts(tags), image: image.clone() };
    Moment { ago, act }
}

fn pull(ago: u64, user: &'static str, repository: &'static str) -> Moment {
    Moment { ago, act: Act::Pull { user, agent: CONTAINERD, repository, tag: "latest" } }
}

fn bases(story: &mut Vec<Moment>) {
    for (number, ago) in [(0, 31 * DAY), (1, 16 * DAY), (2, 2 * DAY)] {
        for (base, name) in [
            (Base::Debian, "base/debian"),
            (Base::Go, "base/static"),
            (Base::Node, "base/node"),
            (Base::Python, "base/python"),
        ] {
            let images = ["amd64", "arm64"].map(|architecture| {
                let mut recipe = on(base, number, architecture, ago);
                recipe.labels.push(("org.opencontainers.image.source".to_owned(), source("platform/images")));
                recipe.image()
            });
            let version = format!("12.{}", 10 + number);
            story.extend(index(ago, name, &images, &[&version, "12", "latest"]).0);
        }
    }
}

/// The images of several platforms, and what names them all.
fn index(ago: u64, repository: &'static str, images: &[Image; 2], tags: &[&str]) -> (Vec<Moment>, Image) {
    let index = Image::index(&[&images[0], &images[1]]);
    let mut moments: Vec<_> =
        images.iter().map(|image| push(ago, "ci", BUILDKIT, repository, &[&image.digest], image)).collect();
    moments.push(push(ago, "ci", BUILDKIT, repository, tags, &index));
    (moments, index)
}

fn applications(story: &mut Vec<Moment>) {
    for application in &APPLICATIONS {
        for release in 0..application.releases {
            let days = (application.releases - release) * application.days - application.days / 2;
            let ago = days * DAY + application.megabytes * 613;
            let tags = [format!("1.{release}.0"), format!("1.{release}"), "latest".to_owned()];
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let repository = application.repository;
            let amd64 = application.recipe("amd64", release, ago).image();
            if application.is_multi_platform {
                let arm64 = application.recipe("arm64", release, ago).image();
                let (moments, index) = index(ago, repository, &[amd64, arm64], &tags);
                story.extend(moments);
                story.extend(
                    statements(repository, &index)
                        .map(|referrer| push(ago, "ci", COSIGN, repository, &[&referrer.digest], &referrer)),
                );
            } else {
                story.push(push(ago, "ci", BUILDKIT, repository, &tags, &amd64));
            }
            story.extend((0..=release).map(|number| pull(ago - 600 * number - 300, "ben", repository)));
        }
    }
}

/// Signature, bill of materials and attestation of an image.
fn statements(repository: &str, image: &Image) -> [Image; 3] {
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let signed = [("dev.sigstore.bundle.predicateType", "https://sigstore.dev/cosign/sign/v1")];
    let signature = format!("signature of {}", image.digest);
    let sbom = json!({"spdxVersion": "SPDX-2.3", "name": repository, "documentNamespace": image.digest});
    let spdx = "application/spdx+json";
    let built = [("in-toto.io/predicate-type", "https://slsa.dev/provenance/v1")];
    let statement = "application/vnd.in-toto+json";
    let provenance = format!("how {} was built", image.digest);
    [
        artifact(Some(image), bundle, bundle, &signature, &signed),
        artifact(Some(image), spdx, spdx, &sbom.to_string(), &[]),
        artifact(Some(image), statement, statement, &provenance, &built),
    ]
}

fn what_is_no_image(story: &mut Vec<Moment>) {
    for (version, ago) in [("0.8.0", 9 * DAY), ("0.9.0", 6 * DAY), ("0.9.1", 3 * DAY)] {
        let storefront = chart("storefront", version, "The shop that customers see, with its workers");
        story.push(push(ago, "alice", HELM, "charts/storefront", &[version], &storefront));
        let orders = chart("orders", version, "Orders: the interface and its queue");
        story.push(push(ago - HOUR, "ben", HELM, "charts/orders", &[version], &orders));
    }
    let bundle = artifact(
        None,
        "application/vnd.cncf.openpolicyagent.manifest.layer.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "package admission\n\ndefault allow := false\n",
        &[("org.opencontainers.image.title", "admission")],
    );
    story.push(push(3 * DAY, "admin", ORAS, "platform/policies", &["2026.11", "stable"], &bundle));
    let mut model = on(Base::Python, 2, "amd64", 3 * DAY);
    model.steps.push(step("RUN pip install --no-cache-dir torch==2.9.1 # buildkit", 2_914_550_312));
    model.steps.push(step("COPY weights/ /srv/weights # buildkit", 4_703_118_220));
    model.entry_point = texts(&["python", "-m", "recommender.serve"]);
    story.push(push(3 * DAY, "dora", DOCKER, "ml/recommender", &["2026-11-weekly"], &model.image()));
}

fn this_week(story: &mut Vec<Moment>) {
    // A tag that went to the wrong image, and back.
    let (wrong, right) = (scratch(50, "checkout with a debugger"), scratch(49, "checkout"));
    for (hours, user, image) in [(50, "alice", &right), (48, "alice", &wrong), (47, "ben", &right)] {
        story.push(push(hours * HOUR, user, DOCKER, "web/checkout", &["staging"], image));
    }
    // What was tried out and thrown away.
    for (hours, tag) in [(40, "try-1"), (39, "try-2"), (38, "pr-418"), (37, "pr-421")] {
        story.push(push(hours * HOUR, "dora", DOCKER, "sandbox/dora/etl", &[tag], &scratch(hours, tag)));
    }
    for (user, repository, tag) in [
        ("dora", "sandbox/dora/etl", "try-1"),
        ("dora", "sandbox/dora/etl", "try-2"),
        ("ben", "web/storefront", "1.0"),
    ] {
        story.push(Moment { ago: 34 * HOUR, act: Act::Delete { user, repository, tag } });
    }
    // Somebody went around the door, which found it.
    let image = scratch(30, "copied around the door");
    story.push(Moment {
        ago: 30 * HOUR,
        act: Act::Around { repository: "data/legacy-reports", tag: "2019", image },
    });
    story.push(Moment { ago: 29 * HOUR, act: Act::Sweep { user: "admin" } });
}

fn today(story: &mut Vec<Moment>) {
    let pulled = ["web/storefront", "api/orders", "base/node", "api/payments"];
    // More by day than by night.
    let busy = [1, 1, 2, 4, 6, 7, 5, 3];
    for (hour, busy) in (0..24).zip(busy.into_iter().flat_map(|busy| [busy; 3])) {
        let ago = hour * HOUR + 900;
        for (number, repository) in
            (0..busy).zip(pulled.into_iter().cycle().skip(usize::try_from(hour % 4).unwrap()))
        {
            story.push(pull(ago - number * 60, "ci", repository));
        }
        if hour % 4 == 1 {
            let tag = format!("nightly-{:02}", 23 - hour);
            story.push(push(ago, "ci", SKOPEO, "data/warehouse-loader", &[&tag], &scratch(hour, "nightly")));
        }
    }
}

impl Application {
    fn recipe(&self, architecture: &'static str, release: u64, ago: u64) -> Recipe {
        let name = self.repository.rsplit('/').next().unwrap();
        // Those who are released often are behind with what they are built on.
        let mut recipe = on(self.base, u64::from(ago < 16 * DAY), architecture, ago);
        let size = self.megabytes * 1_048_576 + release * 73_417;
        let (install, copy) = match self.base {
            Base::Node => ("RUN npm ci --omit=dev # buildkit", "COPY dist/ ./dist # buildkit".to_owned()),
            Base::Python => (
                "RUN pip install --no-cache-dir -r requirements.txt # buildkit",
                "COPY src/ ./src # buildkit".to_owned(),
            ),
            Base::Go | Base::Debian => (
                "COPY etc/ /etc/app # buildkit",
                format!("COPY /out/{name} /usr/local/bin/{name} # buildkit"),
            ),
        };
        // Dependencies change with every other release.
        let install = format!("{install} {name}{}", release / 2);
        recipe.steps.push(step(&install, size / 3 * 2 + release / 2 * 41_003));
        recipe.steps.push(step(&format!("{copy} 1.{release}.0"), size / 3));
        recipe.steps.push(("EXPOSE map[8080/tcp:{}]".to_owned(), None));
        recipe.steps.push((format!("ENTRYPOINT [\"/usr/local/bin/{name}\"]"), None));
        recipe.user = Some("10001:10001".to_owned());
        recipe.working_directory = Some("/srv".to_owned());
        recipe.entry_point = vec![format!("/usr/local/bin/{name}")];
        recipe.command = texts(&["--listen", ":8080"]);
        recipe.ports = texts(&["8080/tcp"]);
        recipe.environment.push(format!("{}_LOG=info", name.to_uppercase().replace('-', "_")));
        let revision = &digest(format!("{name} {release}").as_bytes())[7..47];
        for (label, value) in [
            ("created", recipe.created.clone()),
            ("revision", revision.to_owned()),
            ("source", source(self.repository)),
            ("title", name.to_owned()),
            ("version", format!("1.{release}.0")),
        ] {
            recipe.labels.push((format!("org.opencontainers.image.{label}"), value));
        }
        recipe.annotations = recipe.labels[1..].to_vec();
        recipe
    }
}

/// The start of everything that is built on this, in its so-manieth version.
fn on(base: Base, version: u64, architecture: &'static str, ago: u64) -> Recipe {
    let size = |bytes: u64| bytes + version * 4_096;
    let debian =
        step(&format!("/bin/sh -c #(nop) ADD file:rootfs 12.{} in / ", 10 + version), size(28_230_712));
    let mut recipe = Recipe { architecture, created: time(ago), ..Recipe::default() };
    recipe.environment = texts(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    recipe.command = texts(&["bash"]);
    recipe.steps = match base {
        Base::Debian => vec![debian],
        Base::Go => vec![step(&format!("bazel build //base:static_{version}"), size(804_113))],
        Base::Node => vec![
            debian,
            ("ENV NODE_VERSION=24.11.1".to_owned(), None),
            step(&format!("RUN /bin/sh -c install-node 24.11.{version} # buildkit"), size(47_712_330)),
        ],
        Base::Python => vec![
            debian,
            step(
                &format!("RUN /bin/sh -c apt-get install -y libssl3 libffi8 v{version} # buildkit"),
                size(3_519_872),
            ),
            step(&format!("RUN /bin/sh -c install-python 3.14.{version} # buildkit"), size(13_760_112)),
        ],
    };
    recipe
}

/// An image that somebody built by hand.
fn scratch(hours: u64, what: &str) -> Image {
    let mut recipe = on(Base::Debian, 2, "amd64", hours * HOUR);
    recipe.steps.push(step(&format!("COPY . /src # {what} {hours}"), 6_291_456 + hours * 1_311));
    recipe.image()
}

fn step(command: &str, bytes: u64) -> (String, Option<u64>) {
    (command.to_owned(), Some(bytes))
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn source(repository: &str) -> String {
    format!("https://git.example.com/{repository}")
}

fn time(ago: u64) -> String {
    let then = SystemTime::from(Timestamp::now()) - Duration::from_secs(ago);
    humantime::format_rfc3339_seconds(then).to_string()
}
