#![allow(missing_docs, clippy::all)]
use std::time::Instant;
use hub_ledger::*;
use hub_core::journal::*;
#[tokio::test]
async fn scale() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "journal_mode", "wal").unwrap();
    sqlite::prepare(&conn).unwrap();
    let t = Instant::now();
    let mut off = 0u64;
    for batch in 0..300 {
        let mut recs = Vec::new();
        for i in 0..1000 {
            let k = batch * 1000 + i;
            let e = ["UFAAAA","UFBBBB","UFCCCC","UFDDDD","UFEEEE","UFFFFF"][k % 6];
            let case = hub_core::Case { kind: "mandato".into(), id: format!("{e}/2026/{k}"), entity: Some(e.into()), amount: Some(format!("{}.{:02}", k, k%100).parse().unwrap()) };
            let at = jiff::Timestamp::from_second(1_774_000_000 + k as i64).unwrap();
            let ev = |what| serde_json::to_vec(&Event { v:1, case: case.clone(), at, message: format!("m{k}"), route: "r".into(), version: "v".into(), segment: "s".into(), what }).unwrap();
            recs.push(ev(What::Received { source: "http".into(), sender: "sap".into(), sha256: "a".into(), bytes: 10 }));
            recs.push(ev(What::State { to: if k % 1000 == 0 { "raro" } else { "pagato" }.into(), from: "".into(), moved: true, note: "".into() }));
        }
        let tx = conn.unchecked_transaction().unwrap();
        sqlite::apply(&tx, recs.iter().enumerate().map(|(i, b)| JournalRecord { partition: 0, offset: off + i as u64, bytes: b })).unwrap();
        tx.commit().unwrap();
        off += 2000;
    }
    println!("600k events in {:?}", t.elapsed());
    let l = Ledger::file(&path);
    let two = || Visible::Only(vec!["UFAAAA".into(), "UFFFFF".into()]);
    let qs = vec![
        ("all", CaseFilter::of(Visible::All)), ("two", CaseFilter::of(two())),
        ("state", CaseFilter { state: Some("pagato".into()), ..CaseFilter::of(Visible::All) }),
        ("rare state two", CaseFilter { state: Some("raro".into()), ..CaseFilter::of(two()) }),
        ("month", CaseFilter { from: "2026-03-21T00:00:00Z".parse().ok(), to: "2026-03-22T00:00:00Z".parse().ok(), ..CaseFilter::of(two()) }),
        ("text none", CaseFilter { text: Some("nessuno".into()), ..CaseFilter::of(Visible::All) }),
        ("amount", CaseFilter { amount_min: "299990".parse().ok(), ..CaseFilter::of(Visible::All) }),
        ("amount rare low", CaseFilter { amount_max: "10".parse().ok(), ..CaseFilter::of(two()) }),
    ];
    for (name, q) in qs { for _ in 0..2 { let t = Instant::now(); let n = l.cases(q.clone()).await.unwrap().items.len(); println!("{name}: {n} rows {:?}", t.elapsed()); } }
    let t = Instant::now(); l.statistics(StatisticsFilter::of(Visible::All)).await.unwrap(); println!("stat {:?}", t.elapsed());
    let t = Instant::now(); l.counts(Visible::All).await.unwrap(); println!("counts {:?}", t.elapsed());
    let t = Instant::now(); l.messages(MessageFilter { route: Some("none".into()), ..MessageFilter::of(two()) }).await.unwrap(); println!("messages none {:?}", t.elapsed());
}
