//! How listings lie in the model: pages of any size, names missing, or there twice, or in another order.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use url::Url;

use super::registry::{Answered, State, refusal};

impl State {
    /// A page of a listing.
    pub(super) fn listing(&mut self, path: &str, field: &str, mut names: Vec<String>, url: &Url) -> Answered {
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        if self.faults > 0 && query.contains_key("n") && self.random.one_in(6) {
            return refusal(400, "PAGINATION_NUMBER_INVALID");
        }
        if let Some(last) = query.get("last") {
            names.retain(|name| name > last);
        }
        let size = if self.nature.clamps || self.random.one_in(2) { 2 } else { names.len() };
        let more = names.len() > size;
        names.truncate(size);
        let mut headers = HeaderMap::new();
        if let Some(last) = names.last().filter(|_| more) {
            let base = if self.random.one_in(2) { "https://elsewhere.test" } else { "" };
            let link = format!("<{base}/v2/{path}?last={last}&n=2>; rel=\"next\"");
            headers.insert("link", HeaderValue::from_str(&link).unwrap());
        }
        if self.faults > 0 && self.random.one_in(4) {
            // All of them, or some.
            let kept = self.random.below(3);
            names.retain(|_| kept > 0 && self.random.below(3) < kept);
        }
        if self.faults > 0 && self.random.one_in(4) {
            names.reverse();
            names.extend(names.first().cloned());
        }
        (StatusCode::OK, headers, Bytes::from(json!({ field: names }).to_string()))
    }
}
