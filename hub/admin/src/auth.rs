//! Bearer tokens: who is calling, and may they.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hub_ledger::Visible;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::problem::Problem;
use crate::roles::{Act, Role};
use crate::router::App;
use crate::settings::TokenSettings;

/// A person, as authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    /// `None`: all.
    entities: Option<Vec<String>>,
}

impl Person {
    /// Refuses what none of their roles allows.
    pub(crate) fn may(&self, act: Act) -> Result<(), Problem> {
        if self.roles.iter().any(|role| role.may(act)) {
            return Ok(());
        }
        Err(Problem::forbidden(format!("{} may not do that; it takes one of the roles {}", self.name, act.roles())))
    }

    /// What they may see.
    pub(crate) fn visible(&self) -> Visible {
        self.entities.clone().map_or(Visible::All, Visible::Only)
    }

    /// Their entities for owners that judge commands; empty: all (settings with an empty list are refused).
    pub(crate) fn entities(&self) -> Vec<String> {
        self.entities.clone().unwrap_or_default()
    }

    /// Names of their roles.
    pub(crate) fn role_names(&self) -> Vec<String> {
        self.roles.iter().map(|role| role.name().to_string()).collect()
    }
}

/// All known tokens, as hashes: the tokens themselves are not kept.
pub(crate) struct Tokens(Vec<([u8; 32], Arc<Person>)>);

impl Tokens {
    pub(crate) fn new(tokens: &[TokenSettings]) -> Self {
        let known = tokens.iter().map(|token| {
            let TokenSettings { person, roles, entities, .. } = token;
            let person = Person { name: person.clone(), roles: roles.clone(), entities: entities.clone() };
            (hash(token.token.expose().as_bytes()), Arc::new(person))
        });
        Self(known.collect())
    }

    /// The person of a token. Compares hashes, all of them, in constant time.
    fn find(&self, token: &[u8]) -> Option<Arc<Person>> {
        let presented = hash(token);
        let (mut found, mut index) = (Choice::from(0), 0u64);
        for (i, (known, _)) in (0u64..).zip(&self.0) {
            let equal = known.ct_eq(&presented);
            index = u64::conditional_select(&index, &i, equal);
            found |= equal;
        }
        let index = usize::try_from(index).ok().filter(|_| bool::from(found))?;
        self.0.get(index).map(|(_, person)| person.clone())
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Lets in who has a token; `/health` is open to all.
pub(crate) async fn authenticate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = path.starts_with("/health/") || (path == "/metrics" && app.metrics_open);
    match person_of(&app.tokens, &request) {
        Some(person) => {
            let _ = request.extensions_mut().insert(person);
            next.run(request).await
        }
        None if open => next.run(request).await,
        None => Problem::unauthorized("send `Authorization: Bearer TOKEN` with a token of the section `admin.tokens`")
            .into_response(),
    }
}

fn person_of(tokens: &Tokens, request: &Request) -> Option<Arc<Person>> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| tokens.find(token.trim_ascii()))?
}

/// The caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Arc<Person>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let person = parts.extensions.get::<Arc<Person>>().cloned();
        person.map(Caller).ok_or_else(|| Problem::unauthorized("this call needs a token"))
    }
}
