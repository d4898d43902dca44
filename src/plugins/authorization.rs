//! Authenticates each request by a token, or by name and password, and authorises it, before anything else is done with it.

mod challenge;
#[cfg(test)]
mod properties;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HeaderName, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use self::challenge::Challenge;
use crate::auth::{
    Authorization as Given, Credentials, Gate, Identity, InvalidToken, LoginError, Mark, Presence, Rejected,
    Requirement, RequirementOf, SessionCookie, Subject, Token, UploadMarks, Viewer, read_only_authorization,
};
use crate::door::{
    Answering, BoxError, CatalogScope, Client, Entry, Exchange, Flow, ForwardedAuthorization, Forwarding,
    InvalidOption, Plugin, Prepared, Refusal, ResponseHead, Target,
};
use crate::oci::{Access, ErrorCode, Route, without_parameters};
use crate::registry::{RegistryCredentials, RequestCredentials};
use crate::store::AuthEventKind;

pub(super) const ENTRY: Entry = Entry { name: "authorization", options: &[], prepare };

/// The parameter that binds an upload to the token which opened it.
const MARK: &str = "_portreeve_grant";
/// RFC 7615.
const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

struct Authorization {
    /// None if the door is open.
    gate: Option<Arc<Gate>>,
    /// What the door's own paths require.
    requirement_of: RequirementOf,
    credentials: Arc<RegistryCredentials>,
    answering: Arc<Answering>,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    Ok(Box::new(|parts| {
        let (gate, credentials) = (parts.gate.clone(), Arc::clone(&parts.credentials));
        let answering = Arc::clone(&parts.answering);
        Box::new(Authorization { gate, requirement_of: parts.requirement_of, credentials, answering })
    }))
}

/// Who was let in, and with what.
enum Bearer {
    Token(Arc<Token>),
    /// A token whose time is over.
    Expired(Arc<Token>),
    SignedIn(Subject),
}

#[async_trait]
impl Plugin for Authorization {
    async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        let mark = take_mark(exchange);
        if self.gate.is_none() {
            exchange.viewer = Viewer::Unrestricted;
        }
        if let Some(gate) = &self.gate {
            match exchange.target.clone() {
                // It comes without credentials, and whatever came with it is not shown to the registry.
                Target::Registry(Route::Preflight { .. }) => {}
                Target::Registry(route) => {
                    let mark = mark.as_deref().and_then(|mark| read_mark(&gate.marks, &route, mark));
                    exchange.forwarding.upload_opened = mark.as_ref().map(|mark| mark.opened);
                    let may_answer = self.answering.is_ready();
                    admit(gate, exchange, &route, mark.as_ref(), may_answer).await?;
                }
                Target::Own => {
                    let request = &exchange.request;
                    let requirement = (self.requirement_of)(&request.method, &request.uri);
                    exchange.viewer = Box::pin(admit_to_own(gate, exchange, requirement)).await?;
                }
                Target::Unreadable => {}
            }
        }
        if let Target::Registry(route) = &exchange.target {
            self.show_itself(&mut exchange.forwarding, exchange.client.user.as_deref(), route);
        }
        Ok(Flow::Continue)
    }

    fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
        let Target::Registry(route) = &exchange.target else { return Ok(()) };
        // What the registry says about the door's own credentials is nothing for the client, who can do nothing about it. A
        // challenge would have clients ask another server than the door for tokens, and show them to the door.
        if exchange.forwarding.is_forwarded && (self.gate.is_some() || self.credentials.is_some()) {
            if matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
                return Err(not_let_in(head.status));
            }
            for name in [WWW_AUTHENTICATE, AUTHENTICATION_INFO] {
                head.remove_header(&name);
            }
        }
        if let (Some(gate), Some(token)) = (&self.gate, &exchange.client.token)
            && matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
        {
            let opened = match route {
                Route::UploadStart { .. } => Some(gate.clock.now()),
                // What was opened without the door, or has lost its mark, ends with the token.
                _ => exchange.forwarding.upload_opened,
            };
            if let Some(opened) = opened {
                let mark = Mark { opened, token: token.clone() };
                mark_upload(&gate.marks, route, exchange.forwarding.upload.as_deref(), &mark, head);
            }
        }
        Ok(())
    }
}

/// What a client is told when the registry does not let the door in.
fn not_let_in(status: StatusCode) -> Refusal {
    let message = "the registry does not let the door in; its log says why";
    Refusal::new(ErrorCode::Unavailable, message)
        .with_status(StatusCode::BAD_GATEWAY)
        .because(format!("the registry answered {status} to the door's own credentials; check registry.auth"))
}

impl Authorization {
    /// Replaces the client's credentials by the door's own. An open door before a registry that it has no credentials for
    /// passes on what the client sends.
    fn show_itself(&self, forwarding: &mut Forwarding, user: Option<&str>, route: &Route) {
        if self.gate.is_none() && !self.credentials.is_some() {
            return;
        }
        let mut access: Vec<Access> = Access::required_by(route).into_iter().collect();
        if forwarding.path_and_query.is_none() {
            access.extend(Access::required_by_mount_source(route));
        }
        let credentials =
            RequestCredentials::new(Arc::clone(&self.credentials), user.map(str::to_owned), access);
        forwarding.authorization = ForwardedAuthorization::OfTheDoor(credentials);
    }
}

/// Lets a request to the registry in, or not.
async fn admit(
    gate: &Arc<Gate>,
    exchange: &mut Exchange,
    route: &Route,
    mark: Option<&Mark>,
    may_answer: bool,
) -> Result<(), Refusal> {
    let needed = Access::required_by(route);
    let source = Access::required_by_mount_source(route);
    let realm = realm(gate, &exchange.client);
    let challenge =
        Challenge { realm, service: gate.service(), needed: needed.as_ref(), source: source.as_ref() };
    let bearer = match bearer(gate, exchange, &challenge).await? {
        Bearer::Expired(token) => {
            let is_marked = mark.is_some_and(|mark| {
                mark.token == token.id && gate.marks.is_running(mark.opened, gate.clock.now())
            });
            let may_finish = match &needed {
                // Apart, as every login is: the future of each request would be as large.
                Some(needed) if is_marked => Box::pin(still_allows(gate, &token, needed)).await?,
                _ => false,
            };
            if !may_finish {
                return Err(challenge.invalid_token("the token has expired"));
            }
            Bearer::Token(token)
        }
        bearer => bearer,
    };
    let grants = |access: &Access| match &bearer {
        Bearer::Token(token) | Bearer::Expired(token) => token.grants(access),
        Bearer::SignedIn(subject) => gate.allows(subject, access),
    };
    match &bearer {
        Bearer::Token(token) | Bearer::Expired(token) => {
            exchange.client.user.clone_from(&token.subject);
            exchange.client.token = Some(token.id.clone());
        }
        Bearer::SignedIn(subject) => {
            exchange.client.user = subject.name().map(ToString::to_string);
        }
    }
    if let (Some(needed), Bearer::Token(token) | Bearer::Expired(token)) = (&needed, &bearer) {
        // Looked at only where such lines are written.
        tracing::debug!(
            user = token.subject.as_deref(),
            %needed,
            allowed = token.grants(needed),
            "the token of the request decides"
        );
    }
    if let Some(needed) = &needed
        && !grants(needed)
    {
        let is_catalog = *needed == Access::Catalog && grants(&Access::VisibleCatalog);
        match if is_catalog && may_answer { visible_to(gate, bearer).await? } else { None } {
            Some(viewer) => exchange.catalog = CatalogScope::Visible(viewer),
            None => return Err(insufficient(gate, &exchange.client, Some(needed), &challenge)),
        }
        return Ok(());
    }
    // A source that the registry finds by itself no rule has allowed.
    let may_mount = source.as_ref().is_some_and(&grants);
    if let Route::UploadStart { mount: Some(_), .. } = route
        && !may_mount
    {
        exchange.forwarding.path_and_query =
            Some(without_parameters(exchange.forwarded_path_and_query(), &["mount", "from"]).0);
    }
    Ok(())
}

/// The caller as the rules see them, for lists of what they may pull; nothing if they are gone.
async fn visible_to(gate: &Arc<Gate>, bearer: Bearer) -> Result<Option<Viewer>, Refusal> {
    let subject = match bearer {
        Bearer::SignedIn(subject) => Some(subject),
        // Apart, as every login is.
        Bearer::Token(token) | Bearer::Expired(token) => {
            Box::pin(gate.subject_of(&token)).await.map_err(unavailable)?
        }
    };
    Ok(subject.map(|subject| Viewer::SignedIn(Arc::clone(gate), subject)))
}

/// Whether the subject of an expired token still exists and may still do this.
async fn still_allows(gate: &Gate, token: &Token, needed: &Access) -> Result<bool, Refusal> {
    gate.still_allows(token, needed).await.map_err(unavailable)
}

/// Refuses a caller who may not do this.
fn insufficient(gate: &Gate, client: &Client, needed: Option<&Access>, challenge: &Challenge<'_>) -> Refusal {
    let user = client.user.as_deref();
    let about = match (needed, user) {
        (None, _) => "a login".to_owned(),
        // A caller who has not logged in may ask for any number of names, and none of them is kept.
        (Some(Access::Repository { actions, .. }), None) => format!("{actions} of a repository"),
        (Some(needed), _) => needed.to_string(),
    };
    gate.journal().note(AuthEventKind::Refused, user, Some(client.address), about);
    challenge.insufficient(user)
}

/// Admits a request to a path of the door's own, or refuses it, before any of its body is taken. Answers who asks.
async fn admit_to_own(
    gate: &Arc<Gate>,
    exchange: &mut Exchange,
    requirement: Requirement,
) -> Result<Viewer, Refusal> {
    let needed = match requirement {
        Requirement::Probe | Requirement::Public => return Ok(Viewer::Anonymous),
        Requirement::Page | Requirement::SignedIn | Requirement::Filtered => None,
        Requirement::Access(ref needed) => Some(needed.clone()),
    };
    let viewer = match viewer_by_cookie(gate, exchange).await? {
        Some(viewer) => viewer,
        None if requirement == Requirement::Page && !exchange.request.headers.contains_key(AUTHORIZATION) => {
            // Who shows nothing is nobody, who may what the rules allow everybody.
            return Ok(Viewer::SignedIn(Arc::clone(gate), Subject::Anonymous));
        }
        None => viewer_by_header(gate, exchange, needed.as_ref()).await?,
    };
    exchange.client.user = viewer.name().map(str::to_owned);
    if viewer.meets(&requirement) {
        return Ok(viewer);
    }
    let challenge = Challenge {
        realm: realm(gate, &exchange.client),
        service: gate.service(),
        needed: needed.as_ref(),
        source: None,
    };
    let refusal = insufficient(gate, &exchange.client, needed.as_ref(), &challenge);
    // To log in once more would not help whoever has. Clients of the registry are told otherwise: they ask for a token with
    // more in it when they hear 401, and only then.
    let is_known = viewer.name().is_some();
    Err(if is_known { refusal.with_status(StatusCode::FORBIDDEN) } else { refusal })
}

/// Who asks by a session. The cookie comes with whatever a browser asks of the door: it counts only here, for the door's own
/// paths, and only where no other credentials are shown.
async fn viewer_by_cookie(gate: &Arc<Gate>, exchange: &Exchange) -> Result<Option<Viewer>, Refusal> {
    let (client, headers) = (&exchange.client, &exchange.request.headers);
    if headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let origin = gate.door_origin(client.scheme.as_str(), client.host.as_deref());
    let Some(secret) = SessionCookie::at(origin.is_private()).read(headers) else { return Ok(None) };
    let session = gate.session(&secret, Presence::of(headers)).await.map_err(unavailable)?;
    Ok(session.map(|session| Viewer::InSession(Arc::clone(gate), Arc::new(session))))
}

/// Who asks by a token, or by a name and a password.
async fn viewer_by_header(
    gate: &Arc<Gate>,
    exchange: &Exchange,
    needed: Option<&Access>,
) -> Result<Viewer, Refusal> {
    let realm = realm(gate, &exchange.client);
    let challenge = Challenge { realm, service: gate.service(), needed, source: None };
    match bearer(gate, exchange, &challenge).await? {
        Bearer::Expired(_) => Err(challenge.invalid_token("the token has expired")),
        // A list of what may be pulled goes by the rules: the token does not name it.
        Bearer::Token(token)
            if needed == Some(&Access::VisibleCatalog) && token.grants(&Access::VisibleCatalog) =>
        {
            let viewer = visible_to(gate, Bearer::Token(token)).await?;
            viewer.ok_or_else(|| challenge.invalid_token("the token's user is gone"))
        }
        Bearer::Token(token) => Ok(Viewer::Bearer(token)),
        Bearer::SignedIn(subject) => Ok(Viewer::SignedIn(Arc::clone(gate), subject)),
    }
}

/// Who sends a request.
async fn bearer(gate: &Gate, exchange: &Exchange, challenge: &Challenge<'_>) -> Result<Bearer, Refusal> {
    match given(&exchange.request.headers) {
        Ok(Given::None) => Err(challenge.no_credentials()),
        Ok(Given::Bearer(token)) => match gate.issuer.check(token) {
            Ok(token) => match gate.is_of_disabled(&token).await.map_err(unavailable)? {
                true => Err(challenge
                    .invalid_token("the token was not made here")
                    .because("the token's user is disabled")),
                false => Ok(Bearer::Token(token)),
            },
            Err(InvalidToken::Expired(token)) => Ok(Bearer::Expired(token)),
            Err(error @ (InvalidToken::Foreign | InvalidToken::NotYet)) => {
                let address = Some(exchange.client.address);
                gate.journal().note(AuthEventKind::Refused, None, address, error.to_string());
                Err(challenge.invalid_token(error.to_string()))
            }
        },
        Ok(Given::Basic(credentials)) => {
            let login = Box::pin(login(gate, exchange, &credentials, challenge));
            Ok(Bearer::SignedIn(Subject::Known(login.await?)))
        }
        Err(rejected @ Rejected { reason }) => {
            let refusal = challenge.invalid_token(reason);
            Err(match rejected {
                Rejected::WRONG_LOGIN => refusal.because(gate.refuse_impossible_name().reason()),
                _ => refusal,
            })
        }
    }
}

async fn login(
    gate: &Gate,
    exchange: &Exchange,
    credentials: &Credentials,
    challenge: &Challenge<'_>,
) -> Result<Identity, Refusal> {
    match gate.login(credentials, exchange.client.address).await {
        Ok(identity) => Ok(identity),
        Err(error @ LoginError::Wrong(_)) => {
            Err(challenge.refused(error.to_string()).because(error.about(&credentials.name)))
        }
        Err(error @ LoginError::TooMany(wait)) => {
            Err(challenge::retry_after(Refusal::new(ErrorCode::TooManyRequests, error.to_string()), wait))
        }
        Err(LoginError::Unavailable(cause)) => {
            let refusal =
                Refusal::new(ErrorCode::Unavailable, "logins cannot be checked now; try again soon");
            Err(challenge::retry_after(refusal.because(cause), Duration::from_secs(1)))
        }
    }
}

fn unavailable(cause: impl Into<BoxError>) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "logins cannot be checked now; try again soon").because(cause)
}

fn realm(gate: &Gate, client: &Client) -> String {
    gate.realm(client.scheme.as_str(), client.host.as_deref())
}

/// The one `Authorization` of a request.
fn given(headers: &HeaderMap) -> Result<Given<'_>, Rejected> {
    read_only_authorization(headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes()))
}

/// Takes the mark off an upload's query: the registry never sees it.
fn take_mark(exchange: &mut Exchange) -> Option<String> {
    exchange.route()?.upload()?;
    let (rest, mark) = without_parameters(exchange.forwarded_path_and_query(), &[MARK]);
    if mark.is_some() {
        exchange.forwarding.path_and_query = Some(rest);
    }
    mark
}

/// What a mark says that came with the upload it was made for.
fn read_mark(marks: &UploadMarks, route: &Route, mark: &str) -> Option<Mark> {
    let Route::Upload { repository, upload, .. } = route else { return None };
    marks.read(mark, repository, upload)
}

/// Marks the URL at which an upload goes on, if that is the door's.
fn mark_upload(
    marks: &UploadMarks,
    route: &Route,
    upload: Option<&str>,
    mark: &Mark,
    head: &mut ResponseHead,
) {
    let (Route::UploadStart { repository, .. } | Route::Upload { repository, .. }) = route else { return };
    let Some(upload) = upload else { return };
    let Some(location) = head.headers.get(LOCATION).and_then(|location| location.to_str().ok()) else {
        return;
    };
    let mark = marks.write(mark, repository, upload);
    let separator = if location.contains('?') { '&' } else { '?' };
    let marked = format!("{location}{separator}{MARK}={mark}");
    if let Err(error) = head.insert_header("Location", marked) {
        tracing::error!(%error, "an upload could not be marked; it ends with its token");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_authorizations_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, "Bearer a".parse().unwrap());
        assert!(given(&headers).is_ok());
        headers.append(AUTHORIZATION, "Bearer b".parse().unwrap());
        assert!(given(&headers).is_err());
    }
}
