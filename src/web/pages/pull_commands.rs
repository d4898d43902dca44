//! Commands that pull something, ready to be copied. Names of repositories, tags and digests have nothing in them that a shell
//! reads in another way, and neither has the address of the door.

use super::artifact_kind::ArtifactKind;
use crate::oci::{Reference, RepositoryName};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// The program.
    pub program: &'static str,
    pub text: String,
}

/// The commands that pull this kind of thing from the door at `host`.
pub(super) fn pull_commands(
    host: &str,
    repository: &RepositoryName,
    reference: &Reference,
    kind: ArtifactKind,
) -> Vec<Command> {
    let whole = match reference {
        Reference::Tag(tag) => format!("{host}/{repository}:{tag}"),
        Reference::Digest(digest) => format!("{host}/{repository}@{digest}"),
    };
    let name = repository.as_str().rsplit('/').next().unwrap_or_default();
    let command = |program, text| Command { program, text };
    match (kind, reference) {
        (ArtifactKind::Image | ArtifactKind::Images, _) => vec![
            command("docker", format!("docker pull {whole}")),
            command("podman", format!("podman pull {whole}")),
            command("crane", format!("crane pull {whole} {name}.tar")),
        ],
        // Tags have no `+`; Helm writes `_` for it, and reads it back.
        (ArtifactKind::Chart, Reference::Tag(tag)) => vec![command(
            "helm",
            format!("helm pull oci://{host}/{repository} --version {}", tag.as_str().replace('_', "+")),
        )],
        (ArtifactKind::Chart, Reference::Digest(_)) => {
            vec![command("helm", format!("helm pull oci://{whole}"))]
        }
        _ => vec![command("oras", format!("oras pull {whole}"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, Tag};

    #[test]
    fn each_kind_is_pulled_by_the_programs_that_can() {
        let repository = RepositoryName::parse("team/app").unwrap();
        let tag = Reference::Tag(Tag::parse("1.0_2").unwrap());
        let digest = Digest::sha256(b"x");
        let texts = |kind, reference: &Reference| {
            let commands = pull_commands("door:5000", &repository, reference, kind);
            commands.into_iter().map(|command| command.text).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(ArtifactKind::Images, &tag),
            [
                "docker pull door:5000/team/app:1.0_2",
                "podman pull door:5000/team/app:1.0_2",
                "crane pull door:5000/team/app:1.0_2 app.tar",
            ]
        );
        assert_eq!(texts(ArtifactKind::Chart, &tag), ["helm pull oci://door:5000/team/app --version 1.0+2"]);
        assert_eq!(
            texts(ArtifactKind::Sbom, &Reference::Digest(digest.clone())),
            [format!("oras pull door:5000/team/app@{digest}")]
        );
    }
}
