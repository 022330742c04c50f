//! Moves everything in one store to another: `raccordo migrate`. Both are stopped, and open for moving.
//!
//! ```text
//! source  --"moving ID"-->  copy  --read back, compare-->  "moved ID"
//! target  --"filling ID"----------------------------------------------->  "filled ID"
//! ```
//!
//! At no instant can a hub start on both: the source refuses from its first note on, the target until its last one. Nothing is
//! remembered that could be wrong: a log goes on at the target's end, everything else is put again, and all of it is compared.
//! So the same command finishes what a kill has left at any point.

mod copy;
mod sheet;

use hub_failpoint::{Point, at as failpoint};

use crate::{Error, Movable, Note, Word};

pub use sheet::Sheet;

use copy::Copy;

/// One moving of a store.
#[derive(Debug)]
pub struct Moving<'a> {
    /// What is moved.
    pub source: &'a dyn Movable,
    /// Where to: an empty store with as many partitions, or one that an earlier try has begun to fill.
    pub target: &'a dyn Movable,
    /// What people call the source.
    pub source_name: &'a str,
    /// What people call the target.
    pub target_name: &'a str,
    /// The kinds of facts that hubs [`share`](crate::Backbone::share): a store of one hub keeps them among its keyed state.
    pub facts: &'a [&'static str],
}

/// What is left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Everything, under this id.
    Copy(String),
    /// The source is marked as moved; the target's note still stands.
    Release(String),
    /// Nothing.
    Done(String),
}

impl Moving<'_> {
    /// What is left to do; changes nothing. `new_id` is for a moving that has not begun, unique.
    ///
    /// # Errors
    /// [`Error::Io`] if these two stores cannot be moved to each other, with the reason.
    pub async fn stage(&self, new_id: &str) -> Result<Stage, Error> {
        let (source, target) = (self.source.partitions(), self.target.partitions());
        if source != target {
            return refuse(format!(
                "the source has {source} partitions and the target {target}: keys belong to partitions, so write `partitions: {source}` for the target"
            ));
        }
        match (self.source.note().await?, self.target.note().await?) {
            (Some(here), Some(there)) if here.id == there.id => match (here.word, there.word) {
                (Word::Moving, Word::Filling) => Ok(Stage::Copy(here.id)),
                (Word::Moved, Word::Filling) => Ok(Stage::Release(here.id)),
                (Word::Moved, Word::Filled) => Ok(Stage::Done(here.id)),
                _ => self.of_others(Some(&here), Some(&there)),
            },
            // killed between the two first notes
            (Some(here), None) if here.is(Word::Moving) && here.other == self.target_name => {
                self.empty().await.map(|()| Stage::Copy(here.id))
            }
            (None, None) => self.empty().await.map(|()| Stage::Copy(new_id.to_owned())),
            // it was moved here once, and goes on to another one
            (Some(here), None) if here.is(Word::Filled) => self.empty().await.map(|()| Stage::Copy(new_id.to_owned())),
            (here, there) => self.of_others(here.as_ref(), there.as_ref()),
        }
    }

    fn of_others<T>(&self, here: Option<&Note>, there: Option<&Note>) -> Result<T, Error> {
        for (name, note) in [(self.source_name, here), (self.target_name, there)] {
            note.map_or(Ok(()), |note| note.check(name))?;
        }
        refuse(format!("the store {} was filled by another move: name an empty one", self.target_name))
    }

    async fn empty(&self) -> Result<(), Error> {
        match Sheet::of(self.target, self.facts).await?.is_empty() {
            true => Ok(()),
            false => refuse(format!("the store {} is not empty: name one that nobody has used", self.target_name)),
        }
    }

    /// Marks both stores and copies everything. `progress` hears how many records are copied of how many.
    ///
    /// # Errors
    /// What the stores give, and [`Error::Io`] if one of them was changed meanwhile.
    pub async fn copy(&self, id: &str, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), Error> {
        self.source.set_note(Some(note(id, Word::Moving, self.target_name))).await?;
        failpoint(Point::MigrateMarked);
        self.target.set_note(Some(note(id, Word::Filling, self.source_name))).await?;
        Copy { source: self.source, target: self.target, facts: self.facts, progress }.all().await
    }

    /// Reads the target's logs back, compares all that both have, and only then says on both which one counts. Open the target
    /// anew before, so that what is compared comes from where it is kept. Gives what both have.
    ///
    /// # Errors
    /// [`Error::Io`] that names the first difference: both stores stay marked. What the stores give.
    pub async fn release(&self, id: &str) -> Result<Sheet, Error> {
        sheet::read_back(self.target).await?;
        // each opening of the source is a life of its own
        copy::lives(self.source, self.target).await?;
        let (have, want) = (Sheet::of(self.target, self.facts).await?, Sheet::of(self.source, self.facts).await?);
        want.compare(&have)?;
        self.source.set_note(Some(note(id, Word::Moved, self.target_name))).await?;
        failpoint(Point::MigrateMoved);
        self.target.set_note(Some(note(id, Word::Filled, self.source_name))).await?;
        Ok(want)
    }

    /// Takes a moving back that is not at its end: the target is spoilt for good, then the source is as before.
    ///
    /// # Errors
    /// [`Error::Io`] if there is nothing to take back. What the stores give.
    pub async fn abandon(&self) -> Result<(), Error> {
        let Some(here) = self.source.note().await?.filter(|note| note.is(Word::Moving)) else {
            return refuse(format!("the store {} is not being moved: nothing to take back", self.source_name));
        };
        let there = self.target.note().await?;
        let ours = there.as_ref().is_some_and(|note| note.id == here.id);
        let untouched = there.is_none() && here.other == self.target_name;
        if !ours && !untouched {
            return refuse(format!("it is moved to {} ({}): name that target", here.other, here.id));
        }
        self.target.set_note(Some(note(&here.id, Word::Abandoned, self.source_name))).await?;
        self.source.set_note(None).await
    }
}

fn note(id: &str, word: Word, other: &str) -> Note {
    Note { id: id.to_owned(), word, other: other.to_owned() }
}

fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::Io(why))
}
