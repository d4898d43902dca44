//! `/token`: Docker's token endpoint ("Token Authentication Specification", "OAuth2 Token Authentication"), and the keys that
//! its tokens are signed with (`/.well-known/jwks.json`, RFC 7517).
//!
//! A token's time is told as `expires_in` and never as `issued_at`, so that a client counts from its own clock.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::body::{self, BodyRefused};
use super::device::device;
use super::state::WebState;
use crate::auth::{
    Accounts, Authorization, Credentials, Device, Gate, HashingError, Identity, LoginError, Origin, Proven,
    Rejected, SigningFailed, SourceError, Subject, TokenRequest, UserName, read_only_authorization,
};
use crate::oci::{Access, ErrorBody, ErrorCode};
use crate::store::AuthEventKind;
use crate::telemetry::{AccessNote, CounterFamily, LogThrottle};

pub(super) static TOKENS: CounterFamily = CounterFamily {
    name: "portreeve_tokens_total",
    help: "Tokens that were issued, by whom they are for",
    labels: &[("subject", &["user", "anonymous"])],
};

/// The longest form: names, a password or a login's token, and a hundred scopes.
const MAXIMUM_FORM_BYTES: usize = 16 * 1024;

/// What a client is answered.
#[derive(Serialize)]
struct Granted {
    token: String,
    access_token: String,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What was granted; answered to a POST, whose clients look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("tokens are not used here: this door is open")]
    Off,
    #[error("the service `{asked}` is not served here; this is `{served}`")]
    Service { asked: String, served: String },
    #[error("`grant_type` must be `password` or `refresh_token`")]
    GrantType,
    #[error("{0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Body(#[from] BodyRefused),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("the door failed on this request; its log says why")]
    Signing(#[from] SigningFailed),
}

/// `GET /token`
pub(super) async fn get(
    State(state): State<WebState>,
    Extension(address): Extension<IpAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut note = AccessNote::default();
    let answered = answer_get(&state, address, query.as_deref().unwrap_or_default(), &headers, &mut note);
    noted(answered.await, note)
}

async fn answer_get(
    state: &WebState,
    address: IpAddr,
    query: &str,
    headers: &HeaderMap,
    note: &mut AccessNote,
) -> Result<Response, TokenError> {
    let gate = gate(state)?;
    let request = TokenRequest::read(query.as_bytes());
    note.scopes_asked = Some(request.scopes.join(" "));
    let credentials = credentials(gate, headers)?;
    let proven = match &credentials {
        Some(credentials) => Some(login(gate, credentials, address, note).await?),
        None => None,
    };
    let subject = subject(proven.as_ref());
    let origin = credentials.and_then(|credentials| origin(&subject, &credentials.password));
    let mut granted = grant(gate, &request, &subject, origin, address)?;
    note.scopes_granted = Some(in_words(&granted.1));
    granted.0.refresh_token =
        refresh_token(gate, &request, proven.as_ref(), device(address, headers)).await?;
    Ok(answer(granted))
}

/// `POST /token`
pub(super) async fn post(
    State(state): State<WebState>,
    Extension(address): Extension<IpAddr>,
    request: Request,
) -> Response {
    let mut note = AccessNote::default();
    let answered = answer_post(&state, address, request, &mut note).await;
    noted(answered, note)
}

async fn answer_post(
    state: &WebState,
    address: IpAddr,
    request: Request,
    note: &mut AccessNote,
) -> Result<Response, TokenError> {
    let gate = gate(state)?;
    let headers = request.headers();
    // The form says who it is; a header that is not looked at must not say something else twice.
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(TokenError::Malformed("there are several `Authorization` headers"));
    }
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(TokenError::Malformed("send a form: `Content-Type: application/x-www-form-urlencoded`"));
    }
    let device = device(address, headers);
    let body = body::read(request, MAXIMUM_FORM_BYTES).await?;
    let request = TokenRequest::read(&body);
    note.scopes_asked = Some(request.scopes.join(" "));
    let (proven, subject, origin) = match request.grant_type.as_deref() {
        Some("password") => {
            let (Some(name), Some(password)) = (&request.username, &request.password) else {
                return Err(TokenError::Malformed("`grant_type=password` needs `username` and `password`"));
            };
            let name = UserName::parse(name).map_err(|_| gate.refuse_impossible_name())?;
            let credentials = Credentials { name, password: password.clone() };
            let proven = login(gate, &credentials, address, note).await?;
            let subject = subject(Some(&proven));
            let origin = origin(&subject, &credentials.password);
            (Some(proven), subject, origin)
        }
        Some("refresh_token") => {
            let Some(token) = &request.refresh_token else {
                return Err(TokenError::Malformed("`grant_type=refresh_token` needs `refresh_token`"));
            };
            let identity = gate.login_by_refresh_token(token, address).await;
            let identity = identity.inspect_err(|error| note.cause = Some(error.reason().into_owned()))?;
            note.user = Some(identity.name.to_string());
            (None, Subject::Known(identity), Some(Origin::Login(Accounts::login_key(token))))
        }
        _ => return Err(TokenError::GrantType),
    };
    let mut granted = grant(gate, &request, &subject, origin, address)?;
    granted.0.refresh_token = match (request.grant_type.as_deref(), &request.refresh_token) {
        // The same goes on: Docker presents it again and again.
        (Some("refresh_token"), Some(token)) => Some(token.expose_secret().to_owned()),
        _ => refresh_token(gate, &request, proven.as_ref(), device).await?,
    };
    let scope = in_words(&granted.1);
    note.scopes_granted = Some(scope.clone());
    granted.0.scope = Some(scope);
    Ok(answer(granted))
}

/// `GET /.well-known/jwks.json`
pub(super) async fn keys(State(state): State<WebState>) -> Result<Response, TokenError> {
    Ok(Json(gate(&state)?.issuer.keys().jwks()).into_response())
}

fn gate(state: &WebState) -> Result<&Arc<Gate>, TokenError> {
    state.gate.as_ref().ok_or(TokenError::Off)
}

/// The credentials in the header; none for an anonymous caller.
fn credentials(gate: &Gate, headers: &HeaderMap) -> Result<Option<Credentials>, TokenError> {
    let values = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    match read_only_authorization(values) {
        Ok(Authorization::None) => Ok(None),
        Ok(Authorization::Basic(credentials)) => Ok(Some(credentials)),
        Ok(Authorization::Bearer(_)) => {
            Err(TokenError::Malformed("a token is to be had with a name and a password"))
        }
        Err(Rejected::WRONG_LOGIN) => Err(gate.refuse_impossible_name().into()),
        Err(Rejected { reason }) => Err(TokenError::Malformed(reason)),
    }
}

/// Who it is; and for the log, why not.
async fn login(
    gate: &Gate,
    credentials: &Credentials,
    address: IpAddr,
    note: &mut AccessNote,
) -> Result<Proven, LoginError> {
    // A large future, which is moved once here instead of with each of those around it.
    let login = Box::pin(gate.prove(credentials, address)).await;
    match &login {
        Ok(proven) => note.user = Some(proven.identity.name.to_string()),
        Err(error) => note.cause = Some(error.about(&credentials.name)),
    }
    login
}

/// The answer, with what the access log is to say of it.
fn noted(answered: Result<Response, TokenError>, mut note: AccessNote) -> Response {
    if let Err(error) = &answered {
        note.cause.get_or_insert_with(|| match error {
            TokenError::Login(error) => error.reason().into_owned(),
            error => error.to_string(),
        });
    }
    let mut response = answered.into_response();
    response.extensions_mut().insert(note);
    response
}

fn in_words(access: &[Access]) -> String {
    access.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A token by which the login goes on, if that is wanted.
async fn refresh_token(
    gate: &Gate,
    request: &TokenRequest,
    proven: Option<&Proven>,
    device: Device,
) -> Result<Option<String>, TokenError> {
    match proven {
        Some(proven) if request.is_offline => {
            let token = gate.issue_refresh_token(proven, device).await?;
            Ok(token.map(|token| token.expose_secret().to_owned()))
        }
        Some(_) | None => Ok(None),
    }
}

/// Who it is; anonymous, who has shown nothing.
fn subject(proven: Option<&Proven>) -> Subject {
    proven.map_or(Subject::Anonymous, |proven| Subject::Known(proven.identity.clone()))
}

/// What the caller has shown, where that can be revoked by itself.
fn origin(subject: &Subject, password: &SecretString) -> Option<Origin> {
    let Subject::Known(Identity { limits: Some(_), .. }) = subject else { return None };
    Accounts::id_of_access_token(password).map(Origin::AccessToken)
}

/// The part of what is asked for that may be had: nothing at all is a token too.
fn grant(
    gate: &Gate,
    request: &TokenRequest,
    subject: &Subject,
    origin: Option<Origin>,
    address: IpAddr,
) -> Result<(Granted, Vec<Access>), TokenError> {
    if let Some(asked) = request.service.as_deref().filter(|asked| *asked != gate.service()) {
        let asked = asked.chars().take(100).collect();
        return Err(TokenError::Service { asked, served: gate.service().to_owned() });
    }
    let wanted = Access::parse_all(request.scopes.iter().map(String::as_str));
    let access = gate.grant(subject, &wanted);
    let issued = gate.issuer.issue(subject.name().map(UserName::as_str), &access, origin)?;
    let name = subject.name().map(UserName::as_str);
    // An anonymous caller may ask for any number of names from any number of addresses, and would push what users got out of
    // the journal: of those it is kept how many there were.
    let (address, about) = match name {
        Some(_) => (Some(address), access.iter().map(ToString::to_string).collect()),
        None => (None, Vec::new()),
    };
    gate.journal().note(AuthEventKind::Token, name, address, about.join(" "));
    let kind = if subject.name().is_some() { "user" } else { "anonymous" };
    TOKENS.with([kind]).increment(1);
    let granted = Granted {
        access_token: issued.token.clone(),
        token: issued.token,
        expires_in: issued.expires_in.as_secs(),
        refresh_token: None,
        scope: None,
    };
    Ok((granted, access))
}

fn answer((granted, _): (Granted, Vec<Access>)) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (response::AppendHeaders(headers), Json(granted)).into_response()
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (code, status) = match &self {
            Self::Off => (ErrorCode::NotFound, StatusCode::NOT_FOUND),
            Self::Service { .. } | Self::GrantType | Self::Malformed(_) => {
                (ErrorCode::Unsupported, StatusCode::BAD_REQUEST)
            }
            Self::Body(BodyRefused::TooLong { .. }) => {
                (ErrorCode::SizeInvalid, StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Body(BodyRefused::BrokenOff) => (ErrorCode::Unsupported, StatusCode::BAD_REQUEST),
            Self::Login(LoginError::Wrong(_)) => (ErrorCode::Unauthorized, StatusCode::UNAUTHORIZED),
            Self::Login(LoginError::TooMany(_)) => {
                (ErrorCode::TooManyRequests, StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Login(LoginError::Unavailable(error)) => {
                // A client that floods the door must not fill its log.
                static THROTTLE: LogThrottle = LogThrottle::new();
                if !matches!(error, SourceError::Hashing(HashingError::Busy))
                    && let Some(times) = THROTTLE.count()
                {
                    tracing::warn!(%error, times, "a login could not be checked");
                }
                (ErrorCode::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Signing(error) => {
                static THROTTLE: LogThrottle = LogThrottle::new();
                if let Some(times) = THROTTLE.count() {
                    tracing::error!(%error, times, "no token could be made");
                }
                (ErrorCode::Unknown, StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        let body = ErrorBody::new(code, self.to_string()).to_json();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match &self {
            Self::Login(LoginError::TooMany(wait)) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            }
            Self::Login(LoginError::Unavailable(_)) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
            }
            Self::Login(LoginError::Wrong(_)) => {
                headers
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"portreeve\""));
            }
            _ => {}
        }
        response
    }
}
