//! The POST of a flow: what is checked while the caller waits, and what is kept.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::answer::{self, Refusal, Reply};
use super::archive::{self, Problem};
use super::call::Target;
use super::clock::later;
use super::documents;
use super::faults::{Fault, On};
use super::flow::{self, Flow};
use super::ledger::{Ledger, Rate, Shared};
use super::settings::Settings;
use super::world::{Ending, Event, Taken, Upload};
use super::{document, schema};

/// How long a whole body may take.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How much of a body that is too long is still read, so that the caller gets to see its answer.
const DRAIN_BYTES_MAX: usize = 16 << 20;

/// How a call ends for the caller.
#[derive(Debug)]
pub(crate) enum Fate {
    /// An answer.
    Reply(Reply),
    /// The connection is reset.
    Abort,
    /// No answer, until the caller leaves.
    Hang,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBody {
    TooLarge,
    TooSlow,
    Cut,
}

/// Reads a whole body, within time and size.
pub(crate) async fn read_body(body: Incoming, bytes_max: usize) -> Result<Bytes, NoBody> {
    match tokio::time::timeout(BODY_WITHIN, collect(body, bytes_max)).await {
        Ok(read) => read,
        Err(_) => Err(NoBody::TooSlow),
    }
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, NoBody> {
    let (mut read, mut seen) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| NoBody::Cut)?.into_data() else { continue };
        seen += data.len();
        if seen > DRAIN_BYTES_MAX {
            break;
        }
        if seen <= bytes_max {
            read.extend_from_slice(&data);
        }
    }
    if seen > bytes_max { Err(NoBody::TooLarge) } else { Ok(read.freeze()) }
}

/// What came with an upload, beside its body.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    /// A refusal that stands before the flow is looked at: identity, an injected status, the rate limit.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) fault: Option<Fault>,
    pub(crate) rate: Option<Rate>,
}

/// Judges an upload, keeps what must be kept and tells what becomes of the caller.
pub(crate) async fn receive(shared: &Arc<Shared>, arrival: Arrival, body: Result<Bytes, NoBody>) -> Fate {
    let inspector = Arc::clone(shared);
    let inspected = tokio::task::spawn_blocking(move || {
        let seen = Seen::look(&arrival, body, &inspector);
        (arrival, seen)
    });
    let failed = || Fate::Reply(Refusal::new(500, "the simulator failed").reply(None));
    let Ok((arrival, seen)) = inspected.await else { return failed() };
    shared.with(move |shared, ledger| conclude(shared, ledger, arrival, seen)).await.unwrap_or_else(failed)
}

/// Records an upload whose connection was reset before its body was read.
pub(crate) async fn cut_short(shared: &Arc<Shared>, arrival: Arrival) -> Fate {
    shared.with(move |shared, ledger| conclude(shared, ledger, arrival, Seen::default())).await.unwrap_or(Fate::Abort)
}

/// What an upload turned out to be.
#[derive(Debug, Default)]
struct Seen {
    zip: Option<Bytes>,
    sha256: Option<String>,
    flow: Option<Flow>,
    refusal: Option<Refusal>,
}

impl Seen {
    /// Looks at everything even when the upload is refused anyway: the control plane shows what was in it.
    fn look(arrival: &Arrival, body: Result<Bytes, NoBody>, shared: &Shared) -> Self {
        let mut seen = Self::default();
        let judged = match body {
            Ok(zip) => seen.judge(zip, arrival, shared),
            Err(NoBody::TooLarge) => Err(Refusal::new(413, "the body is too long")),
            Err(NoBody::TooSlow) => Err(Refusal::new(408, "the body took too long")),
            Err(NoBody::Cut) => return seen,
        };
        seen.refusal = arrival.refusal.clone().or(judged.err());
        seen
    }

    fn judge(&mut self, zip: Bytes, arrival: &Arrival, shared: &Shared) -> Result<(), Refusal> {
        let limits = &shared.settings.limits;
        let unpacked = archive::unpack(&zip, limits.xml_bytes_max);
        self.zip = Some(zip);
        let parsed = unpacked.as_ref().map_err(zip_refusal).and_then(|xml| {
            self.sha256 = Some(hex::encode(Sha256::digest(xml)));
            parse(xml)
        });
        if let Ok((_, flow)) = &parsed {
            self.flow = Some(flow.clone());
        }
        documents::accepts(&arrival.headers, "application/json")?;
        is_zip(&arrival.headers)?;
        let (text, flow) = parsed?;
        validate(shared.schema.as_ref(), &text)?;
        parties(&flow, &arrival.target, &shared.settings)
    }
}

fn zip_refusal(problem: &Problem) -> Refusal {
    let status = if matches!(problem, Problem::NotZip(_)) { 415 } else { 422 };
    Refusal::new(status, problem.to_string())
}

fn parse(xml: &[u8]) -> Result<(String, Flow), Refusal> {
    let read = || {
        let text = document::decode(xml)?;
        let flow = flow::read(&document::parse(&text)?)?;
        Ok((text, flow))
    };
    read().map_err(|why: String| Refusal::new(422, why))
}

fn validate(schema: Option<&schema::Schema>, text: &str) -> Result<(), Refusal> {
    match schema.and_then(|schema| schema.problems(text)) {
        Some(problems) => Err(Refusal::new(422, problems)),
        None => Ok(()),
    }
}

fn is_zip(headers: &HeaderMap) -> Result<(), Refusal> {
    let named = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = named.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/zip") {
        return Ok(());
    }
    Err(Refusal::new(415, format!("Content-Type is {media:?}, application/zip is needed")))
}

/// The parties named inside the message: 460 for the body and its intermediary, 461 for the bank and its own.
fn parties(flow: &Flow, target: &Target, settings: &Settings) -> Result<(), Refusal> {
    let header = &flow.header;
    if header.ente != target.ente || header.tramite_ente != target.id_a2a {
        let what = format!(
            "{} of {} is not who calls, {} of {}",
            header.tramite_ente, header.ente, target.id_a2a, target.ente
        );
        return Err(Refusal::new(460, format!("codice_tramite_ente and codice_ente of the message: {what}")));
    }
    let known = |banks: &Vec<super::Banca>| banks.iter().any(|b| b.abi == header.abi && b.tramite == header.tramite_bt);
    if settings.banche.as_ref().is_none_or(known) {
        return Ok(());
    }
    Err(Refusal::new(461, format!("bank {} by way of {} is not known", header.abi, header.tramite_bt)))
}

fn conclude(shared: &Shared, ledger: &mut Ledger, arrival: Arrival, mut seen: Seen) -> Fate {
    if ledger.world.uploads.len() >= shared.settings.limits.uploads_max {
        return Fate::Reply(Refusal::new(503, "the simulator is full").retry_after(60).reply(None));
    }
    let refusal = seen.refusal.take();
    match (&seen.zip, refusal) {
        (_, Some(refusal)) => refuse(shared, ledger, arrival, seen, refusal),
        (None, None) => {
            let upload = record(shared, &arrival, seen, Ending::Cut);
            note(ledger, upload);
            Fate::Abort
        }
        (Some(_), None) => take(shared, ledger, arrival, seen),
    }
}

fn refuse(shared: &Shared, ledger: &mut Ledger, arrival: Arrival, seen: Seen, refusal: Refusal) -> Fate {
    let mut upload = record(shared, &arrival, seen, Ending::Refused);
    upload.status = Some(refusal.status);
    upload.reason = Some(refusal.reason.clone());
    note(ledger, upload);
    Fate::Reply(refusal.reply(arrival.rate))
}

/// Keeps the trace of an upload that was not taken. The answer stands even when that fails: `commit` has logged it, and
/// the broken ledger serves no more.
fn note(ledger: &mut Ledger, upload: Upload) {
    drop(ledger.commit(vec![Event::Upload(Box::new(upload))]));
}

/// Stores a flow. From here on it counts, whatever the caller gets to see.
fn take(shared: &Shared, ledger: &mut Ledger, mut arrival: Arrival, seen: Seen) -> Fate {
    let after = [Fault::ResetAfterTaken, Fault::TimeoutAfterTaken, Fault::Status500AfterTaken];
    let fault = ledger.faults.first(&after, On::Post);
    arrival.fault = fault.or(arrival.fault);
    let zip = BASE64.encode(seen.zip.as_deref().unwrap_or_default());
    let prog = ledger.world.next_flow();
    let mut upload = record(shared, &arrival, seen, Ending::Taken);
    let time = upload.time;
    upload.taken = Some(Taken { prog, ack_due: later(time, ledger.delays.ack_after), zip });
    upload.status = match fault {
        None => Some(201),
        Some(Fault::Status500AfterTaken) => Some(500),
        Some(_) => None,
    };
    if let Err(why) = ledger.commit(vec![Event::Upload(Box::new(upload))]) {
        return Fate::Reply(Refusal::new(500, why).reply(None));
    }
    shared.wake.notify_one();
    match fault {
        Some(Fault::ResetAfterTaken) => Fate::Abort,
        Some(Fault::TimeoutAfterTaken) => Fate::Hang,
        Some(_) => Fate::Reply(Refusal::new(500, "injected by the simulator").reply(None)),
        None => Fate::Reply(created(shared, &arrival, prog, time)),
    }
}

fn created(shared: &Shared, arrival: &Arrival, prog: u64, time: jiff::Timestamp) -> Reply {
    let origin = documents::origin(shared, &arrival.headers);
    let body = json!({
        "progFlusso": prog.to_string(),
        "dataUpload": shared.clock.millis(time),
        "download": false,
        "location": documents::location(&arrival.target, &origin, &format!("flusso/{prog}")),
    });
    answer::rated(answer::json(201, &body), arrival.rate)
}

fn record(shared: &Shared, arrival: &Arrival, seen: Seen, ending: Ending) -> Upload {
    Upload {
        time: shared.clock.now(),
        id_a2a: arrival.target.id_a2a.clone(),
        ente: arrival.target.ente.clone(),
        ending,
        status: None,
        reason: None,
        fault: arrival.fault.map(|fault| fault.name().to_owned()),
        sha256: seen.sha256,
        sha256_zip: seen.zip.map(|zip| hex::encode(Sha256::digest(&zip))),
        flow: seen.flow,
        taken: None,
    }
}
