//! The steps `opi.check`, `opi.build` and `opi.read`.

use std::sync::Arc;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, StepConfig};
use hub_core::{
    Applied, Body, Bytesize, Message, Problem, Scope, Step, StepError, Value, header, read_json, sha256_hex,
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{json::money, read_answer};
use crate::entity::Ente;
use crate::flow::{build, flow_id};
use crate::order::Ordine;
use crate::rules::{Context, check};
use crate::words::Word;

/// The version of the flow that is built.
const VERSION: &str = "1.7.1";

/// Judges orders by the rules of OPI, without changing them: one order, or a list that is to share a flow.
///
/// Stands at the beginning of a route, after `validate`, so that the sender hears of every problem at once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Largest body. Default: `1MiB`.
    #[serde(default = "default_max")]
    pub max: Bytesize,
}

/// Builds the unsigned OPI flow of one order, or of a list of orders of one body and year.
///
/// The body becomes the XML. The result (name it with `as:`) is `identificativo`, `esercizio`, `ente`, `ordini` (each with
/// `tipo`, `numero`, `tipo_operazione`, `importo`), `importo` (their sum) and `sha256` of the XML. The header of the flow
/// comes from the row of the case's entity in `config/entities.yaml`; its time is the message's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Version of the format; only `1.7.1` is known today.
    pub version: String,
    /// Largest body. Default: `1MiB`.
    #[serde(default = "default_max")]
    pub max: Bytesize,
}

/// Reads an answer of SIOPE+ or of the treasurer bank: ACK, receipt, refusal or outcomes of orders.
///
/// The body stays as it is. The result (name it with `as:`) has `tipo` (`ack`, `ricezione`, `rifiuto`,
/// `esito_applicativo`), `ente`, `esercizio`, `identificativo_flusso`, `identificativo_flusso_bt`, `stato_flusso` (of an ACK:
/// `OK`, `WARNING`, `KO`), `errori`, `avvisi` and `esiti`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {}

fn default_max() -> Bytesize {
    Bytesize(1 << 20)
}

#[async_trait]
impl StepConfig for Check {
    const KIND: &'static str = "opi.check";
    const JUDGES: bool = true;

    async fn open(&self, _: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl StepConfig for Build {
    const KIND: &'static str = "opi.build";

    fn check(&self) -> Vec<ConfigError> {
        let known = self.version == VERSION;
        if known { Vec::new() } else { vec![ConfigError::at("/version", format!("write `version: \"{VERSION}\"`"))] }
    }

    async fn open(&self, _: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl StepConfig for Read {
    const KIND: &'static str = "opi.read";

    async fn open(&self, _: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Step for Check {
    async fn apply(&self, message: Message, scope: &Scope<'_>) -> Result<Applied, StepError> {
        let _ = orders(&message, self.max, scope)?;
        Ok(Applied::unchanged(message))
    }
}

#[async_trait]
impl Step for Build {
    async fn apply(&self, message: Message, scope: &Scope<'_>) -> Result<Applied, StepError> {
        let (orders, ente) = orders(&message, self.max, scope)?;
        let id = flow_id(&orders);
        let xml = build(&orders, &ente, &id, scope.now).map_err(|problem| StepError::Invalid(vec![problem]))?;
        let result = described(&orders, &id, &sha256_hex(&xml));
        Ok(Applied { message: Message { body: Body::new(hub_core::Media::Xml, xml), ..message }, result })
    }
}

#[async_trait]
impl Step for Read {
    async fn apply(&self, message: Message, _: &Scope<'_>) -> Result<Applied, StepError> {
        let answer =
            read_answer(&message.body.bytes).map_err(|problems| StepError::Invalid(from(problems, &message)))?;
        Ok(Applied { message, result: answer.to_json() })
    }
}

/// Says which document the problems are about: many answers look alike.
fn from(problems: Vec<Problem>, message: &Message) -> Vec<Problem> {
    let origin = message.headers.get(header::ORIGIN).map_or(message.id.as_str(), String::as_str);
    let named = |p: Problem| Problem { detail: format!("{} (from {origin})", p.detail), ..p };
    problems.into_iter().map(named).collect()
}

fn orders(message: &Message, max: Bytesize, scope: &Scope<'_>) -> Result<(Vec<Ordine>, Ente), StepError> {
    let bytes_max = usize::try_from(max.0).unwrap_or(usize::MAX);
    let body = read_json(&message.body.bytes, bytes_max).map_err(|e| StepError::invalid("json", "", e))?;
    let ente = Ente::read(scope.entity).map_err(StepError::Invalid)?;
    let context = Context::new(&ente, message.case.entity.as_deref(), scope.now);
    let orders = check(&body, &context).map_err(StepError::Invalid)?;
    Ok((orders, ente))
}

fn described(orders: &[Ordine], id: &str, sha256: &str) -> Value {
    let total = orders.iter().fold(Decimal::ZERO, |sum, order| sum.saturating_add(order.importo));
    let one = |order: &Ordine| {
        json!({
            "tipo": order.tipo().text(),
            "numero": order.numero,
            "tipo_operazione": order.tipo_operazione.text(),
            "importo": money(order.importo),
        })
    };
    json!({
        "identificativo": id,
        "esercizio": orders.first().map(|order| order.esercizio),
        "ente": orders.first().map(|order| order.ente.as_str()),
        "ordini": orders.iter().map(one).collect::<Vec<_>>(),
        "importo": money(total),
        "sha256": sha256,
    })
}
