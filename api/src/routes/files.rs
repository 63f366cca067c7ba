//! Files in and out, over plain HTTP: uploads for imports, their reports, exports.

mod export;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use serde::Deserialize;
use tokio::time::timeout;
use wasend_commands::import::{IncomingUpload, UploadError};
use wasend_domain::{GroupId, ImportId};
use wasend_projections::contacts::GroupRow;
use wasend_projections::imports::ImportRow;

use super::{AppState, not_found, unavailable};
use crate::auth::{ReadScope, ScopedKey, SendScope};
use crate::http::body::refuse_compressed;
use crate::http::guarded_body::guard_body;
use crate::http::quota::OperationPermit;
use crate::problem::{Problem, ProblemCode};

/// The routes of files; all need an API key.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/uploads", post(upload))
        .route("/imports/{id}/errors.csv", get(errors))
        .route("/contacts.csv", get(contacts))
        .route("/groups.csv", get(groups))
}

/// Takes in a file, however large, a piece at a time.
async fn upload(
    State(state): State<AppState>,
    key: ScopedKey<SendScope>,
    request: Request,
) -> Result<Response, Problem> {
    refuse_compressed(request.headers())?;
    let _place = state.open_stream(&key.holder)?;
    let mut incoming = state.commands.upload(key.caller()).await.map_err(|error| unavailable(&error))?;
    let mut body = request.into_body().into_data_stream();
    loop {
        let late = |_| Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time");
        let Some(piece) = timeout(state.shell.http.body_timeout, body.next()).await.map_err(late)? else { break };
        let piece = piece.map_err(|_| Problem::new(ProblemCode::BadRequest, "the body broke off"))?;
        receive_piece(&state, &mut incoming, &piece).await?;
    }
    let (id, bytes) = incoming.finish(&state.commands).await.map_err(|error| unavailable(&error))?;
    Ok(Json(serde_json::json!({"uploadId": id.to_string(), "bytes": bytes})).into_response())
}

async fn receive_piece(state: &AppState, incoming: &mut IncomingUpload, piece: &[u8]) -> Result<(), Problem> {
    incoming.push(&state.commands, piece).await.map_err(|error| match error {
        UploadError::TooLarge(_) => Problem::new(ProblemCode::PayloadTooLarge, error.to_string()),
        UploadError::Command(error) => unavailable(&error),
    })
}

/// The rows that an import did not take as they are, and why.
async fn errors(
    State(state): State<AppState>,
    key: ScopedKey<ReadScope>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = id.parse::<ImportId>().map_err(|_| not_found())?;
    let row = state.commands.reads.get::<ImportRow>(&id.to_string()).await;
    let row = row.map_err(|error| unavailable(&error.into()))?;
    row.filter(|row| row.account_id == key.holder.account_id.to_string()).ok_or_else(not_found)?;
    let place = state.open_stream(&key.holder)?;
    Ok(csv("errors.csv", export::errors(state.commands, key.holder.account_id, id), place))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportArguments {
    group_id: Option<String>,
}

/// Every contact of the account, or of a group, in the form in which it is imported.
async fn contacts(
    State(state): State<AppState>,
    key: ScopedKey<ReadScope>,
    Query(which): Query<ExportArguments>,
) -> Result<Response, Problem> {
    let group = match which.group_id {
        None => None,
        Some(group) => {
            let group = group.parse::<GroupId>().map_err(|_| not_found())?.to_string();
            let row = state.commands.reads.get::<GroupRow>(&group).await.map_err(|error| unavailable(&error.into()))?;
            row.filter(|row| row.account_id == key.holder.account_id.to_string()).ok_or_else(not_found)?;
            Some(group)
        }
    };
    let place = state.open_stream(&key.holder)?;
    Ok(csv("contacts.csv", export::contacts(state.commands, key.holder.account_id, group), place))
}

async fn groups(State(state): State<AppState>, key: ScopedKey<ReadScope>) -> Result<Response, Problem> {
    let place = state.open_stream(&key.holder)?;
    Ok(csv("groups.csv", export::groups(state.commands, key.holder.account_id), place))
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
