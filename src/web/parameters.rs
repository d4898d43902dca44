//! The query of a request, read strictly: a parameter that is unknown, given twice or wrong is refused rather than
//! quietly ignored, since a misspelt filter would answer another question than the one that was asked.

use std::borrow::Cow;
use std::error::Error;
use std::str::FromStr;

use url::form_urlencoded;
use utoipa::IntoParams;

use super::error::ApiError;
use crate::store::PageRequest;

/// Items in a list if the client does not say.
const DEFAULT_LIMIT: usize = 100;
/// Items in a list at most.
const MAXIMUM_LIMIT: usize = 1000;

/// Which part of a list is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read from the query; this describes it")]
pub(super) struct Paging {
    /// How many items at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    n: Option<u16>,
    /// Begin behind this: the `next` of the part before.
    after: Option<String>,
}

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a> {
    given: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Parameters<'a> {
    /// Takes the query apart.
    ///
    /// # Errors
    /// For a parameter that is not in `known`, or that is given twice.
    pub(super) fn parse(query: Option<&'a str>, known: &'static [&'static str]) -> Result<Self, ApiError> {
        Self::parse_with_several(query, known, "").map(|(parameters, _)| parameters)
    }

    /// The same of a query in which one parameter may stand several times; with its values, in their order.
    ///
    /// # Errors
    /// As for [`Parameters::parse`].
    pub(super) fn parse_with_several(
        query: Option<&'a str>,
        known: &'static [&'static str],
        several: &'static str,
    ) -> Result<(Self, Vec<Cow<'a, str>>), ApiError> {
        let mut given: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        let mut values = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !several.is_empty() && name == several {
                values.push(value);
                continue;
            }
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(ApiError::UnknownParameter { name: name.chars().take(64).collect(), known });
            };
            if given.iter().any(|(other, _)| other == name) {
                return Err(ApiError::InvalidParameter { name, source: "it is given twice".into() });
            }
            given.push((name, value));
        }
        Ok((Self { given }, values))
    }

    /// Takes apart what a form has sent: what was left empty in it was not given.
    ///
    /// # Errors
    /// As for [`Parameters::parse`].
    pub(super) fn of_form(sent: &'a str, known: &'static [&'static str]) -> Result<Self, ApiError> {
        let mut parameters = Self::parse(Some(sent), known)?;
        parameters.given.retain(|(_, value)| !value.is_empty());
        Ok(parameters)
    }

    /// The same, with this value for a parameter that was not given.
    pub(super) fn or(mut self, name: &'static str, value: &'a str) -> Self {
        if self.text(name).is_none() {
            self.given.push((name, Cow::Borrowed(value)));
        }
        self
    }

    /// A parameter as text.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| &**value)
    }

    /// A parameter that may be left out.
    ///
    /// # Errors
    /// When it is there but not of its type.
    pub(super) fn optional<T>(&self, name: &'static str) -> Result<Option<T>, ApiError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let parse = |text: &str| {
            text.parse().map_err(|error: T::Err| ApiError::InvalidParameter { name, source: error.into() })
        };
        self.text(name).map(parse).transpose()
    }

    /// A parameter that has to be there.
    ///
    /// # Errors
    /// When it is missing, or not of its type.
    pub(super) fn required<T>(&self, name: &'static str) -> Result<T, ApiError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        self.optional(name)?.ok_or(ApiError::MissingParameter { name })
    }

    /// The part of a list that is wanted: `n` and `after`.
    ///
    /// # Errors
    /// When `n` is not from 1 to 1000, or `after` is not a key of the list.
    pub(super) fn page<K>(&self) -> Result<PageRequest<K>, ApiError>
    where
        K: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let limit = match self.text("n") {
            None => DEFAULT_LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=MAXIMUM_LIMIT).contains(limit)).ok_or_else(|| {
                    let wrong = format!("it must be a whole number from 1 to {MAXIMUM_LIMIT}");
                    ApiError::InvalidParameter { name: "n", source: wrong.into() }
                })?
            }
        };
        Ok(PageRequest { after: self.optional("after")?, limit })
    }
}
