//! `/ui/sign-in`, `/ui/sign-out` and `/ui/sign-out-everywhere`: a browser signs in with a name and a password, and goes on by a
//! cookie. The password is checked as that of every login is: with the same delays, in the same queue, in the same journal.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use url::form_urlencoded;

use super::super::device::device;
use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::error::{PageError, sentence};
use super::layout::{Layout, Section};
use super::next::Next;
use super::visit::{Visit, rendered};
use super::{form, links};
use crate::auth::{
    AccountCommand, AccountError, Author, Credentials, Gate, HashingError, LoginError, Proven, SessionCookie,
    SourceError, UserName, Viewer,
};
use crate::telemetry::{AccessNote, LogThrottle};

/// The form.
#[derive(Template)]
#[template(path = "sign_in.html", config = "src/web/pages/templates/askama.toml")]
struct SignInPage<'a> {
    layout: Layout,
    name: &'a str,
    next: &'a str,
    /// Whether the password was changed just before.
    is_changed: bool,
    /// Why the last attempt failed.
    failure: Option<String>,
    /// Whether the password can be read on its way.
    is_unencrypted: bool,
}

/// What somebody sees who has signed in already.
#[derive(Template)]
#[template(path = "signed_in.html", config = "src/web/pages/templates/askama.toml")]
struct SignedInPage<'a> {
    layout: Layout,
    user: &'a str,
    next: &'a str,
}

/// What an open door says.
#[derive(Template)]
#[template(path = "no_sign_in.html", config = "src/web/pages/templates/askama.toml")]
struct NoSignInPage {
    layout: Layout,
}

/// Why a browser is not signed in, or out.
#[derive(Debug, thiserror::Error)]
enum SignInError {
    #[error("this door is open (auth.mode = \"off\"): it asks nobody who they are")]
    Open,
    #[error("send a form: `Content-Type: application/x-www-form-urlencoded`")]
    NoForm,
    #[error("{}", .0.message)]
    Form(PageError),
    #[error("sign in with your password; an access token is for programs")]
    AccessToken,
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("it cannot be done now; the door's log says why")]
    Accounts(#[from] AccountError),
    #[error("the door failed on this request; its log says why")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SignInError {
    fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Broken(error.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Open => StatusCode::NOT_FOUND,
            Self::NoForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Form(error) => error.status,
            Self::AccessToken | Self::Login(LoginError::Wrong(_)) => StatusCode::UNAUTHORIZED,
            Self::Login(LoginError::TooMany(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::Login(LoginError::Unavailable(_)) | Self::Accounts(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For whoever signs in. Whatever is wrong with the credentials, it is the same.
    fn told(&self) -> String {
        match self {
            Self::Form(error) => error.message.clone(),
            Self::Login(LoginError::Unavailable(_)) => {
                sentence("logins cannot be checked now; try again soon")
            }
            error => sentence(&error.to_string()),
        }
    }

    /// Writes down what is not told. A client that asks again and again must not fill the log.
    fn note_cause(&self) {
        static THROTTLE: LogThrottle = LogThrottle::new();
        let cause: &dyn std::fmt::Debug = match self {
            Self::Login(LoginError::Unavailable(SourceError::Hashing(HashingError::Busy))) => return,
            Self::Login(LoginError::Unavailable(error)) => error,
            Self::Accounts(error) => error,
            Self::Broken(error) => error,
            _ => return,
        };
        if let Some(times) = THROTTLE.count() {
            tracing::warn!(?cause, times, "a browser could not be signed in or out");
        }
    }
}

/// The cookie of whoever made this visit.
fn cookie_of(visit: &Visit) -> SessionCookie {
    SessionCookie::at(visit.origin.is_private())
}

/// Who has signed in.
fn user_of(visit: &Visit) -> Option<&str> {
    match &visit.viewer {
        Viewer::InSession(..) => visit.viewer.name(),
        _ => None,
    }
}

/// What was written into the form.
struct Form {
    name: String,
    password: SecretString,
    next: Next,
}

impl Form {
    async fn read(request: Request) -> Result<Self, SignInError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(SignInError::NoForm);
        }
        let refused = |error: ApiError| SignInError::Form(error.into());
        let sent = form::read(request).await.map_err(refused)?;
        let given = Parameters::parse(Some(&sent), &["name", "password", "next"]).map_err(refused)?;
        let field = |name| given.text(name).unwrap_or_default();
        Ok(Self {
            name: field("name").to_owned(),
            password: field("password").into(),
            next: Next::after_sign_in(field("next")),
        })
    }
}

/// `GET /ui/sign-in`
pub(super) async fn show(State(state): State<WebState>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    if state.gate.is_none() {
        return refused(&visit, "", &Next::home(), &SignInError::Open);
    }
    let query = query.unwrap_or_default();
    let next = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "next");
    let next = next.map_or_else(Next::home, |(_, next)| Next::after_sign_in(&next));
    match user_of(&visit) {
        Some(user) => {
            let layout = visit.layout(Section::None, "Signed in");
            page(StatusCode::OK, &SignedInPage { layout, user, next: next.as_str() })
        }
        None => asked(StatusCode::OK, &visit, "", &next, None),
    }
}

/// `POST /ui/sign-in`
pub(super) async fn sign_in(State(state): State<WebState>, visit: Visit, request: Request) -> Response {
    let mut note = AccessNote::default();
    let headers = request.headers().clone();
    let (mut name, mut next) = (String::new(), Next::home());
    let signing_in = async {
        let gate = gate(&state)?;
        let form = Form::read(request).await?;
        (name, next) = (form.name, form.next);
        let proven = check(gate, &name, form.password, visit.address, &mut note).await?;
        let cookie = cookie_of(&visit);
        let device = device(visit.address, &headers);
        let session = gate.begin_session(&proven, device, cookie.read(&headers).as_ref()).await?;
        let secret = session.ok_or(SignInError::AccessToken)?;
        cookie.set(&secret, gate.logins.sessions.lifetime).map_err(SignInError::broken)
    };
    let signed_in = signing_in.await;
    let mut response = match signed_in.and_then(|cookie| see_other(next.as_str(), cookie)) {
        Ok(response) => response,
        Err(error) => {
            note.cause.get_or_insert_with(|| match &error {
                SignInError::Login(error) => error.reason().into_owned(),
                error => error.to_string(),
            });
            refused(&visit, &name, &next, &error)
        }
    };
    response.extensions_mut().insert(note);
    response
}

/// Who it is, by their password.
async fn check(
    gate: &Gate,
    name: &str,
    password: SecretString,
    address: IpAddr,
    note: &mut AccessNote,
) -> Result<Proven, SignInError> {
    let name = UserName::parse(name).map_err(|_| gate.refuse_impossible_name())?;
    let credentials = Credentials { name, password };
    // A large future.
    match Box::pin(gate.prove(&credentials, address)).await {
        Ok(proven) => {
            note.user = Some(proven.identity.name.to_string());
            Ok(proven)
        }
        Err(error) => {
            note.cause = Some(error.about(&credentials.name));
            Err(error.into())
        }
    }
}

/// `POST /ui/sign-out`: the session ends.
pub(super) async fn sign_out(State(state): State<WebState>, visit: Visit, headers: HeaderMap) -> Response {
    let signed_out = async {
        let gate = gate(&state)?;
        if let Some(secret) = cookie_of(&visit).read(&headers) {
            gate.end_session(&secret, visit.address).await?;
        }
        gone(&visit)
    };
    signed_out.await.unwrap_or_else(|error| refused(&visit, "", &Next::home(), &error))
}

/// `POST /ui/sign-out-everywhere`: all that goes on by the user's password ends, also what `docker login` keeps. Access tokens stay.
pub(super) async fn sign_out_everywhere(State(state): State<WebState>, visit: Visit) -> Response {
    let signed_out = async {
        gate(&state)?;
        if let Some(user) = user_of(&visit).and_then(|user| UserName::parse(user).ok()) {
            let by = Author { name: user.to_string(), address: Some(visit.address) };
            state.accounts.carry_out(AccountCommand::EndLogins { user }, Some(&by)).await?;
        }
        gone(&visit)
    };
    signed_out.await.unwrap_or_else(|error| refused(&visit, "", &Next::home(), &error))
}

fn gate(state: &WebState) -> Result<&Arc<Gate>, SignInError> {
    state.gate.as_ref().ok_or(SignInError::Open)
}

/// Has the browser forget its session.
fn gone(visit: &Visit) -> Result<Response, SignInError> {
    see_other(links::SIGN_IN, cookie_of(visit).clear().map_err(SignInError::broken)?)
}

fn see_other(place: &str, cookie: HeaderValue) -> Result<Response, SignInError> {
    let place = HeaderValue::try_from(place).map_err(SignInError::broken)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, place), (header::SET_COOKIE, cookie)]).into_response())
}

/// The page that says why.
fn refused(visit: &Visit, name: &str, next: &Next, error: &SignInError) -> Response {
    error.note_cause();
    let status = error.status();
    if let SignInError::Open = error {
        return page(status, &NoSignInPage { layout: visit.layout(Section::None, "No sign-in") });
    }
    let mut response = asked(status, visit, name, next, Some(error.told()));
    let header = match error {
        SignInError::Login(LoginError::TooMany(wait)) => {
            Some((header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1))))
        }
        SignInError::Login(LoginError::Unavailable(_)) => Some((header::RETRY_AFTER, HeaderValue::from(1))),
        // RFC 9110, 15.5.2; a scheme for which no browser asks.
        _ if status == StatusCode::UNAUTHORIZED => {
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
        _ => None,
    };
    response.headers_mut().extend(header);
    response
}

fn asked(status: StatusCode, visit: &Visit, name: &str, next: &Next, failure: Option<String>) -> Response {
    // A choice of colours leads back to the form, whatever was sent.
    let here = links::sign_in(next.as_str());
    let layout = Layout { sign_in: None, here, ..visit.layout(Section::None, "Sign in") };
    let is_unencrypted = !visit.origin.is_private();
    let mut asked = form_urlencoded::parse(visit.query.as_bytes());
    let is_changed = asked.any(|(name, value)| name == "done" && value == "password");
    page(status, &SignInPage { layout, name, next: next.as_str(), is_changed, failure, is_unencrypted })
}

fn page(status: StatusCode, page: &impl Template) -> Response {
    match rendered(page) {
        Ok(mut response) => {
            *response.status_mut() = status;
            response
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped_and_the_form_has_what_was_written_but_the_password() {
        let hostile = "\"><script>alert(1)</script>";
        let page = SignInPage {
            layout: Layout::plain("Sign in"),
            name: hostile,
            next: hostile,
            is_changed: false,
            failure: Some(hostile.to_owned()),
            is_unencrypted: true,
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script>alert") && html.contains("script"), "{html}");
        assert!(html.contains("not encrypted") && html.contains(" required autofocus>"), "{html}");
        assert!(html.contains("<title>Sign in – Portreeve</title>"), "{html}");
        let html =
            SignedInPage { layout: Layout::plain(hostile), user: hostile, next: hostile }.render().unwrap();
        assert!(!html.contains("<script>alert") && html.contains("docker login"), "{html}");
    }
}
