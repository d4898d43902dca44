//! Refuses JSON that the registry would read differently, or that is made to be large in memory.
//!
//! Go's decoder, which most registries use, takes `Layers` or even `layerſ` for `layers`, and the last of several
//! wins; others compare exactly. So a key that is a known one in another spelling is refused wherever a field of that
//! name is read. (The same key twice is refused where the fields are filled.) And serde fills a struct from an array
//! as readily as from an object, Go does not.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// The most JSON values in one manifest. Each costs up to some two hundred bytes once it is parsed, so that the
/// parsed part of any manifest stays below some 20 MiB; real ones have a few hundred.
const MAXIMUM_VALUES: usize = 100_000;

/// # Errors
/// When the bytes are not one JSON value, have a misspelt key, or too many values.
pub(super) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut values = 0;
    Walk { place: Place::Document, values: &mut values }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Where in the document a value stands; that decides which keys count.
#[derive(Clone, Copy)]
enum Place {
    Document,
    Descriptors,
    Descriptor,
    Platform,
    Elsewhere,
}

impl Place {
    /// The keys that are read here, and where their values stand.
    const fn keys(self) -> &'static [(&'static str, Self)] {
        match self {
            Self::Document => &[
                ("schemaVersion", Self::Elsewhere),
                ("mediaType", Self::Elsewhere),
                ("artifactType", Self::Elsewhere),
                ("config", Self::Descriptor),
                ("layers", Self::Descriptors),
                ("blobs", Self::Descriptors),
                ("manifests", Self::Descriptors),
                ("fsLayers", Self::Elsewhere),
                ("subject", Self::Descriptor),
                ("annotations", Self::Elsewhere),
            ],
            Self::Descriptor => &[
                ("mediaType", Self::Elsewhere),
                ("digest", Self::Elsewhere),
                ("size", Self::Elsewhere),
                ("platform", Self::Platform),
                ("artifactType", Self::Elsewhere),
                ("annotations", Self::Elsewhere),
            ],
            Self::Platform => {
                &[("os", Self::Elsewhere), ("architecture", Self::Elsewhere), ("variant", Self::Elsewhere)]
            }
            Self::Descriptors | Self::Elsewhere => &[],
        }
    }
}

struct Walk<'a> {
    place: Place,
    values: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.values += 1;
        if *self.values > MAXIMUM_VALUES {
            return Err(D::Error::custom(format!("a manifest has at most {MAXIMUM_VALUES} values")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let place = match self.place {
            Place::Descriptors => Place::Descriptor,
            Place::Elsewhere => Place::Elsewhere,
            Place::Document | Place::Descriptor | Place::Platform => {
                return Err(A::Error::custom("an array stands where an object belongs"));
            }
        };
        while sequence.next_element_seed(Walk { place, values: self.values })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Key { place: self.place })? {
            map.next_value_seed(Walk { place, values: self.values })?;
        }
        Ok(())
    }
}

struct Key {
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Place;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Place;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Place, E> {
        for (known, place) in self.place.keys() {
            if key == *known {
                return Ok(*place);
            }
            if key.chars().map(fold).eq(known.chars().map(fold)) {
                return Err(E::custom(format!("`{known}` must be spelt exactly so")));
            }
        }
        Ok(Place::Elsewhere)
    }
}

/// Simple case folding as far as it ends in ASCII: besides A to Z that is the long s and the Kelvin sign.
fn fold(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}
