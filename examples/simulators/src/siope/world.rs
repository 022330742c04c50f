//! Everything the simulator knows: a fold over [`Event`]s, so that memory and disk cannot differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::checks::{Errore, Known};
use super::flow::{Flow, Operazione, Ordine, Tipo};
use super::messages::Line;

/// Number of the first flow and of the first outcome message; both have ten digits, as on the real platform.
const PROG_FIRST: u64 = 1_000_000_001;

/// One thing that happened. The journal holds these, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// An upload ended, well or not.
    Upload(Box<Upload>),
    /// SIOPE+ published its verdict on a flow.
    Ack(Ack),
    /// The bank took or refused a flow.
    Bank(BankAnswer),
    /// The bank published outcomes of orders.
    Outcomes(Outcomes),
    /// A flow has nothing left to be paid.
    Finished { prog: u64 },
    /// A document was downloaded.
    Fetched(Document),
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Stored: it counts, whatever the client saw.
    Taken,
    /// Answered with an error status.
    Refused,
    /// The connection ended before the body did.
    Cut,
}

/// One POST of a flow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) time: Timestamp,
    pub(crate) id_a2a: String,
    pub(crate) ente: String,
    pub(crate) ending: Ending,
    /// Of the answer; nothing when none was given.
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<String>,
    /// The fault that was injected.
    pub(crate) fault: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) sha256_zip: Option<String>,
    /// The flow, when it could be read.
    pub(crate) flow: Option<Flow>,
    pub(crate) taken: Option<Taken>,
}

/// What is kept of a flow that was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) prog: u64,
    pub(crate) ack_due: Timestamp,
    /// The zip as it came, base64.
    pub(crate) zip: String,
}

/// A `messaggio_ack_siope`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ack {
    pub(crate) prog: u64,
    pub(crate) time: Timestamp,
    /// Empty means OK.
    pub(crate) errors: Vec<Errore>,
    pub(crate) xml: String,
    pub(crate) bank_due: Timestamp,
}

/// A `messaggio_ricezione_flusso` or `messaggio_rifiuto_flusso`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BankAnswer {
    pub(crate) prog: u64,
    pub(crate) time: Timestamp,
    pub(crate) accepted: bool,
    pub(crate) xml: String,
    pub(crate) outcomes_due: Timestamp,
}

/// A `messaggi_esito_applicativo`, over orders of one or more flows of one body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    pub(crate) prog: u64,
    pub(crate) time: Timestamp,
    pub(crate) id_a2a: String,
    pub(crate) ente: String,
    /// The flows that this message moves on; empty when it repeats another message.
    pub(crate) flows: Vec<u64>,
    pub(crate) lines: Vec<Line>,
    pub(crate) xml: String,
    pub(crate) next_due: Timestamp,
}

/// A downloadable document, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Document {
    Ack(u64),
    EsitoFlusso(u64),
    EsitoApplicativo(u64),
}

/// What a taken flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Ack,
    Bank,
    Acquire,
    Pay,
    Done,
}

/// A taken flow and its answers so far.
#[derive(Clone, Debug)]
pub(crate) struct FlowState {
    /// Its place in `uploads`.
    pub(crate) upload: usize,
    pub(crate) stage: Stage,
    pub(crate) due: Timestamp,
    pub(crate) ack: Option<Ack>,
    pub(crate) bank: Option<BankAnswer>,
}

/// What names an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderKey {
    pub(crate) ente: String,
    pub(crate) esercizio: String,
    pub(crate) tipo: Tipo,
    pub(crate) numero: u64,
}

/// An order that some accepted flow named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    pub(crate) entries: Vec<Entry>,
    /// The order as it was last inserted or varied.
    pub(crate) content: Option<Ordine>,
    /// The flow that inserted it, while it is in force.
    pub(crate) inserted_by: Option<u64>,
    pub(crate) annulled: bool,
    pub(crate) paid: bool,
    pub(crate) not_executable: bool,
}

/// One appearance of an order in a flow with ACK OK.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) prog: u64,
    pub(crate) identificativo: String,
    pub(crate) operazione: Operazione,
    /// The bank refused that flow afterwards.
    pub(crate) refused_by_bank: bool,
}

/// A body as its callers name it: `idA2A` and `codEnte`.
pub(crate) type Body = (String, String);

/// What is kept by body.
#[derive(Debug, Default)]
pub(crate) struct OfBody {
    pub(crate) agenda: BTreeSet<(Timestamp, u64)>,
    pub(crate) published: BTreeSet<(Timestamp, Document)>,
}

/// The state.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) uploads: Vec<Upload>,
    pub(crate) flows: BTreeMap<u64, FlowState>,
    pub(crate) outcomes: BTreeMap<u64, Outcomes>,
    pub(crate) orders: BTreeMap<OrderKey, Order>,
    /// When which flow is due for its next stage.
    pub(crate) agenda: BTreeSet<(Timestamp, u64)>,
    /// The same, and what was published, by body: a list or a step must not walk through everything.
    bodies: HashMap<Body, OfBody>,
    pub(crate) fetched: BTreeSet<Document>,
    accepted: BTreeSet<(String, String, String)>,
    istat: BTreeMap<String, String>,
}

impl World {
    /// The number that the next taken flow gets.
    pub(crate) fn next_flow(&self) -> u64 {
        self.flows.last_key_value().map_or(PROG_FIRST, |(prog, _)| prog + 1)
    }

    /// The number that the next outcome message gets.
    pub(crate) fn next_outcome(&self) -> u64 {
        self.outcomes.last_key_value().map_or(PROG_FIRST, |(prog, _)| prog + 1)
    }

    /// The upload and the flow behind a number.
    pub(crate) fn flow(&self, prog: u64) -> Option<(&Upload, &Flow)> {
        let upload = self.uploads.get(self.flows.get(&prog)?.upload)?;
        Some((upload, upload.flow.as_ref()?))
    }

    /// What is kept of a body.
    pub(crate) fn of_body(&self, body: &Body) -> Option<&OfBody> {
        self.bodies.get(body)
    }

    fn body_of(&mut self, prog: u64) -> Option<&mut OfBody> {
        let upload = self.uploads.get(self.flows.get(&prog)?.upload)?;
        Some(self.bodies.entry((upload.id_a2a.clone(), upload.ente.clone())).or_default())
    }

    fn publish(&mut self, prog: u64, time: Timestamp, document: Document) {
        if let Some(body) = self.body_of(prog) {
            let _ = body.published.insert((time, document));
        }
    }

    /// The key of an order of a flow.
    pub(crate) fn key(flow: &Flow, tipo: Tipo, numero: u64) -> OrderKey {
        OrderKey { ente: flow.header.ente.clone(), esercizio: flow.esercizio.clone(), tipo, numero }
    }

    /// Records the ISTAT code of a body before any flow of it comes.
    pub(crate) fn register_istat(&mut self, ente: &str, istat: &str) {
        let _ = self.istat.insert(ente.to_owned(), istat.to_owned());
    }

    /// Takes one event in. Never fails: an event that names an unknown flow changes nothing.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Upload(upload) => self.uploaded(*upload),
            Event::Ack(ack) => self.acknowledged(ack),
            Event::Bank(answer) => self.bank_answered(answer),
            Event::Outcomes(outcomes) => self.published(outcomes),
            Event::Finished { prog } => self.reschedule(prog, Stage::Done, Timestamp::MAX),
            Event::Fetched(document) => {
                let _ = self.fetched.insert(document);
            }
        }
    }

    fn uploaded(&mut self, upload: Upload) {
        if let Some(taken) = &upload.taken {
            let (prog, due) = (taken.prog, taken.ack_due);
            let state = FlowState { upload: self.uploads.len(), stage: Stage::Ack, due, ack: None, bank: None };
            let _ = self.flows.insert(prog, state);
            let _ = self.agenda.insert((due, prog));
            let body = self.bodies.entry((upload.id_a2a.clone(), upload.ente.clone())).or_default();
            let _ = body.agenda.insert((due, prog));
        }
        self.uploads.push(upload);
    }

    fn acknowledged(&mut self, ack: Ack) {
        let prog = ack.prog;
        if ack.errors.is_empty() {
            self.reschedule(prog, Stage::Bank, ack.bank_due);
            self.accept(prog);
        } else {
            self.reschedule(prog, Stage::Done, Timestamp::MAX);
        }
        self.publish(prog, ack.time, Document::Ack(prog));
        if let Some(state) = self.flows.get_mut(&prog) {
            state.ack = Some(ack);
        }
    }

    /// A flow with ACK OK uses up its id and puts its orders in force.
    fn accept(&mut self, prog: u64) {
        let Some((_, flow)) = self.flow(prog) else { return };
        let flow = flow.clone();
        let ente = flow.header.ente.clone();
        let _ = self.istat.entry(ente.clone()).or_insert_with(|| flow.header.istat.clone());
        let _ = self.accepted.insert((ente, flow.esercizio.clone(), flow.identificativo.clone()));
        for ordine in &flow.ordini {
            let order = self.orders.entry(Self::key(&flow, ordine.tipo, ordine.numero)).or_default();
            let identificativo = flow.identificativo.clone();
            order.entries.push(Entry { prog, identificativo, operazione: ordine.operazione, refused_by_bank: false });
            if ordine.operazione.inserts() {
                order.content = Some(ordine.clone());
                order.inserted_by = Some(prog);
                (order.annulled, order.paid, order.not_executable) = (false, false, false);
            }
        }
    }

    fn bank_answered(&mut self, answer: BankAnswer) {
        let prog = answer.prog;
        if answer.accepted {
            self.reschedule(prog, Stage::Acquire, answer.outcomes_due);
        } else {
            self.reschedule(prog, Stage::Done, Timestamp::MAX);
            self.release(prog);
        }
        self.publish(prog, answer.time, Document::EsitoFlusso(prog));
        if let Some(state) = self.flows.get_mut(&prog) {
            state.bank = Some(answer);
        }
    }

    /// Orders of a flow that the bank refused are no longer in force.
    fn release(&mut self, prog: u64) {
        for order in self.orders.values_mut() {
            for entry in order.entries.iter_mut().filter(|e| e.prog == prog) {
                entry.refused_by_bank = true;
            }
            if order.inserted_by == Some(prog) {
                order.inserted_by = None;
            }
        }
    }

    fn published(&mut self, outcomes: Outcomes) {
        if !outcomes.flows.is_empty() {
            for line in &outcomes.lines {
                self.settle(&outcomes.ente, line);
            }
        }
        for prog in &outcomes.flows {
            match self.flows.get(prog).map(|f| f.stage) {
                Some(Stage::Acquire) => self.vary_and_wait(*prog, outcomes.next_due),
                _ => self.reschedule(*prog, Stage::Done, Timestamp::MAX),
            }
        }
        let body = self.bodies.entry((outcomes.id_a2a.clone(), outcomes.ente.clone())).or_default();
        let _ = body.published.insert((outcomes.time, Document::EsitoApplicativo(outcomes.prog)));
        let _ = self.outcomes.insert(outcomes.prog, outcomes);
    }

    /// After ACQUISITO the flow waits for payment, and varied orders have their new content.
    fn vary_and_wait(&mut self, prog: u64, due: Timestamp) {
        self.reschedule(prog, Stage::Pay, due);
        let Some((_, flow)) = self.flow(prog) else { return };
        let flow = flow.clone();
        for ordine in flow.ordini.iter().filter(|o| o.operazione == Operazione::Variazione) {
            if let Some(order) = self.orders.get_mut(&Self::key(&flow, ordine.tipo, ordine.numero))
                && !order.paid
            {
                order.content = Some(ordine.clone());
            }
        }
    }

    fn settle(&mut self, ente: &str, line: &Line) {
        let (esercizio, tipo, numero) = (line.esercizio.clone(), line.tipo, line.numero);
        let key = OrderKey { ente: ente.to_owned(), esercizio, tipo, numero };
        let Some(order) = self.orders.get_mut(&key) else { return };
        match line.esito.as_str() {
            "PAGATO" | "RISCOSSO" => order.paid = true,
            "NON ESEGUIBILE" => order.not_executable = true,
            "ANNULLATO" => {
                order.annulled = true;
                order.inserted_by = None;
            }
            _ => {}
        }
    }

    fn reschedule(&mut self, prog: u64, stage: Stage, due: Timestamp) {
        let Some(state) = self.flows.get_mut(&prog) else { return };
        let before = (state.due, prog);
        (state.stage, state.due) = (stage, due);
        let later = (stage != Stage::Done).then_some((due, prog));
        let _ = self.agenda.remove(&before);
        self.agenda.extend(later);
        if let Some(body) = self.body_of(prog) {
            let _ = body.agenda.remove(&before);
            body.agenda.extend(later);
        }
    }
}

impl Known for World {
    fn flow_accepted(&self, ente: &str, esercizio: &str, identificativo: &str) -> bool {
        self.accepted.contains(&(ente.to_owned(), esercizio.to_owned(), identificativo.to_owned()))
    }

    fn istat(&self, ente: &str) -> Option<&str> {
        self.istat.get(ente).map(String::as_str)
    }

    fn in_force(&self, ente: &str, esercizio: &str, tipo: Tipo, numero: u64) -> bool {
        let key = OrderKey { ente: ente.to_owned(), esercizio: esercizio.to_owned(), tipo, numero };
        self.orders.get(&key).is_some_and(|order| order.inserted_by.is_some())
    }
}
