//! Fail points: the places between two durable steps at which a test lets the process die, as by `kill -9`.
//!
//! [`Point`] is the one list of them: the code marks each place with [`at`], and the tests iterate [`Point::ALL`], so that
//! none is forgotten. Without the feature `on` (the default, and every release) [`at`] is an empty function.
//!
//! With it, the environment arms one point: `RACCORDO_FAILPOINT=deliver.intent.committed:3` ends the process at the third
//! visit, after writing the point's name into the file that `RACCORDO_FAILPOINT_MARK` names. With `:freeze` behind the visit it
//! stops there as by SIGSTOP instead, and goes on at SIGCONT.

#[cfg(feature = "on")]
mod armed;

#[cfg(feature = "on")]
pub use armed::at;

/// Marks a place. Empty in this build.
#[cfg(not(feature = "on"))]
#[inline(always)]
pub const fn at(_: Point) {}

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place between two durable steps, or at the crossing to the outside.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// The name that the environment uses.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    // -- starting --
    /// The new epoch is durable; the store is not used yet.
    StoreOpened = "store.opened",
    /// The versions of the routes are not kept yet.
    VersionsCommit = "versions.commit",
    /// They are kept; no route is open.
    VersionsCommitted = "versions.committed",
    /// What an earlier life left behind is judged, the judgement is not durable.
    RestoreCommit = "restore.commit",
    /// It is durable, nothing of it was carried out.
    RestoreCommitted = "restore.committed",

    // -- the store: its writer's thread --
    /// Before a transaction begins.
    StoreBegin = "store.begin",
    /// Everything of the transaction is written, nothing is durable.
    StoreCommit = "store.commit",
    /// Durable, but neither the mark nor a caller knows.
    StoreCommitted = "store.committed",
    /// The mark knows, no caller does.
    StoreMarked = "store.marked",
    /// Before the end of the epoch is written.
    StoreEnd = "store.end",
    /// The store is closed; the process has not ended.
    StoreEnded = "store.ended",

    // -- blobs --
    /// The blob has its content, under a temporary name.
    BlobWritten = "blob.written",
    /// The blob has its name; its folder is not synced.
    BlobNamed = "blob.named",
    /// The blob is durable; no record names it.
    BlobDurable = "blob.durable",

    // -- admission, from `next` to `settle` --
    /// The batch is judged, nothing is durable.
    AdmitCommit = "admit.commit",
    /// The batch is durable, its senders do not know.
    AdmitCommitted = "admit.committed",
    /// The senders know.
    SourceSettled = "source.settled",
    /// A durable file still lies in the drop folder.
    FileMove = "file.move",
    /// It is out of the drop folder, and was not compared again.
    FileMoved = "file.moved",

    // -- the loops of the partitions --
    /// The segments have run, nothing is durable.
    ProcessCommit = "process.commit",
    /// Outputs, state and position of an inbox are durable.
    ProcessCommitted = "process.committed",
    /// A step of an outbox is not durable.
    DeliverCommit = "deliver.commit",
    /// It is durable, nothing was carried out.
    DeliverCommitted = "deliver.committed",
    /// An intent is about to be committed.
    IntentCommit = "deliver.intent.commit",
    /// An intent is durable, the sink was not called.
    IntentCommitted = "deliver.intent.committed",
    /// The outcome of an attempt is known, but not durable.
    OutcomeCommit = "deliver.outcome.commit",
    /// The outcome is durable.
    OutcomeCommitted = "deliver.outcome.committed",
    /// The receiver has said whether it has the message; its answer is not durable.
    AskedCommit = "deliver.asked.commit",
    /// A step of the waits is not durable.
    WaitCommit = "wait.commit",
    /// It is durable; people have no verdict.
    WaitCommitted = "wait.committed",
    /// Events of cases are judged, the journal is not written.
    CaseCommit = "case.commit",
    /// Journal and ledger are durable.
    CaseCommitted = "case.committed",
    /// A person's command is not durable.
    CommandCommit = "command.commit",
    /// It is durable, nobody has judged it.
    CommandCommitted = "command.committed",

    // -- the crossing points of the sinks --
    /// HTTP: all but the last byte of the body is handed over.
    HttpCrossing = "http.crossing",
    /// HTTP: the attempt counts as crossed, the last byte is still here.
    HttpCrossed = "http.crossed",
    /// HTTP: the whole body is in the hands of the HTTP client.
    HttpHanded = "http.handed",
    /// HTTP: the answer was read.
    HttpAnswered = "http.answered",
    /// SIOPE+: right before the last chunk of a flow.
    SiopeCrossing = "siope.crossing",
    /// SIOPE+: the attempt counts as crossed, the last chunk is still here.
    SiopeCrossed = "siope.crossed",
    /// SIOPE+: its answer was read.
    SiopeAnswered = "siope.answered",
    /// File: the content is durable under a temporary name.
    FileWritten = "file.written",
    /// File: it has its name; the folder is not synced.
    FileNamed = "file.named",

    // -- `raccordo migrate` --
    /// The source is marked, the target is not.
    MigrateMarked = "migrate.marked",
    /// A page of records is durable in the target.
    MigratePage = "migrate.page",
    /// The source is marked as moved; the target may not be started yet.
    MigrateMoved = "migrate.moved",
}

impl std::str::FromStr for Point {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|point| point.name() == name);
        found.copied().ok_or_else(|| format!("there is no fail point `{name}`; crate hub-failpoint lists them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for point in Point::ALL {
            assert_eq!(point.name().parse(), Ok(*point));
        }
        assert!("nothing".parse::<Point>().unwrap_err().contains("nothing"));
    }

    /// A build without the feature has nothing to arm: the environment of this test would end it otherwise.
    #[cfg(not(feature = "on"))]
    #[test]
    fn nothing_happens_in_a_build_without_the_feature() {
        const AT_COMPILE_TIME: () = at(Point::StoreBegin);
        AT_COMPILE_TIME
    }
}
