//! Files in and out, over plain HTTP: uploads for imports, their reports, exports.

mod export;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRef, Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use serde::Deserialize;
use tokio::time::timeout;
use wasend_commands::import::{Incoming, UploadError};
use wasend_commands::{Caller, CommandError, Commands};
use wasend_domain::account::Scope;
use wasend_domain::{GroupId, ImportId};
use wasend_projections::contacts::GroupRow;
use wasend_projections::imports::ImportRow;

use crate::auth::{self, Actor, Authenticator};
use crate::http::Quotas;
use crate::http::body::refuse_compressed;
use crate::http::held::hold;
use crate::http::quota::Permit;
use crate::problem::{Code, Problem};

#[derive(Clone)]
struct Door {
    commands: Arc<Commands>,
    authenticator: Arc<dyn Authenticator>,
    quotas: Arc<Quotas>,
    /// How long the next bytes of an upload may take.
    patience: Duration,
}

impl FromRef<Door> for Arc<dyn Authenticator> {
    fn from_ref(door: &Door) -> Self {
        door.authenticator.clone()
    }
}

pub fn files(
    commands: Arc<Commands>,
    authenticator: Arc<dyn Authenticator>,
    quotas: Arc<Quotas>,
    patience: Duration,
) -> Router {
    Router::new()
        .route("/uploads", post(upload))
        .route("/imports/{id}/errors.csv", get(errors))
        .route("/contacts.csv", get(contacts))
        .route("/groups.csv", get(groups))
        .with_state(Door { commands, authenticator, quotas, patience })
}

impl Door {
    /// A place among what the account has open, for as long as the file moves.
    fn place(&self, actor: &Actor) -> Result<Permit, Problem> {
        self.quotas.stream(&auth::Caller::Holder(Arc::new(actor.clone())))
    }
}

fn allowed(actor: &Actor, scope: Scope) -> Result<Caller, Problem> {
    if actor.may(scope) {
        return Ok(Caller { account_id: actor.account_id, actor: wasend_domain::Actor::Key(actor.key_id) });
    }
    Err(Problem::new(Code::Forbidden, format!("the API key lacks the scope {}", scope.name())))
}

/// Takes in a file, however large, a piece at a time.
async fn upload(State(door): State<Door>, actor: Actor, request: Request) -> Result<Response, Problem> {
    let caller = allowed(&actor, Scope::Send)?;
    refuse_compressed(request.headers())?;
    let _place = door.place(&actor)?;
    let mut incoming = door.commands.upload(caller).await.map_err(|error| failed(&error))?;
    let mut body = request.into_body().into_data_stream();
    loop {
        let late = |_| Problem::new(Code::RequestTimeout, "the body did not arrive in time");
        let Some(piece) = timeout(door.patience, body.next()).await.map_err(late)? else { break };
        let piece = piece.map_err(|_| Problem::new(Code::BadRequest, "the body broke off"))?;
        take(&door, &mut incoming, &piece).await?;
    }
    let (id, bytes) = incoming.finish(&door.commands).await.map_err(|error| failed(&error))?;
    Ok(Json(serde_json::json!({"uploadId": id.to_string(), "bytes": bytes})).into_response())
}

async fn take(door: &Door, incoming: &mut Incoming, piece: &[u8]) -> Result<(), Problem> {
    incoming.push(&door.commands, piece).await.map_err(|error| match error {
        UploadError::TooLarge(_) => Problem::new(Code::PayloadTooLarge, error.to_string()),
        UploadError::Command(error) => failed(&error),
    })
}

fn failed(error: &CommandError) -> Problem {
    tracing::error!(%error, "a file could not be stored or read");
    Problem::new(Code::Unavailable, "the server cannot answer for now; repeat the request after a while")
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "the account has nothing under this id")
}

/// The rows that an import did not take as they are, and why.
async fn errors(State(door): State<Door>, actor: Actor, Path(id): Path<String>) -> Result<Response, Problem> {
    allowed(&actor, Scope::Read)?;
    let id = id.parse::<ImportId>().map_err(|_| missing())?;
    let row = door.commands.reads.get::<ImportRow>(&id.to_string()).await;
    let row = row.map_err(|error| failed(&error.into()))?;
    row.filter(|row| row.account_id == actor.account_id.to_string()).ok_or_else(missing)?;
    let place = door.place(&actor)?;
    Ok(csv("errors.csv", export::errors(door.commands, actor.account_id, id), place))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Which {
    group_id: Option<String>,
}

/// Every contact of the account, or of a group, in the form in which it is imported.
async fn contacts(State(door): State<Door>, actor: Actor, Query(which): Query<Which>) -> Result<Response, Problem> {
    allowed(&actor, Scope::Read)?;
    let group = match which.group_id {
        None => None,
        Some(group) => {
            let group = group.parse::<GroupId>().map_err(|_| missing())?.to_string();
            let row = door.commands.reads.get::<GroupRow>(&group).await.map_err(|error| failed(&error.into()))?;
            row.filter(|row| row.account_id == actor.account_id.to_string()).ok_or_else(missing)?;
            Some(group)
        }
    };
    let place = door.place(&actor)?;
    Ok(csv("contacts.csv", export::contacts(door.commands, actor.account_id, group), place))
}

async fn groups(State(door): State<Door>, actor: Actor) -> Result<Response, Problem> {
    allowed(&actor, Scope::Read)?;
    let place = door.place(&actor)?;
    Ok(csv("groups.csv", export::groups(door.commands, actor.account_id), place))
}

fn csv(name: &str, rows: export::Bytes, place: Permit) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    // A failure in the middle breaks the connection off, so that half a file is never taken for a whole one.
    hold((headers, Body::from_stream(rows)).into_response(), place)
}
