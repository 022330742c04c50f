//! Who may be connected, and whose requests are held: so that one sender, however slow or greedy, leaves room for the others.
//!
//! There is a limit for all connections and one for each address. When one is reached, the connection that has waited longest
//! for a request gives its place to the new one; if all are at work, the new one is turned away. A connection that has begun a
//! request is never broken off for another's sake.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The places of one listener.
pub(crate) struct Places {
    max: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Seat>,
    by_address: HashMap<IpAddr, usize>,
}

struct Seat {
    address: IpAddr,
    /// Since when it waits for a request; `None`: a request is under way.
    waits_since: Option<Instant>,
    leave: Arc<Notify>,
}

/// A connection's place; given back when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    id: u64,
    leave: Arc<Notify>,
}

impl Places {
    /// Places for so many connections, and for so many of one address.
    pub(crate) fn new(max: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), per_address: per_address.clamp(1, max.max(1)), taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; `None`: all are at work.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        if taken.by_address.get(&address).is_some_and(|count| *count >= self.per_address) {
            taken.free(Some(address))?;
        } else if taken.seats.len() >= self.max {
            taken.free(None)?;
        }
        let (id, leave) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        let seat = Seat { address, waits_since: Some(Instant::now()), leave: leave.clone() };
        let _ = taken.seats.insert(id, seat);
        *taken.by_address.entry(address).or_default() += 1;
        Some(Place { places: self.clone(), id, leave })
    }
}

impl Taken {
    /// Sends away the connection that has waited longest, of one address or of all.
    fn free(&mut self, of: Option<IpAddr>) -> Option<()> {
        let fits = |seat: &Seat| of.is_none_or(|address| seat.address == address);
        let waiting = self.seats.iter().filter(|(_, seat)| fits(seat));
        let longest = waiting.filter_map(|(id, seat)| Some((seat.waits_since?, *id))).min()?;
        self.remove(longest.1).map(|seat| seat.leave.notify_one())
    }

    fn remove(&mut self, id: u64) -> Option<Seat> {
        let seat = self.seats.remove(&id)?;
        if let Some(count) = self.by_address.get_mut(&seat.address) {
            *count -= 1;
            if *count == 0 {
                let _ = self.by_address.remove(&seat.address);
            }
        }
        Some(seat)
    }
}

impl Place {
    /// A request has come; `false`: the place is gone already, and the request is not to be begun.
    pub(crate) fn works(&self) -> bool {
        self.waits_since(None)
    }

    /// The request is answered.
    pub(crate) fn waits(&self) {
        let _ = self.waits_since(Some(Instant::now()));
    }

    fn waits_since(&self, since: Option<Instant>) -> bool {
        let mut taken = self.places.taken();
        let seat = taken.seats.get_mut(&self.id);
        seat.map(|seat| seat.waits_since = since).is_some()
    }

    /// Completes when somebody else needs the place.
    pub(crate) async fn is_lost(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.places.taken().remove(self.id);
    }
}

/// How many requests may be held at once, bodies included: all together, and of one address.
pub(crate) struct InFlight {
    permits: Arc<Semaphore>,
    share: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A request's permit; given back when dropped.
pub(crate) struct Permit {
    all: Arc<InFlight>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// So many; three quarters of them for one address, so that its slow bodies leave the rest to others.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let share = (max - max / 4).max(1);
        Arc::new(Self { permits: Arc::new(Semaphore::new(max)), share, by_address: Mutex::default() })
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit; `None`: too many are under way.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let mut by_address = self.by_address();
        let mine = by_address.get(&address).copied().unwrap_or(0);
        let permit = (mine < self.share).then(|| self.permits.clone().try_acquire_owned().ok())??;
        let _ = by_address.insert(address, mine + 1);
        Some(Permit { all: self.clone(), address, _permit: permit })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_address = self.all.by_address();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                let _ = by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longest_gives_way_and_who_works_does_not() {
        let places = Places::new(3, 3);
        let mut held = Vec::new();
        for n in 0..3 {
            held.extend(places.take(address(n)));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(held[0].works(), "the oldest has begun a request");
        let new = places.take(address(9)).expect("the second gives way");
        held[1].is_lost().await;
        assert!(!held[1].works(), "its place is gone: no request begins on it");
        assert!(held[2].works() && new.works());
        assert!(places.take(address(9)).is_none(), "all are at work");
        held[0].waits();
        assert!(places.take(address(9)).is_some());
        drop(new);
        assert_eq!(places.taken().by_address.get(&address(9)), None, "nothing is left of an address that has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_takes_no_more_than_its_part() {
        let places = Places::new(10, 2);
        let greedy: Vec<_> = (0..2).filter_map(|_| places.take(address(1))).collect();
        assert!(greedy.iter().all(Place::works));
        assert!(places.take(address(1)).is_none());
        assert!(places.take(address(2)).is_some());
    }

    #[test]
    fn requests_of_one_address_leave_room_for_others() {
        let all = InFlight::new(8);
        let mut held: Vec<_> = (0..8).filter_map(|_| all.take(address(1))).collect();
        assert_eq!(held.len(), 6);
        held.extend((0..8).filter_map(|_| all.take(address(2))));
        assert_eq!(held.len(), 8);
        drop(held);
        assert!(all.take(address(1)).is_some() && all.by_address().is_empty());
        assert!(InFlight::new(1).take(address(1)).is_some(), "one is enough for one");
    }
}
