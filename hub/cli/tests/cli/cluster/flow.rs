//! Orders that come in at all doors all the time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use raccordo::demo::{Answer, Offer, Sender};
use tokio::task::JoinHandle;

/// Between two orders at one door.
const PACE: Duration = Duration::from_millis(1_500);
/// How long a sender waits for an answer before it asks at the next door.
const ANSWER: Duration = Duration::from_secs(6);
/// Before it asks again.
const AGAIN: Duration = Duration::from_millis(200);

/// What senders share.
struct Shared {
    offers: Arc<[Offer]>,
    doors: Vec<Sender>,
    next: AtomicUsize,
    stop: AtomicBool,
    /// By door: when the newest request began that was answered with yes.
    taken: Mutex<Vec<Option<Instant>>>,
    /// By sender: what its order under way was told last, and where.
    told: Mutex<Vec<String>>,
}

/// One sender for each door.
pub(crate) struct Flow {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<()>>,
}

impl Flow {
    pub(crate) fn begin(sender: &Sender, addresses: &[PathBuf], offers: Arc<[Offer]>) -> Self {
        let doors: Vec<Sender> = addresses.iter().map(|address| sender.to(address.clone())).collect();
        let (next, stop, count) = (AtomicUsize::new(0), AtomicBool::new(false), doors.len());
        let (taken, told) = (Mutex::new(vec![None; count]), Mutex::new(vec![String::new(); count]));
        let shared = Arc::new(Shared { offers, doors, next, stop, taken, told });
        let senders = (0..addresses.len()).map(|door| tokio::spawn(send(shared.clone(), door))).collect();
        Self { shared, senders }
    }

    /// Whether each of these doors has taken what was offered there since.
    pub(crate) fn passes(&self, doors: impl IntoIterator<Item = usize>, since: Instant) -> bool {
        let taken = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        doors.into_iter().all(|door| taken[door].is_some_and(|at| at >= since))
    }

    /// What each sender's order under way was told last, to find out what is wrong.
    pub(crate) fn told(&self) -> Vec<String> {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No new orders; gives what was offered, all of it taken.
    pub(crate) async fn end(self) -> Vec<Offer> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for sender in self.senders {
            sender.await.expect("every order gets a yes");
        }
        let offered = self.shared.next.load(Ordering::SeqCst).min(self.shared.offers.len());
        self.shared.offers[..offered].to_vec()
    }
}

/// Offers one order after the other at this door; who hears nothing asks at the next one, with the same key.
async fn send(shared: Arc<Shared>, first: usize) {
    while !shared.stop.load(Ordering::SeqCst) {
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        let Some(offer) = shared.offers.get(number) else { return };
        let mut door = first;
        while let Err(answer) = shared.ask(door, offer).await {
            let told = format!("{} at door {door}: {answer}", offer.name);
            shared.told.lock().unwrap_or_else(PoisonError::into_inner)[first] = told;
            tokio::time::sleep(AGAIN).await;
            door = (door + 1) % shared.doors.len();
        }
        tokio::time::sleep(PACE).await;
    }
}

impl Shared {
    /// An error if the door does not say yes.
    async fn ask(&self, door: usize, offer: &Offer) -> Result<(), String> {
        let begun = Instant::now();
        let answer = tokio::time::timeout(ANSWER, self.doors[door].post_once(offer)).await;
        match answer.map_err(|_| format!("no answer within {ANSWER:?}"))?.map_err(|error| format!("{error:#}"))? {
            Some(Answer::Taken) => {}
            Some(other) => panic!("{}: {other:?}", offer.name),
            None => return Err("asked for patience".to_owned()),
        }
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)[door] = Some(begun);
        self.told.lock().unwrap_or_else(PoisonError::into_inner)[door].clear();
        Ok(())
    }
}
