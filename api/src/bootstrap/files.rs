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
use wasend_commands::import::{IncomingUpload, UploadError};
use wasend_commands::{Caller, CommandError, Commands};
use wasend_domain::account::KeyScope;
use wasend_domain::{GroupId, ImportId};
use wasend_projections::contacts::GroupRow;
use wasend_projections::imports::ImportRow;

use crate::auth::{self, KeyAuthenticator, KeyHolder};
use crate::http::AccountQuotas;
use crate::http::body::refuse_compressed;
use crate::http::guarded_body::guard_body;
use crate::http::quota::OperationPermit;
use crate::problem::{Problem, ProblemCode};

#[derive(Clone)]
struct FilesState {
    commands: Arc<Commands>,
    authenticator: Arc<dyn KeyAuthenticator>,
    quotas: Arc<AccountQuotas>,
    /// How long the next bytes of an upload may take.
    patience: Duration,
}

impl FromRef<FilesState> for Arc<dyn KeyAuthenticator> {
    fn from_ref(door: &FilesState) -> Self {
        door.authenticator.clone()
    }
}

/// The routes of files; all need an API key. `patience` is how long the next bytes of an upload may take.
pub fn files(
    commands: Arc<Commands>,
    authenticator: Arc<dyn KeyAuthenticator>,
    quotas: Arc<AccountQuotas>,
    patience: Duration,
) -> Router {
    Router::new()
        .route("/uploads", post(upload))
        .route("/imports/{id}/errors.csv", get(errors))
        .route("/contacts.csv", get(contacts))
        .route("/groups.csv", get(groups))
        .with_state(FilesState { commands, authenticator, quotas, patience })
}

impl FilesState {
    /// A place among what the account has open, for as long as the file moves.
    fn place(&self, actor: &KeyHolder) -> Result<OperationPermit, Problem> {
        self.quotas.stream(&auth::RequestCaller::Holder(Arc::new(actor.clone())))
    }
}

fn allowed(actor: &KeyHolder, scope: KeyScope) -> Result<Caller, Problem> {
    if actor.may(scope) {
        return Ok(Caller { account_id: actor.account_id, actor: wasend_domain::Actor::Key(actor.key_id) });
    }
    Err(Problem::new(ProblemCode::Forbidden, format!("the API key lacks the scope {}", scope.name())))
}

/// Takes in a file, however large, a piece at a time.
async fn upload(State(door): State<FilesState>, actor: KeyHolder, request: Request) -> Result<Response, Problem> {
    let caller = allowed(&actor, KeyScope::Send)?;
    refuse_compressed(request.headers())?;
    let _place = door.place(&actor)?;
    let mut incoming = door.commands.upload(caller).await.map_err(|error| failed(&error))?;
    let mut body = request.into_body().into_data_stream();
    loop {
        let late = |_| Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time");
        let Some(piece) = timeout(door.patience, body.next()).await.map_err(late)? else { break };
        let piece = piece.map_err(|_| Problem::new(ProblemCode::BadRequest, "the body broke off"))?;
        receive_piece(&door, &mut incoming, &piece).await?;
    }
    let (id, bytes) = incoming.finish(&door.commands).await.map_err(|error| failed(&error))?;
    Ok(Json(serde_json::json!({"uploadId": id.to_string(), "bytes": bytes})).into_response())
}

async fn receive_piece(door: &FilesState, incoming: &mut IncomingUpload, piece: &[u8]) -> Result<(), Problem> {
    incoming.push(&door.commands, piece).await.map_err(|error| match error {
        UploadError::TooLarge(_) => Problem::new(ProblemCode::PayloadTooLarge, error.to_string()),
        UploadError::Command(error) => failed(&error),
    })
}

fn failed(error: &CommandError) -> Problem {
    tracing::error!(%error, "a file could not be stored or read");
    Problem::new(ProblemCode::Unavailable, "the server cannot answer for now; repeat the request after a while")
}

fn missing() -> Problem {
    Problem::new(ProblemCode::NotFound, "the account has nothing under this id")
}

/// The rows that an import did not take as they are, and why.
async fn errors(State(door): State<FilesState>, actor: KeyHolder, Path(id): Path<String>) -> Result<Response, Problem> {
    allowed(&actor, KeyScope::Read)?;
    let id = id.parse::<ImportId>().map_err(|_| missing())?;
    let row = door.commands.reads.get::<ImportRow>(&id.to_string()).await;
    let row = row.map_err(|error| failed(&error.into()))?;
    row.filter(|row| row.account_id == actor.account_id.to_string()).ok_or_else(missing)?;
    let place = door.place(&actor)?;
    Ok(csv("errors.csv", export::errors(door.commands, actor.account_id, id), place))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportArguments {
    group_id: Option<String>,
}

/// Every contact of the account, or of a group, in the form in which it is imported.
async fn contacts(
    State(door): State<FilesState>,
    actor: KeyHolder,
    Query(which): Query<ExportArguments>,
) -> Result<Response, Problem> {
    allowed(&actor, KeyScope::Read)?;
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

async fn groups(State(door): State<FilesState>, actor: KeyHolder) -> Result<Response, Problem> {
    allowed(&actor, KeyScope::Read)?;
    let place = door.place(&actor)?;
    Ok(csv("groups.csv", export::groups(door.commands, actor.account_id), place))
}

fn csv(name: &str, rows: export::ExportBytes, place: OperationPermit) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    // A failure in the middle breaks the connection off, so that half a file is never taken for a whole one.
    guard_body((headers, Body::from_stream(rows)).into_response(), place)
}
