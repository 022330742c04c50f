//! What a store must be able to do beside its contract, so that everything in it can be moved to another one (see [`crate::migrate`]).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::embedded::Bounds;
use crate::{Backbone, Error, Offset, Place};

/// What stands in a store about its moving. Durable, and read before anything else of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Ties both stores together: random, and the same in both.
    pub id: String,
    /// How far it has come.
    pub word: Word,
    /// The other store, for people.
    pub other: String,
}

/// How far the moving of a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The source, while it is copied.
    Moving,
    /// The source, once the target was found to be the same.
    Moved,
    /// The target, while it is not complete, or the source is not marked as moved.
    Filling,
    /// The target, from then on. It is a store like any other.
    Filled,
    /// A target that was given up half full.
    Abandoned,
}

impl Note {
    /// Why no hub may start on the store; `None`: it may.
    ///
    /// # Errors
    /// [`Error::Fenced`] with what to do instead.
    pub fn check(&self, store: &str) -> Result<(), Error> {
        let (id, other) = (&self.id, &self.other);
        let why = match self.word {
            Word::Filled => return Ok(()),
            Word::Moving => {
                format!("is being moved to {other} ({id}): finish `raccordo migrate`, or take it back with `--abandon`")
            }
            Word::Moved => format!("was moved to {other} ({id}): start the hub with that configuration"),
            Word::Filling => format!(
                "is being filled from {other} ({id}): finish `raccordo migrate`, or take it back with `--abandon`"
            ),
            Word::Abandoned => format!("was half filled from {other} and given up ({id}): name another, empty one"),
        };
        Err(Error::Fenced(format!("the store {store} {why}")))
    }

    pub(crate) fn is(&self, word: Word) -> bool {
        self.word == word
    }
}

/// A life of a hub on a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Its name.
    pub epoch: String,
    /// Why it is provably over; `None`: it may still send.
    pub over: Option<String>,
}

impl Life {
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.over.is_some() == other.over.is_some()
    }
}

/// A store that everything can be moved out of, or into. Only a store that was opened for moving may be changed by it.
#[async_trait]
pub trait Movable: Backbone {
    /// Where a partition begins and ends, and where its consumer stands.
    async fn bounds(&self, place: Place) -> Result<Bounds, Error>;

    /// The log of `place` begins at `first`, behind a record with this chain. [`Error::Io`] if anything is, or was, in it.
    async fn begin_at(&self, place: Place, first: Offset, before: Chain) -> Result<(), Error>;

    /// All lives that the store knows, this one too: it moves the store and sends nothing, so it counts as over.
    async fn lives(&self) -> Result<Vec<Life>, Error>;

    /// Lives of another store. From the next opening on, [`Backbone::is_over`] says of each what is said here.
    async fn import_lives(&self, lives: &[Life]) -> Result<(), Error>;

    /// What stands in the store about its moving.
    async fn note(&self) -> Result<Option<Note>, Error>;

    /// Writes that down. Durable on return.
    async fn set_note(&self, note: Option<Note>) -> Result<(), Error>;
}
