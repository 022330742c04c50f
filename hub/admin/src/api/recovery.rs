//! After an old store was put back: what is held, and a person's word about it.

mod seen;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use self::seen::Recovery;
use super::Answer;
use super::parked::{Done, answer};
use crate::Right;
use crate::ask::{self, Id};
use crate::problem::Problem;
use crate::staff::Person;
use crate::state::Desk;

/// A person's word.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Word {
    /// The reason: it is written down. 1 to 4000 bytes.
    note: String,
}

/// What is held after an old store was put back, what the receivers said about it, and what is proposed.
#[utoipa::path(get, path = "/api/v1/recovery", operation_id = "get_recovery", tag = "recovery", responses(
    (status = 200, description = "The recovery; `active` is false when there is none", body = Recovery),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn show(State(desk): State<Arc<Desk>>, person: Person) -> Answer<Recovery> {
    person.must(Right::View)?;
    let report = desk.operate.recovery().await?;
    Ok(Json(report.map_or_else(Recovery::none, |report| Recovery::of(report, &person))))
}

/// Lets the messages of a lane be sent. The person says by it that no other hub runs on a later state of the store, and that
/// what the receiver does not show was not sent.
#[utoipa::path(post, path = "/api/v1/recovery/lanes/{lane}/release", operation_id = "release_lane", tag = "recovery",
    request_body = Word, params(("lane" = String, Path, description = "The lane; a slash is written `%2F`")), responses(
    (status = 200, description = "It was done", body = Done),
    (status = 409, description = "It does not fit, or somebody was faster", body = Problem, content_type = "application/problem+json"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn release(
    State(desk): State<Arc<Desk>>,
    person: Person,
    Id(lane): Id,
    ask::Json(word): ask::Json<Word>,
) -> Answer<Done> {
    may_recover(&person, &word)?;
    let (operate, by, of) = (desk.operate.clone(), person.name.clone(), lane.clone());
    // on a task of its own: a caller who hangs up must not leave the hub in the middle of a command
    let done = tokio::spawn(async move { operate.release_lane(&of, &by, &word.note).await });
    let released = done.await.map_err(|e| Problem::failed("the release was broken off", &e))??;
    tracing::info!(lane, person = person.name, done = released.done, released.reason, "release of a lane");
    answer(released)
}

/// Ends the recovery. All lanes with messages have to be released before.
#[utoipa::path(post, path = "/api/v1/recovery/end", operation_id = "end_recovery", tag = "recovery", request_body = Word,
    responses(
    (status = 200, description = "It is over", body = Done),
    (status = 409, description = "Something is still held", body = Problem, content_type = "application/problem+json"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn end(
    State(desk): State<Arc<Desk>>,
    person: Person,
    ask::Json(word): ask::Json<Word>,
) -> Answer<Done> {
    may_recover(&person, &word)?;
    let (operate, by) = (desk.operate.clone(), person.name.clone());
    let done = tokio::spawn(async move { operate.end_recovery(&by, &word.note).await });
    let released = done.await.map_err(|e| Problem::failed("the end was broken off", &e))??;
    tracing::info!(person = person.name, done = released.done, released.reason, "end of the recovery");
    answer(released)
}

/// A lane may hold messages of any entity: who works for some only cannot vouch for it.
fn may_recover(person: &Person, word: &Word) -> Result<(), Problem> {
    person.must(Right::Recover)?;
    if !person.entities().is_empty() {
        let detail = "a recovery concerns every entity; it needs a token that is not bound to some of them";
        return Err(Problem::forbidden("entity", detail));
    }
    ask::note(&word.note)
}
