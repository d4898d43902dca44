//! The description of the API says what the API does.

use std::collections::BTreeSet;

use super::*;
use crate::store::{AuthEvent, AuthEventKind, AuthLog as _, Quotas, Retention};

async fn document(store: &Arc<MemoryStore>) -> Value {
    get(store, "/api/v1/openapi.json").await.1
}

/// Why a value is not as a schema says.
fn wrong(document: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap();
        let target = document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not there"));
        return wrong(document, target, value, place);
    }
    for name in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[name].as_array() {
            let wrongs: Vec<_> = schemas.iter().map(|schema| wrong(document, schema, value, place)).collect();
            return if wrongs.iter().any(Option::is_none) { None } else { Some(format!("{wrongs:?}")) };
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        // Each part describes some of the fields.
        let known: BTreeSet<String> = parts.iter().flat_map(|part| fields(document, part)).collect();
        return unknown_field(&known, value, place).or_else(|| {
            parts.iter().find_map(|part| {
                let own = fields(document, part);
                let mut of_part = value.clone();
                of_part.as_object_mut().unwrap().retain(|name, _| own.contains(name));
                wrong(document, part, &of_part, place)
            })
        });
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => panic!("{place} has no type: {schema}"),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&is) || (is == "integer" && types.contains(&"number"));
    if !fits {
        return Some(format!("{place} is {is}, and {types:?} is said"));
    }
    if let (Some(known), false) = (schema["enum"].as_array(), value.is_null())
        && !known.contains(value)
    {
        return Some(format!("{place} is {value}, which is none of {known:?}"));
    }
    match value {
        Value::Array(items) => {
            items.iter().find_map(|item| wrong(document, &schema["items"], item, &format!("{place}[]")))
        }
        Value::Object(object) if schema["additionalProperties"].is_object() => {
            let each = &schema["additionalProperties"];
            object.iter().find_map(|(name, value)| wrong(document, each, value, &format!("{place}.{name}")))
        }
        Value::Object(object) => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let missing = required.iter().find(|name| !object.contains_key(name.as_str().unwrap()));
            missing.map(|name| format!("{place} lacks {name}")).or_else(|| {
                unknown_field(&fields(document, schema), value, place).or_else(|| {
                    object.iter().find_map(|(name, value)| {
                        wrong(document, &schema["properties"][name], value, &format!("{place}.{name}"))
                    })
                })
            })
        }
        _ => None,
    }
}

/// The fields that an object may have.
fn fields(document: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fields(document, document.pointer(reference.strip_prefix('#').unwrap()).unwrap());
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let own = schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned());
    parts.flat_map(|part| fields(document, part)).chain(own).collect()
}

fn unknown_field(known: &BTreeSet<String>, value: &Value, place: &str) -> Option<String> {
    let unknown = value.as_object()?.keys().find(|name| !known.contains(*name))?;
    Some(format!("{place}.{unknown} is not described"))
}

#[tokio::test]
async fn every_route_of_the_api_is_described_and_no_other() {
    let store = filled().await;
    let document = document(&store).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    assert!(!document.to_string().contains("\"nullable\""));
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routes: BTreeSet<&str> = crate::web::routes::of_the_api().into_iter().collect();
    assert_eq!(described, routes);
    // With the methods that they take, and no others.
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let router = door_router(web(&store, ServiceState::Ready));
            let request = Request::builder().method(method.clone()).uri(path).body(Body::empty()).unwrap();
            let status = router.oneshot(request).await.unwrap().status();
            let is_described = operations.get(method.as_str().to_lowercase()).is_some();
            assert_eq!(status != StatusCode::METHOD_NOT_ALLOWED, is_described, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn parameters_that_are_described_are_taken_and_no_others() {
    let store = filled().await;
    let document = document(&store).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(parameters) = operations["get"]["parameters"].as_array() else { continue };
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let router = door_router(web(&store, ServiceState::Ready));
            let request = Request::get(format!("{path}?{name}=%00")).body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            // A stream that has begun has no end.
            if response.status() != StatusCode::OK {
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_ne!(body["error"]["code"], "unknown_parameter", "{path}: {name}");
            }
        }
        let (status, body) = get(&store, &format!("{path}?surprise=1")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let message = body["error"]["message"].as_str().unwrap();
        let taken: BTreeSet<&str> = message.split('`').skip(3).step_by(2).collect();
        let described: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(described, taken, "{path}: {message}");
    }
}

/// A store that has some of everything.
async fn with_everything() -> Arc<MemoryStore> {
    let store = filled().await;
    let platform =
        Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: Some("v8".to_owned()) };
    let child = Descriptor {
        platform: Some(platform),
        artifact_type: Some("application/x".into()),
        annotations: [("a".to_owned(), "b".to_owned())].into(),
        ..descriptor("image")
    };
    let mut index = manifest("index");
    index.document.kind = ManifestKind::Index;
    index.document.children = vec![child];
    push(&store, &app(), index, &["all"]).await;
    let mut signature = manifest("signature");
    signature.document.subject = Some(descriptor("image"));
    signature.document.config = Some(descriptor("config"));
    signature.document.layers = vec![descriptor("layer")];
    signature.document.annotations.insert("signed".to_owned(), "yes".to_owned());
    push(&store, &app(), signature, &[]).await;
    pull(&store, &app(), Some("latest"), 2).await;
    delete(&store, &app(), "all").await;
    let event = AuthEvent {
        time: time(),
        first: Some(time()),
        kind: AuthEventKind::Login,
        user: Some("alice".to_owned()),
        address: Some("192.0.2.1".parse().unwrap()),
        about: "a login".to_owned(),
        count: 2,
    };
    let most = Quotas { tokens: 9, logins: 9, failures: 9, refusals: 9, accounts: 9, policies: 9 };
    let keep = Retention { most, since: Timestamp::from_milliseconds(0) };
    store.add_auth_events(vec![(None, event)], keep).await.unwrap();
    store
}

#[tokio::test]
async fn every_field_of_an_answer_is_described() {
    let store = with_everything().await;
    let document = document(&store).await;
    let one = |name| format!("/api/v1/manifests?repository=team/app&digest={}", digest(name));
    for path in [
        "/api/v1/status",
        "/api/v1/repositories",
        "/api/v1/repositories?group_by=namespace",
        "/api/v1/tags?repository=team/app",
        "/api/v1/manifests?repository=team/app",
        &one("image"),
        &one("index"),
        &one("signature"),
        "/api/v1/events",
        "/api/v1/events?kind=auth",
        "/api/v1/removals",
        "/api/v1/nothing",
        "/api/v1/tags?repository=unknown",
    ] {
        let (status, body) = get(&store, path).await;
        let known = path.split('?').next().unwrap();
        let answers = &document["paths"][known]["get"]["responses"];
        let schema = match status {
            StatusCode::OK => &answers["200"]["content"]["application/json"]["schema"],
            _ => &document["components"]["schemas"]["ErrorBody"],
        };
        assert_eq!(wrong(&document, schema, &body, "answer"), None, "{path}: {body}");
        // Also what is said to be there alone tells when nothing is.
        assert!(wrong(&document, schema, &json!({"surprise": 1}), "answer").is_some(), "{path}");
    }
    for (path, body) in [
        ("/api/v1/sync", r#"{"deep": true}"#),
        ("/api/v1/removals/accept", ""),
        ("/api/v1/notifications", r#"{"events": []}"#),
    ] {
        let router = door_router(web(&store, ServiceState::Ready));
        let request = Request::post(path)
            .header("authorization", "Bearer 0123456789abcdef")
            .body(Body::from(body))
            .unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answers = &document["paths"][path]["post"]["responses"];
        let schema = &answers["202"]["content"]["application/json"]["schema"];
        let body = serde_json::from_slice(&body).unwrap();
        assert_eq!(wrong(&document, schema, &body, "answer"), None, "{path}: {body}");
    }
}
