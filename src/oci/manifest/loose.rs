//! Values of fields that not every registry knows: read where they have the shape that their specification gives them, and
//! otherwise left out. Only `document` uses this.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::oci::MediaType;

/// A text, or nothing.
#[derive(Debug, Default)]
pub(super) struct LooseText(Option<String>);

/// Texts by name; those that are none are left out, but for `null`, which is how Go writes an empty one.
#[derive(Debug, Default)]
pub(super) struct LooseTexts(pub(super) BTreeMap<String, String>);

impl LooseText {
    /// The media type that it names, unless it is empty.
    pub(super) fn media_type(self) -> Option<MediaType> {
        self.0.filter(|text| !text.is_empty()).map(|text| MediaType::from(text.as_str()))
    }
}

/// What one value is read as.
enum Value {
    Text(String),
    Null,
    Texts(BTreeMap<String, String>),
    Other,
}

impl<'de> Deserialize<'de> for LooseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(Any)? {
            Value::Text(text) => Some(text),
            Value::Null | Value::Texts(_) | Value::Other => None,
        }))
    }
}

impl<'de> Deserialize<'de> for LooseTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(Any)? {
            Value::Texts(texts) => texts,
            Value::Text(_) | Value::Null | Value::Other => BTreeMap::new(),
        }))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            match value {
                Value::Text(text) => texts.insert(name, text),
                Value::Null => texts.insert(name, String::new()),
                Value::Texts(_) | Value::Other => texts.remove(&name),
            };
        }
        Ok(Value::Texts(texts))
    }
}
