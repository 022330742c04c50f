//! What happens by itself: ACK, bank's answer, ACQUISITO, PAGATO, each when it is due.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::checks::{self, Errore};
use super::clock::{RomeClock, later};
use super::faults::{Fault, On};
use super::flow::{Flow, Header, Operazione, Ordine, Tipo};
use super::ledger::{Ledger, Shared};
use super::messages::{self, Line};
use super::world::{Ack, BankAnswer, Event, OrderKey, Outcomes, Stage, World};

/// Most flows answered in one message of outcomes.
const FLOWS_PER_MESSAGE: usize = 100;
/// Most steps done under one hold of the ledger; the rest follows at once.
const STEPS_PER_TURN: usize = 200;
/// How long the engine sleeps at most.
const NAP: Duration = Duration::from_secs(60);
/// Code of an ACK error that only a fault explains.
const INJECTED: u32 = 199;

/// What the engine does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// What is due.
    Due,
    /// All that is pending, as if its time had come.
    Everything,
}

/// Runs until `stop` changes or the ledger breaks.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        let turn = shared.with(|shared, ledger| (ledger.advance(&shared.clock, Pace::Due), ledger.next_due())).await;
        let Some((Ok(steps), due)) = turn else { return };
        let nap = if steps == STEPS_PER_TURN { Duration::ZERO } else { until(due, shared.clock.now()) };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            () = shared.wake.notified() => {}
            _ = stop.changed() => return,
        }
    }
}

fn until(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.map_or(NAP, |due| Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO));
    left.min(NAP)
}

impl Ledger {
    /// Does what is due, or with [`Pace::Everything`] what is pending, a bounded number of steps; gives how many.
    pub(crate) fn advance(&mut self, clock: &RomeClock, pace: Pace) -> Result<usize, String> {
        let now = clock.now();
        let horizon = if pace == Pace::Due { now } else { Timestamp::MAX };
        for done in 0..STEPS_PER_TURN {
            let Some(prog) = self.next(horizon, pace) else { return Ok(done) };
            let events = self.step(prog, now, horizon, clock);
            self.commit(events)?;
        }
        Ok(STEPS_PER_TURN)
    }

    /// The flow that comes next: the one due first, or the one that is least far when all are hurried along.
    fn next(&self, horizon: Timestamp, pace: Pace) -> Option<u64> {
        let stage = |prog: u64| self.world.flows.get(&prog).map(|f| f.stage);
        let next = match pace {
            Pace::Due => self.world.agenda.first(),
            Pace::Everything => self.world.agenda.iter().min_by_key(|(due, prog)| (stage(*prog), *due, *prog)),
        };
        next.filter(|(due, _)| *due <= horizon).map(|(_, prog)| *prog)
    }

    fn step(&mut self, prog: u64, now: Timestamp, horizon: Timestamp, clock: &RomeClock) -> Vec<Event> {
        let stage = self.world.flows.get(&prog).map_or(Stage::Done, |f| f.stage);
        let flow = self.world.flow(prog).map(|(_, flow)| flow.clone());
        match (stage, flow) {
            (Stage::Ack, Some(flow)) => vec![self.ack(prog, &flow, now, clock)],
            (Stage::Bank, Some(flow)) => vec![self.bank_answer(prog, &flow, now, clock)],
            (Stage::Acquire | Stage::Pay, Some(_)) => self.outcomes(prog, stage, now, horizon, clock),
            (Stage::Done, _) | (_, None) => vec![Event::Finished { prog }],
        }
    }

    fn ack(&mut self, prog: u64, flow: &Flow, now: Timestamp, clock: &RomeClock) -> Event {
        let mut errors = checks::check(flow, &self.world, self.codes.as_ref());
        if errors.is_empty() && self.faults.strikes(Fault::Ko, On::Post).is_some() {
            let descrizione = "scarto iniettato dal simulatore".to_owned();
            errors.push(Errore { codice: INJECTED, descrizione, elemento: "/flusso_ordinativi".to_owned() });
        }
        let xml = messages::ack(flow, &errors, &clock.seconds(now));
        let bank_due = later(now, self.delays.esito_flusso_after);
        Event::Ack(Ack { prog, time: now, errors, xml, bank_due })
    }

    fn bank_answer(&mut self, prog: u64, flow: &Flow, now: Timestamp, clock: &RomeClock) -> Event {
        let refused = self.faults.strikes(Fault::Rifiuto, On::Post).map(|_| "rifiuto iniettato dal simulatore");
        let xml = messages::bank_answer(flow, &format!("BT-{prog}"), refused, &clock.seconds(now));
        let outcomes_due = self.outcomes_due(now);
        Event::Bank(BankAnswer { prog, time: now, accepted: refused.is_none(), xml, outcomes_due })
    }

    fn outcomes_due(&mut self, now: Timestamp) -> Timestamp {
        let late = self.faults.strikes(Fault::LateOutcomes, On::Post).map_or(Duration::ZERO, |_| self.delays.late_by);
        batch(later(now, self.delays.esiti_after.saturating_add(late)), self.esiti_every)
    }

    /// One message for all flows of the same body and bank that are due for the same stage.
    fn outcomes(
        &mut self,
        first: u64,
        stage: Stage,
        now: Timestamp,
        until: Timestamp,
        clock: &RomeClock,
    ) -> Vec<Event> {
        let flows = due_together(&self.world, first, stage, until);
        let mut lines = Vec::new();
        for prog in &flows {
            let Some(flow) = self.world.flow(*prog).map(|(_, flow)| flow.clone()) else { continue };
            match stage {
                Stage::Acquire => lines.extend(acquired(&self.world, &flow)),
                _ => self.pay(*prog, &flow, &mut lines),
            }
        }
        let Some((id_a2a, header)) = self.world.flow(first).map(|(u, f)| (u.id_a2a.clone(), f.header.clone())) else {
            return vec![Event::Finished { prog: first }];
        };
        if lines.is_empty() {
            return flows.into_iter().map(|prog| Event::Finished { prog }).collect();
        }
        let prog = self.world.next_outcome();
        let xml = messages::outcomes(&header, &format!("BT-E-{prog}"), &lines, &clock.seconds(now));
        let next_due = self.outcomes_due(now);
        let message = Outcomes { prog, time: now, id_a2a, ente: header.ente, flows, lines, xml, next_due };
        self.perhaps_doubled(message)
    }

    fn perhaps_doubled(&mut self, message: Outcomes) -> Vec<Event> {
        let copy = Outcomes { prog: message.prog + 1, flows: Vec::new(), ..message.clone() };
        let mut events = vec![Event::Outcomes(message)];
        if self.faults.strikes(Fault::DoubleOutcomes, On::Post).is_some() {
            events.push(Event::Outcomes(copy));
        }
        events
    }

    /// PAGATO or RISCOSSO for each part of the orders that this flow inserted and that are still in force.
    fn pay(&mut self, prog: u64, flow: &Flow, lines: &mut Vec<Line>) {
        for ordine in flow.ordini.iter().filter(|o| o.operazione.inserts()) {
            let order = self.world.orders.get(&World::key(flow, ordine.tipo, ordine.numero));
            let in_force = order.filter(|o| o.inserted_by == Some(prog)).and_then(|o| o.content.clone());
            let Some(content) = in_force else { continue };
            let failed = self.faults.strikes(Fault::NonEseguibile, On::Post).is_some();
            let (esito, motivo) = match (failed, ordine.tipo) {
                (true, _) => ("NON ESEGUIBILE", Some("esito iniettato dal simulatore")),
                (false, Tipo::Mandato) => ("PAGATO", None),
                (false, Tipo::Reversale) => ("RISCOSSO", None),
            };
            for parte in &content.parti {
                let whole = line(flow, &content, esito, motivo);
                lines.push(Line { progressivo: Some(parte.progressivo), importo: parte.importo, ..whole });
            }
        }
    }
}

/// The next moment at which the bank publishes, so that flows close in time share a message.
fn batch(due: Timestamp, every: Duration) -> Timestamp {
    let (ms, every) = (due.as_millisecond(), i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1));
    let next = ms.checked_add((-ms).rem_euclid(every)).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    next.unwrap_or(due)
}

/// `first` and the other flows due by `until` that one message can answer with it.
fn due_together(world: &World, first: u64, stage: Stage, until: Timestamp) -> Vec<u64> {
    let group = |prog: u64| -> Option<(Stage, &str, &Header)> {
        let (upload, flow) = world.flow(prog)?;
        Some((world.flows.get(&prog)?.stage, upload.id_a2a.as_str(), &flow.header))
    };
    let wanted = group(first);
    let body = world.flow(first).map(|(upload, _)| (upload.id_a2a.clone(), upload.ente.clone()));
    let agenda = body.and_then(|body| world.of_body(&body)).into_iter().flat_map(|body| &body.agenda);
    let due = agenda.take_while(|(due, _)| *due <= until).map(|(_, prog)| *prog);
    due.filter(|prog| wanted.is_some_and(|w| w.0 == stage) && group(*prog) == wanted).take(FLOWS_PER_MESSAGE).collect()
}

/// ACQUISITO, ANNULLATO and so on: one line for each order of a flow.
fn acquired(world: &World, flow: &Flow) -> Vec<Line> {
    let outcome = |ordine: &Ordine| {
        let key: OrderKey = World::key(flow, ordine.tipo, ordine.numero);
        let order = world.orders.get(&key);
        let in_force = order.is_some_and(|o| o.inserted_by.is_some());
        let open = order.is_some_and(|o| in_force && !o.paid);
        let why = if in_force { "ordinativo già eseguito" } else { "ordinativo non presente" };
        match ordine.operazione {
            Operazione::Inserimento => line(flow, ordine, "ACQUISITO", None),
            Operazione::Sostituzione => line(flow, ordine, "SOSTITUITO", None),
            Operazione::Annullo if open => line(flow, ordine, "ANNULLATO", None),
            Operazione::Annullo => line(flow, ordine, "NON ANNULLATO", Some(why)),
            Operazione::Variazione if open => line(flow, ordine, "VARIATO", None),
            Operazione::Variazione => line(flow, ordine, "NON VARIATO", Some(why)),
        }
    };
    flow.ordini.iter().map(outcome).collect()
}

fn line(flow: &Flow, ordine: &Ordine, esito: &str, motivo: Option<&str>) -> Line {
    Line {
        tipo: ordine.tipo,
        identificativo: flow.identificativo.clone(),
        esercizio: flow.esercizio.clone(),
        numero: ordine.numero,
        progressivo: None,
        data: ordine.data.clone(),
        importo: ordine.importo,
        esito: esito.to_owned(),
        motivo: motivo.map(str::to_owned),
    }
}
