//! From what was seen to alarms. Pure.

use std::time::Duration;

use hub_ledger::Attention;
use hub_runtime::{Alarm, Figures, StoreFigures};
use jiff::Timestamp;

use super::AlarmSettings;

/// What three witnesses say; one that could not be asked says why.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) hub: Vec<Alarm>,
    pub(super) figures: Result<Figures, String>,
    pub(super) attention: Result<Attention, String>,
}

/// The alarms that stand, by name and subject.
pub(super) fn judge(settings: &AlarmSettings, seen: &Seen) -> Vec<Alarm> {
    let mut alarms = seen.hub.clone();
    match &seen.attention {
        Ok(attention) => of_ledger(settings, attention, seen.now, &mut alarms),
        Err(cause) => alarms.push(alarm("store", "ledger", format!("the ledger cannot be read: {cause}"))),
    }
    match &seen.figures {
        Ok(figures) => {
            of_inbox(settings, figures, &mut alarms);
            of_outbox(settings, figures, seen.now, &mut alarms);
            figures.store.iter().for_each(|store| of_disk(settings, store, &mut alarms));
        }
        Err(cause) => alarms.push(alarm("store", "figures", format!("the hub cannot be measured: {cause}"))),
    }
    alarms.sort_by(|a, b| (rank(&a.name), &a.name, &a.subject).cmp(&(rank(&b.name), &b.name, &b.subject)));
    alarms.dedup_by(|a, b| a.name == b.name && a.subject == b.subject);
    alarms
}

/// The most urgent first; a name that nobody knows before all others.
fn rank(name: &str) -> usize {
    super::KNOWN.iter().position(|known| known.name == name).map_or(0, |at| at + 1)
}

fn alarm(name: &str, subject: &str, detail: String) -> Alarm {
    Alarm { name: name.into(), subject: subject.into(), detail }
}

fn of_ledger(settings: &AlarmSettings, seen: &Attention, now: Timestamp, alarms: &mut Vec<Alarm>) {
    if seen.in_doubt > 0 {
        let since = since(seen.oldest_in_doubt);
        let detail =
            format!("{}{since}; the hub asks where it can, then a person decides", count(seen.in_doubt, "send"));
        alarms.push(alarm("in-doubt", "outbox", detail));
    }
    if seen.parked > 0 {
        let detail = format!("{} for a person{}", wait(seen.parked, "message"), since(seen.oldest_parked));
        alarms.push(alarm("parked", "messages", detail));
    }
    if seen.deadline_near > 0 {
        let next = seen.next_deadline.map_or_else(String::new, |at| format!(", the first at {at} ({})", left(at, now)));
        let (many, within) = (count(seen.deadline_near, "task or wait"), settings.deadline_near);
        alarms.push(alarm("deadline", "tasks and waits", format!("{many} within {within}{next}")));
    }
}

fn of_inbox(settings: &AlarmSettings, figures: &Figures, alarms: &mut Vec<Alarm>) {
    let (most, limit) = (figures.largest(|p| p.inbox), figures.backlog_max);
    // At least one: an empty inbox is never a backlog, however small the limit.
    if most < settings.backlog.unwrap_or(limit / 5 * 4).max(1) {
        return;
    }
    let answer = if most > limit { "senders are answered 429" } else { "at the limit senders are answered 429" };
    alarms.push(alarm(
        "backlog",
        "inbox",
        format!("{most} records wait in one partition, the limit is {limit}; {answer}"),
    ));
}

fn of_outbox(settings: &AlarmSettings, figures: &Figures, now: Timestamp, alarms: &mut Vec<Alarm>) {
    let (most, limit) = (figures.largest(|p| p.unsent), figures.unsent_max);
    if most > limit {
        let detail =
            format!("{most} messages wait to be sent in one partition, the limit is {limit}; senders are answered 429");
        alarms.push(alarm("backlog", "outbox", detail));
        return;
    }
    let Some(oldest) = figures.oldest_unsent else { return };
    if Duration::try_from(now.duration_since(oldest)).is_ok_and(|age| age > settings.unsent_after.0) {
        let detail = format!("{} to be sent, the oldest since {oldest}", wait(figures.total(|p| p.unsent), "message"));
        alarms.push(alarm("backlog", "outbox", detail));
    }
}

fn of_disk(settings: &AlarmSettings, store: &StoreFigures, alarms: &mut Vec<Alarm>) {
    if let Some(free) = store.disk_free.filter(|free| *free < settings.disk_free.0) {
        let (free, wanted) = (free >> 20, settings.disk_free.0 >> 20);
        let detail = format!("{free} MiB are free on the disk of the store, at least {wanted} MiB should be");
        alarms.push(alarm("disk-low", &store.folder, detail));
    }
}

/// `1 send`, `2 sends`
fn count(many: u64, what: &str) -> String {
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}

/// `1 message waits`, `2 messages wait`
fn wait(many: u64, what: &str) -> String {
    format!("{} wait{}", count(many, what), if many == 1 { "s" } else { "" })
}

fn since(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(", the oldest since {at}"))
}

fn left(at: Timestamp, now: Timestamp) -> String {
    match at.duration_since(now).as_secs() {
        seconds if seconds < 0 => "passed".into(),
        seconds if seconds < 120 => format!("{seconds} s left"),
        seconds => format!("{} min left", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use hub_core::{Bytesize, Span};
    use hub_runtime::PartitionFigures;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_774_000_000 + second).unwrap()
    }

    fn figures(partitions: Vec<PartitionFigures>) -> Figures {
        Figures {
            since: at(0),
            epoch: "e".into(),
            now: at(100),
            partitions,
            backlog_max: 100,
            unsent_max: 1_000,
            oldest_unsent: None,
            last_taken: None,
            last_sent: None,
            store: None,
        }
    }

    fn names(settings: &AlarmSettings, seen: &Seen) -> Vec<String> {
        judge(settings, seen).into_iter().map(|alarm| format!("{} {}", alarm.name, alarm.subject)).collect()
    }

    fn seen(figures: Figures, attention: Attention) -> Seen {
        Seen { now: at(100), hub: Vec::new(), figures: Ok(figures), attention: Ok(attention) }
    }

    #[test]
    fn a_hub_without_trouble_raises_nothing() {
        let quiet = seen(figures(vec![PartitionFigures::default(); 4]), Attention::default());
        assert!(judge(&AlarmSettings::default(), &quiet).is_empty());
    }

    #[test]
    fn the_most_urgent_comes_first_and_nothing_twice() {
        let attention = Attention {
            parked: 2,
            in_doubt: 1,
            oldest_in_doubt: Some(at(7)),
            deadline_near: 1,
            next_deadline: Some(at(160)),
            ..Attention::default()
        };
        let mut all = seen(figures(Vec::new()), attention);
        let source = alarm("source", "mandati", "refused".into());
        all.hub = vec![source.clone(), source, alarm("disk-full", "hub.db", "full".into())];
        let alarms = judge(&AlarmSettings::default(), &all);
        let order: Vec<_> = alarms.iter().map(|alarm| alarm.name.as_str()).collect();
        assert_eq!(order, ["disk-full", "in-doubt", "parked", "deadline", "source"]);
        assert!(alarms[1].detail.starts_with("1 send, the oldest since 2026-03-20"), "{}", alarms[1].detail);
        assert!(alarms[3].detail.ends_with("(60 s left)"), "{}", alarms[3].detail);
    }

    #[test]
    fn limits_are_told_before_they_are_reached() {
        let settings = AlarmSettings::default();
        let waiting = |inbox, unsent| figures(vec![PartitionFigures { inbox, unsent, ..PartitionFigures::default() }]);
        for (inbox, unsent, expected) in
            [(79, 1_000, vec![]), (80, 0, vec!["backlog inbox"]), (101, 1_001, vec!["backlog inbox", "backlog outbox"])]
        {
            assert_eq!(names(&settings, &seen(waiting(inbox, unsent), Attention::default())), expected, "{inbox}");
        }
        let own = AlarmSettings { backlog: Some(10), ..settings };
        assert_eq!(names(&own, &seen(waiting(10, 0), Attention::default())), ["backlog inbox"]);
    }

    #[test]
    fn what_waits_too_long_to_be_sent_is_a_backlog() {
        let settings = AlarmSettings { unsent_after: Span(Duration::from_secs(60)), ..AlarmSettings::default() };
        for (oldest, expected) in [(at(41), vec![]), (at(39), vec!["backlog outbox"])] {
            let figures = Figures { oldest_unsent: Some(oldest), ..figures(Vec::new()) };
            assert_eq!(names(&settings, &seen(figures, Attention::default())), expected);
        }
    }

    #[test]
    fn a_disk_that_fills_up_is_told_and_one_that_says_nothing_is_not() {
        let settings = AlarmSettings { disk_free: Bytesize(1_000), ..AlarmSettings::default() };
        for (disk_free, expected) in [(Some(999), vec!["disk-low /data"]), (Some(1_000), vec![]), (None, vec![])] {
            let store =
                StoreFigures { folder: "/data".into(), bytes: 1, disk_free, commits: 0, records: 0, transactions: 0 };
            let figures = Figures { store: Some(store), ..figures(Vec::new()) };
            assert_eq!(names(&settings, &seen(figures, Attention::default())), expected, "{disk_free:?}");
        }
    }

    #[test]
    fn a_witness_that_cannot_be_asked_is_an_alarm() {
        let mut blind = seen(figures(Vec::new()), Attention::default());
        blind.attention = Err("locked".into());
        blind.figures = Err("closed".into());
        assert_eq!(names(&AlarmSettings::default(), &blind), ["store figures", "store ledger"]);
    }
}
