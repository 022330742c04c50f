//! The sample orders: good ones, and wrong ones that must be refused, each for its own reason.

use std::path::Path;

use anyhow::Context;
use hub_core::{Value, decimal_of};
use rust_decimal::Decimal;

/// A file that is offered to the hub.
#[derive(Clone, Debug)]
pub struct Offer {
    /// File name.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The order, if the file is expected to be taken.
    pub order: Option<Order>,
    /// The path of the HTTP source it goes to.
    pub path: &'static str,
}

/// What an order is known by at SIOPE+.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Body.
    pub ente: String,
    /// Year.
    pub esercizio: String,
    /// `mandato` or `reversale`.
    pub tipo: String,
    /// Number.
    pub numero: String,
    /// Operation.
    pub operazione: String,
    /// Amount.
    pub importo: Decimal,
    /// The hub's case.
    pub case: String,
}

impl Order {
    /// Reads what an order file says.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let text = |name: &str| match &value[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let (ente, esercizio, tipo, numero) = (text("ente")?, text("esercizio")?, text("tipo")?, text("numero")?);
        let letter = if tipo == "reversale" { "R" } else { "" };
        let case = format!("{ente}/{esercizio}/{letter}{numero}");
        let importo = decimal_of(&value["importo"])?;
        Some(Self { operazione: text("tipo_operazione")?, ente, esercizio, tipo, numero, importo, case })
    }

    /// Whether a line of the simulator is about this order.
    #[must_use]
    pub fn is(&self, seen: &Value) -> bool {
        let same = |name: &str, mine: &str| match &seen[name] {
            Value::String(text) => text == mine,
            Value::Number(number) => number.to_string() == mine,
            _ => false,
        };
        same("ente", &self.ente)
            && same("esercizio", &self.esercizio)
            && same("numero", &self.numero)
            && seen["tipo"].as_str().is_some_and(|tipo| tipo.eq_ignore_ascii_case(&self.tipo))
    }
}

impl Offer {
    pub(crate) fn is_cancellation(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.operazione == "ANNULLO")
    }

    /// The insertion that a cancellation cancels.
    pub(crate) fn cancels(&self) -> Order {
        let mut order = self.order.clone().expect("invariant: a cancellation is an order");
        order.operazione = "INSERIMENTO".into();
        order
    }

    /// The drop folder takes payment orders only.
    pub(crate) fn fits_folder(&self) -> bool {
        self.path == "/ingest/mandati"
    }
}

/// Reads `buoni/` and `errati/`.
///
/// # Errors
/// When a folder or a good order cannot be read.
pub fn load_orders(folder: &Path) -> anyhow::Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for (sub, good) in [("buoni", true), ("errati", false)] {
        let dir = folder.join(sub);
        let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "json") && !path.ends_with("EXPECTED.json"));
        paths.sort();
        for path in paths {
            offers.push(offer(&path, good)?);
        }
    }
    Ok(offers)
}

fn offer(path: &Path, good: bool) -> anyhow::Result<Offer> {
    let bytes = std::fs::read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    let reversale = value.as_ref().is_some_and(|value| value["tipo"] == "reversale");
    let order = match (good, &value) {
        (false, _) => None,
        (true, Some(value)) => Some(Order::of(value).with_context(|| format!("{name} is not an order"))?),
        (true, None) => anyhow::bail!("{name} is not JSON"),
    };
    Ok(Offer { name, bytes, order, path: if reversale { "/ingest/reversali" } else { "/ingest/mandati" } })
}
