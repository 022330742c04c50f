//! After the cluster has refused our producer for good.
//!
//! That happens without anybody's fault: brokers that were away for longer than a transaction may be open take our
//! `transactional.id` to be dead. A new producer takes it again, but only if no newer life of this hub has it: whoever was
//! taken over must end, and must not end the other one in turn. So we look before (a newer life writes its begin record
//! within moments, hence the pause) and after, since one may have begun in between; then both are fenced, and the newer one
//! goes on by the same rule.
//!
//! Then everything is decided, and the log itself says whether the transaction whose result was unknown is in it.

use std::thread::sleep;
use std::time::Duration;

use hub_backbone::{Error, Offset, Place};

use crate::restore;
use crate::shared::Shared;
use crate::transact::Transactor;

/// How long a newer life has to write down that it began.
const PAUSE: Duration = Duration::from_secs(2);

/// A log that the unknown transaction appends to: where it ended before, and where it ends if the transaction is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Witness {
    pub(crate) place: Place,
    pub(crate) before: Offset,
    pub(crate) after: Offset,
}

/// A new producer, and whether the transaction is there. Without a witness it only sets values, and can be done again.
pub(crate) fn revive(shared: &Shared, witness: Option<Witness>, why: Error) -> Result<(Transactor, bool), Error> {
    tracing::warn!(target: "kafka", "the producer is made anew: {why}");
    loop {
        sleep(PAUSE);
        if shared.stopped() {
            return Err(why);
        }
        match attempt(shared, witness) {
            Err(Error::Io(text)) => tracing::warn!(target: "kafka", "the producer cannot be made yet: {text}"),
            done => return done,
        }
    }
}

fn attempt(shared: &Shared, witness: Option<Witness>) -> Result<(Transactor, bool), Error> {
    still_ours(shared)?;
    let transactor = Transactor::open(&shared.settings, shared.stop_flag())?;
    still_ours(shared)?;
    let there = witness.map_or(Ok(false), |witness| is_there(shared, witness))?;
    Ok((transactor, there))
}

/// Whether this life is still the newest of its hub, and nobody has declared it over.
fn still_ours(shared: &Shared) -> Result<(), Error> {
    let lives = restore::lives(&shared.settings, &shared.names, &shared.quarantine)?;
    let newest = lives.newest(&shared.settings.transactional_id).unwrap_or(&shared.epoch);
    match newest == shared.epoch && !lives.is_over(&shared.epoch) {
        true => Ok(()),
        false => Err(Error::Fenced(format!(
            "epoch {newest} runs under the transactional id {} now, this one ({}) is over",
            shared.settings.transactional_id, shared.epoch
        ))),
    }
}

fn is_there(shared: &Shared, witness: Witness) -> Result<bool, Error> {
    let begins = shared.look()[shared.slot(witness.place)].begins();
    let end = restore::end(&shared.settings, &shared.names, &shared.quarantine, witness.place, begins)?;
    match end {
        end if end == witness.after => Ok(true),
        end if end == witness.before => Ok(false),
        end => Err(Error::Fenced(format!(
            "{} ends at {end}, this hub left it at {} or {}: another one has written there",
            witness.place, witness.before, witness.after
        ))),
    }
}
