//! The observer: carries every manifest write, so that none reaches the registry without being recorded.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{Method, StatusCode};

use crate::door::{
    AnswerOrigin, Answering, BoxError, Entry, Exchange, Flow, ForwardedAuthorization, InvalidOption, Plugin,
    Prepared, Refusal, Response, ResponseHead, end_to_end_headers,
};
use crate::oci::{Digest, ErrorCode, Reference, RepositoryName, Tag};
use crate::registry::{OutgoingWrite, RequestCredentials, WriteAnswer};
use crate::store::Actor;
use crate::sync::{
    Carrier, CarryFailure, ManifestWrite, TagDeleter, TagDeletion, TagDeletionError, WriteContext,
    WriteRequest, cannot_delete_tags,
};
use crate::telemetry::cut;

pub(super) const ENTRY: Entry = Entry { name: "observer", options: &[], prepare };

struct Observer {
    carrier: Carrier,
    tag_deleter: TagDeleter,
    answering: Arc<Answering>,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    Ok(Box::new(|parts| {
        let (carrier, tag_deleter) = (parts.carrier.clone(), parts.tag_deleter.clone());
        Box::new(Observer { carrier, tag_deleter, answering: Arc::clone(&parts.answering) })
    }))
}

#[async_trait]
impl Plugin for Observer {
    async fn on_write(&self, exchange: &mut Exchange, write: &ManifestWrite) -> Result<Flow, Refusal> {
        let (method, body) = match write {
            ManifestWrite::Put { manifest, .. } => (Method::PUT, manifest.bytes.clone()),
            ManifestWrite::Delete { .. } => (Method::DELETE, Bytes::new()),
        };
        let outgoing = outgoing(exchange, method, body);
        let request = WriteRequest { write: write.clone(), actor: actor(exchange), outgoing };
        exchange.forwarding.is_forwarded = true;
        let answer = self.carrier.carry(request).await.map_err(refusal)?;
        let answer = match write {
            ManifestWrite::Delete { repository, reference: Reference::Tag(tag) }
                if cannot_delete_tags(&answer) =>
            {
                let deletion = tag_deletion(exchange, repository.clone(), tag.clone());
                Box::pin(self.tag_deleter.delete(deletion)).await.map_err(not_deleted)?
            }
            ManifestWrite::Delete { .. } | ManifestWrite::Put { .. } => answer,
        };
        let tells_subject = self.answering.is_ready();
        let subject = subject(write).filter(|_| tells_subject && answer.status.is_success());
        response(answer, subject).map(|response| Flow::Respond(Box::new(response))).map_err(|error| {
            Refusal::new(ErrorCode::Unavailable, "the registry's answer makes no sense")
                .with_status(StatusCode::BAD_GATEWAY)
                .because(error)
        })
    }
}

fn actor(exchange: &Exchange) -> Actor {
    let agent = exchange.header(&USER_AGENT).map(|agent| cut(agent, Actor::AGENT_BYTES).to_owned());
    Actor { user: exchange.client.user.clone(), address: Some(exchange.client.address), agent }
}

fn outgoing(exchange: &Exchange, method: Method, body: Bytes) -> OutgoingWrite {
    let path_and_query = exchange.forwarded_path_and_query().to_owned();
    let credentials = credentials(exchange);
    OutgoingWrite { method, path_and_query, headers: end_to_end_headers(exchange), body, credentials }
}

fn credentials(exchange: &Exchange) -> Option<RequestCredentials> {
    match &exchange.forwarding.authorization {
        ForwardedAuthorization::OfTheClient => None,
        ForwardedAuthorization::OfTheDoor(credentials) => Some(credentials.clone()),
    }
}

fn tag_deletion(exchange: &Exchange, repository: RepositoryName, tag: Tag) -> TagDeletion {
    let (headers, credentials) = (end_to_end_headers(exchange), credentials(exchange));
    TagDeletion { repository, tag, context: WriteContext { actor: actor(exchange), headers, credentials } }
}

/// What a manifest that was put is about.
fn subject(write: &ManifestWrite) -> Option<&Digest> {
    match write {
        ManifestWrite::Put { manifest, .. } => Some(&manifest.document.subject.as_ref()?.digest),
        ManifestWrite::Delete { .. } => None,
    }
}

/// The registry's answer as the client gets it. `OCI-Subject` stands in it if the registry says so, or if the door answers
/// what refers to this `subject`: a client that reads it leaves out the fallback tag, by which everybody else finds that (OCI
/// distribution spec, "Pushing manifests with subject").
fn response(answer: WriteAnswer, subject: Option<&Digest>) -> Result<Response, BoxError> {
    let WriteAnswer { status, mut headers, body } = answer;
    crate::door::remove_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut head = ResponseHead::build(status, Some(headers.len()))?;
    for (name, value) in &headers {
        head.append_header(name, value)?;
    }
    if let Some(subject) = subject {
        head.insert_header("oci-subject", subject.as_str())?;
    }
    Ok(Response { head, body: body.into(), origin: AnswerOrigin::Registry })
}

/// What a client is told whose tag is not deleted.
fn not_deleted(error: TagDeletionError) -> Refusal {
    let (status, message) = error.told();
    match error {
        TagDeletionError::NotThere(_) => Refusal::of(ErrorCode::ManifestUnknown, error),
        TagDeletionError::Unsupported { .. } => {
            Refusal { allow: Some("GET, HEAD, PUT"), ..Refusal::of(ErrorCode::Unsupported, error) }
        }
        TagDeletionError::NotMoved(failure) => refusal(failure),
        TagDeletionError::Registry(_)
        | TagDeletionError::Unclear(_)
        | TagDeletionError::NotDeleted(_)
        | TagDeletionError::Manifest(_) => {
            Refusal::new(code(status), message).with_status(status).because(error)
        }
    }
}

/// What a client is told when a write has no answer of the registry's.
fn refusal(failure: CarryFailure) -> Refusal {
    let (status, message) = failure.told();
    Refusal::new(code(status), message).with_status(status).because(failure)
}

/// The code of an answer of the door's own.
const fn code(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::INTERNAL_SERVER_ERROR => ErrorCode::Unknown,
        _ => ErrorCode::Unavailable,
    }
}
