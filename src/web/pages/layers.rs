//! The layers of an image: a bar in which each has its share, and the steps that made them.

use std::collections::HashSet;

use super::format::{Number, ShortDigest, Size, shortened};
use crate::oci::{Descriptor, Digest, ImageConfig};

/// How long the bar is, in its own units.
const LENGTH: u64 = 1000;
/// So many layers and steps are shown at most.
const MOST: usize = 128;
/// So many characters of a name or a type are shown.
const TEXT: usize = 200;

/// The annotation by which a file has its name.
const TITLE: &str = "org.opencontainers.image.title";

/// The layers of an image, written by `templates/manifest.html`.
pub(super) struct Layers {
    pub count: Number,
    pub total: Size,
    pub bar: Vec<Segment>,
    pub steps: Vec<Step>,
    /// How many are not shown.
    pub more: Number,
    pub shared: Option<Shared>,
    /// Whether steps of its making, or names of files, stand beside the layers.
    pub has_commands: bool,
}

/// What is shared with another image.
pub(super) struct Shared {
    pub with: String,
    pub page: String,
    pub count: Number,
    pub bytes: Size,
}

/// A layer in the bar.
pub(super) struct Segment {
    pub x: u64,
    pub width: u64,
    pub class: &'static str,
    pub title: String,
}

/// A step of its making, with the layer that it made.
pub(super) struct Step {
    /// The command, or the name of the file.
    pub command: Option<String>,
    pub comment: Option<String>,
    pub layer: Option<Layer>,
}

/// A layer in the list.
pub(super) struct Layer {
    /// From 1 on.
    pub number: usize,
    pub size: Size,
    pub digest: ShortDigest,
    pub media_type: String,
    pub is_shared: bool,
}

/// Another image, which may have some of the same layers.
pub(super) struct Other {
    /// As it is called.
    pub name: String,
    pub page: String,
    pub layers: HashSet<Digest>,
}

impl Layers {
    /// Of these layers, of the image with this configuration; nothing where there are none.
    pub(super) fn new(
        layers: &[Descriptor],
        image: Option<&ImageConfig>,
        other: Option<&Other>,
    ) -> Option<Self> {
        if layers.is_empty() {
            return None;
        }
        let total = layers.iter().fold(0_u64, |total, layer| total.saturating_add(layer.size));
        let is_shared = |layer: &Descriptor| other.is_some_and(|other| other.layers.contains(&layer.digest));
        let shared: Vec<&Descriptor> = layers.iter().filter(|layer| is_shared(layer)).collect();
        let bytes = shared.iter().fold(0_u64, |bytes, layer| bytes.saturating_add(layer.size));
        let steps = steps(layers, image, is_shared);
        let has_commands = steps.iter().any(|step| step.command.is_some());
        let more = steps.len().saturating_sub(MOST);
        Some(Self {
            count: number(layers.len()),
            total: Size(total),
            bar: bar(layers, total, is_shared),
            steps: steps.into_iter().take(MOST).collect(),
            more: number(more),
            shared: other.filter(|_| !shared.is_empty()).map(|other| Shared {
                with: other.name.clone(),
                page: other.page.clone(),
                count: number(shared.len()),
                bytes: Size(bytes),
            }),
            has_commands,
        })
    }

    /// The bar in words.
    pub(super) fn in_words(&self) -> String {
        let all = format!("{} layers, {}", self.count, self.total.in_words());
        match &self.shared {
            Some(Shared { with, count, bytes, .. }) => {
                format!("{all}; {count} of them, {}, are shared with {with}", bytes.in_words())
            }
            None => all,
        }
    }
}

fn number(number: usize) -> Number {
    Number(u64::try_from(number).unwrap_or(u64::MAX))
}

/// Each layer from where it begins to where it ends: what is too small to be seen is left to its neighbours.
fn bar(layers: &[Descriptor], total: u64, is_shared: impl Fn(&Descriptor) -> bool) -> Vec<Segment> {
    let place = |bytes: u64| {
        let place = u128::from(bytes) * u128::from(LENGTH) / u128::from(total.max(1));
        u64::try_from(place).unwrap_or(LENGTH).min(LENGTH)
    };
    let mut begin = 0_u64;
    let mut segments = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let end = begin.saturating_add(layer.size);
        let (x, width) = (place(begin), place(end) - place(begin));
        begin = end;
        if width == 0 {
            continue;
        }
        let is_shared = is_shared(layer);
        let class = match (is_shared, segments.len() % 2) {
            (true, 0) => "shared",
            (true, _) => "shared odd",
            (false, 0) => "own",
            (false, _) => "own odd",
        };
        let size = Size(layer.size).in_words();
        let shared = if is_shared { ", shared" } else { "" };
        segments.push(Segment { x, width, class, title: format!("Layer {}: {size}{shared}", number + 1) });
    }
    segments
}

/// The steps, each with its layer if it made one; the layers alone where steps and layers do not fit together.
fn steps(
    layers: &[Descriptor],
    image: Option<&ImageConfig>,
    is_shared: impl Fn(&Descriptor) -> bool,
) -> Vec<Step> {
    let mut shown = layers.iter().enumerate().map(|(number, layer)| Layer {
        number: number + 1,
        size: Size(layer.size),
        digest: ShortDigest::from(&layer.digest),
        media_type: shortened(layer.media_type.as_str(), TEXT),
        is_shared: is_shared(layer),
    });
    let history = image.map(|image| image.history.as_slice()).unwrap_or_default();
    if history.iter().filter(|step| !step.is_empty_layer).count() != layers.len() {
        let name = |layer: &Descriptor| layer.annotations.get(TITLE).map(|title| shortened(title, TEXT));
        let names = layers.iter().map(name);
        let step = |(layer, command)| Step { command, comment: None, layer: Some(layer) };
        return shown.zip(names).map(step).collect();
    }
    let step = |step: &crate::oci::BuildStep| Step {
        command: step.command.clone(),
        comment: step.comment.clone(),
        layer: if step.is_empty_layer { None } else { shown.next() },
    };
    history.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::BuildStep;

    fn layer(text: &str, size: u64) -> Descriptor {
        Descriptor {
            media_type: "application/x".into(),
            digest: Digest::sha256(text.as_bytes()),
            size,
            platform: None,
            artifact_type: None,
            annotations: Default::default(),
        }
    }

    #[test]
    fn each_layer_has_its_share_of_the_bar_and_says_whether_the_other_has_it() {
        let all = [layer("base", 750), layer("none", 0), layer("app", 250)];
        let other = Other {
            name: "v1".to_owned(),
            page: "/ui/".to_owned(),
            layers: HashSet::from([all[0].digest.clone()]),
        };
        let layers = Layers::new(&all, None, Some(&other)).unwrap();
        let bar: Vec<_> = layers.bar.iter().map(|it| (it.x, it.width, it.class)).collect();
        assert_eq!(bar, [(0, 750, "shared"), (750, 250, "own odd")]);
        assert_eq!(layers.in_words(), "3 layers, 1000 B; 1 of them, 750 B, are shared with v1");
        assert!(Layers::new(&[], None, None).is_none());
        // Sizes are what a client claims.
        let absurd = Layers::new(&[layer("a", u64::MAX), layer("b", u64::MAX)], None, None).unwrap();
        assert!(absurd.bar.iter().all(|it| it.x + it.width <= LENGTH));
    }

    #[test]
    fn a_step_stands_beside_the_layer_that_it_made() {
        let all = [layer("base", 7), layer("app", 2)];
        let step = |command: &str, is_empty_layer| BuildStep {
            command: Some(command.to_owned()),
            is_empty_layer,
            ..BuildStep::default()
        };
        let history = vec![step("ADD", false), step("ENV", true), step("COPY", false)];
        let mut image = ImageConfig { history, ..ImageConfig::default() };
        let layers = Layers::new(&all, Some(&image), None).unwrap();
        let shown: Vec<_> = layers
            .steps
            .iter()
            .map(|step| (step.command.as_deref(), step.layer.as_ref().map(|layer| layer.number)))
            .collect();
        assert_eq!(shown, [(Some("ADD"), Some(1)), (Some("ENV"), None), (Some("COPY"), Some(2))]);
        image.history.pop();
        let layers = Layers::new(&all, Some(&image), None).unwrap();
        assert_eq!((layers.steps.len(), layers.has_commands), (2, false), "they do not fit together");
    }
}
