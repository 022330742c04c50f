//! Trouble on demand: by chance, or the next so many times.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

/// Longest pause that a fault may make.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(120);
const PAUSE_DEFAULT_MS: u64 = 1000;

/// What can be made to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The connection is reset before the body is read.
    ResetBeforeBody,
    /// The flow is stored, then the connection is reset.
    ResetAfterTaken,
    /// The flow is stored, then nothing is answered.
    TimeoutAfterTaken,
    /// The flow is stored, then 500 is answered.
    Status500AfterTaken,
    Status429,
    Status503,
    Status500,
    /// The answer waits.
    SlowMs,
    /// The ACK is KO whatever the flow holds.
    Ko,
    /// The bank's outcomes wait longer.
    LateOutcomes,
    /// A message of outcomes is published twice.
    DoubleOutcomes,
    /// The bank refuses the flow.
    Rifiuto,
    /// The bank cannot execute an order.
    NonEseguibile,
}

const NAMES: [(&str, Fault); 13] = [
    ("reset_before_body", Fault::ResetBeforeBody),
    ("reset_after_taken", Fault::ResetAfterTaken),
    ("timeout_after_taken", Fault::TimeoutAfterTaken),
    ("status_500_after_taken", Fault::Status500AfterTaken),
    ("status_429", Fault::Status429),
    ("status_503", Fault::Status503),
    ("status_500", Fault::Status500),
    ("slow_ms", Fault::SlowMs),
    ("ko", Fault::Ko),
    ("late_outcomes", Fault::LateOutcomes),
    ("double_outcomes", Fault::DoubleOutcomes),
    ("rifiuto", Fault::Rifiuto),
    ("non_eseguibile", Fault::NonEseguibile),
];

impl Fault {
    /// Its name in the control plane.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }

    /// Whether it can also strike calls other than uploads.
    fn strikes_any_call(self) -> bool {
        matches!(self, Self::ResetBeforeBody | Self::Status429 | Self::Status503 | Self::Status500 | Self::SlowMs)
    }
}

/// Which calls a rule strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Post,
    Get,
    Any,
}

#[derive(Clone, Debug)]
enum Amount {
    Chance(f64),
    Count(u64),
}

#[derive(Clone, Debug)]
struct Rule {
    amount: Amount,
    on: On,
    pause: Duration,
    hits: u64,
}

/// The rules in force and the seeded dice.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: BTreeMap<Fault, Rule>,
    dice: StdRng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rules: BTreeMap::new(), dice: StdRng::seed_from_u64(seed) }
    }

    /// Decides whether `fault` strikes now, on a call of kind `on`; a count is spent by that. Gives the rule's pause.
    pub(crate) fn strikes(&mut self, fault: Fault, on: On) -> Option<Duration> {
        let rule = self.rules.get_mut(&fault).filter(|rule| rule.on == On::Any || rule.on == on)?;
        let struck = match &mut rule.amount {
            Amount::Chance(chance) => self.dice.random_bool(*chance),
            Amount::Count(0) => false,
            Amount::Count(left) => {
                *left -= 1;
                true
            }
        };
        rule.hits += u64::from(struck);
        struck.then_some(rule.pause)
    }

    /// The first of `faults` that strikes.
    pub(crate) fn first(&mut self, faults: &[Fault], on: On) -> Option<Fault> {
        faults.iter().copied().find(|fault| self.strikes(*fault, on).is_some())
    }

    /// Sets the rules of a JSON object, name to `{"chance": 0.1}` or `{"count": 3}`, each optionally with `on`
    /// (`post`, `get`, `any`) and `ms`; `null` clears one. Nothing is changed when anything is wrong.
    pub(crate) fn set(&mut self, rules: &Value) -> Result<(), String> {
        let rules = rules.as_object().ok_or("a JSON object is expected, such as {\"ko\": {\"count\": 1}}")?;
        let parsed = rules.iter().map(|(name, rule)| parse(name, rule)).collect::<Result<Vec<_>, _>>()?;
        for (fault, rule) in parsed {
            match rule {
                Some(rule) => drop(self.rules.insert(fault, rule)),
                None => drop(self.rules.remove(&fault)),
            }
        }
        Ok(())
    }

    /// Removes all rules.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What is set, what remains and how often each rule struck.
    pub(crate) fn show(&self) -> Value {
        let shown = self.rules.iter().map(|(fault, rule)| {
            let on = match rule.on {
                On::Post => "post",
                On::Get => "get",
                On::Any => "any",
            };
            let mut shown = match rule.amount {
                Amount::Chance(chance) => json!({ "chance": chance, "on": on, "hits": rule.hits }),
                Amount::Count(left) => json!({ "remaining": left, "on": on, "hits": rule.hits }),
            };
            if *fault == Fault::SlowMs {
                shown["ms"] = json!(u64::try_from(rule.pause.as_millis()).unwrap_or(u64::MAX));
            }
            (fault.name().to_owned(), shown)
        });
        Value::Object(shown.collect())
    }
}

fn parse(name: &str, rule: &Value) -> Result<(Fault, Option<Rule>), String> {
    let Some((_, fault)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        return Err(format!("fault {name:?} is not known, use one of {}", known.join(", ")));
    };
    if rule.is_null() {
        return Ok((*fault, None));
    }
    let rule =
        rule.as_object().ok_or_else(|| format!("{name}: {{\"chance\": 0.1}} or {{\"count\": 3}} is expected"))?;
    if let Some(unknown) = rule.keys().find(|key| !["chance", "count", "on", "ms"].contains(&key.as_str())) {
        return Err(format!("{name}: field {unknown:?} is not known, use chance, count, on, ms"));
    }
    let (amount, on, pause) = (amount(name, rule)?, on(name, *fault, rule)?, pause(name, *fault, rule)?);
    Ok((*fault, Some(Rule { amount, on, pause, hits: 0 })))
}

fn amount(name: &str, rule: &Map<String, Value>) -> Result<Amount, String> {
    match (rule.get("chance"), rule.get("count")) {
        (Some(chance), None) => {
            let chance = chance.as_f64().filter(|c| (0.0..=1.0).contains(c));
            chance.map(Amount::Chance).ok_or_else(|| format!("{name}: chance must be from 0 to 1"))
        }
        (None, Some(count)) => {
            count.as_u64().map(Amount::Count).ok_or_else(|| format!("{name}: count must be a whole number"))
        }
        _ => Err(format!("{name}: give either chance or count")),
    }
}

fn on(name: &str, fault: Fault, rule: &Map<String, Value>) -> Result<On, String> {
    let on = match rule.get("on").map(|on| on.as_str().unwrap_or("?")) {
        None => return Ok(On::Post),
        Some("post") => On::Post,
        Some("get") => On::Get,
        Some("any") => On::Any,
        Some(_) => return Err(format!("{name}: on must be post, get or any")),
    };
    if on == On::Post || fault.strikes_any_call() {
        return Ok(on);
    }
    Err(format!("{name}: only uploads can have this fault, leave out \"on\""))
}

fn pause(name: &str, fault: Fault, rule: &Map<String, Value>) -> Result<Duration, String> {
    let wrong = || format!("{name}: ms must be a whole number up to {} and belongs to slow_ms", PAUSE_MAX.as_millis());
    let Some(ms) = rule.get("ms") else { return Ok(Duration::from_millis(PAUSE_DEFAULT_MS)) };
    let pause = ms.as_u64().map(Duration::from_millis).filter(|pause| *pause <= PAUSE_MAX).ok_or_else(wrong)?;
    if fault == Fault::SlowMs { Ok(pause) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_spent_and_shown() {
        let mut faults = Faults::new(1);
        faults.set(&json!({ "ko": { "count": 2 }, "slow_ms": { "count": 1, "ms": 30, "on": "get" } })).unwrap();
        assert_eq!(faults.strikes(Fault::SlowMs, On::Post), None);
        assert_eq!(faults.strikes(Fault::SlowMs, On::Get), Some(Duration::from_millis(30)));
        let struck = (0..5).filter(|_| faults.strikes(Fault::Ko, On::Post).is_some()).count();
        assert_eq!(struck, 2);
        assert_eq!(faults.show()["ko"], json!({ "remaining": 0, "on": "post", "hits": 2 }));
        faults.set(&json!({ "ko": null })).unwrap();
        assert_eq!(faults.show().as_object().unwrap().len(), 1);
    }

    #[test]
    fn chances_follow_the_seed() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.set(&json!({ "ko": { "chance": 0.5 } })).unwrap();
            (0..64).map(|_| faults.strikes(Fault::Ko, On::Post).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn wrong_rules_change_nothing_and_say_why() {
        let mut faults = Faults::new(1);
        for (rules, why) in [
            (json!([]), "object"),
            (json!({ "kox": { "count": 1 } }), "not known"),
            (json!({ "ko": 3 }), "expected"),
            (json!({ "ko": { "chance": 1.5 } }), "from 0 to 1"),
            (json!({ "ko": { "chance": 0.5, "count": 1 } }), "either"),
            (json!({ "ko": {} }), "either"),
            (json!({ "ko": { "count": -1 } }), "whole"),
            (json!({ "ko": { "count": 1, "on": "get" } }), "only uploads"),
            (json!({ "ko": { "count": 1, "ms": 5 } }), "slow_ms"),
            (json!({ "slow_ms": { "count": 1, "ms": 999_999 } }), "up to"),
            (json!({ "rifiuto": { "count": 1 }, "ko": { "cuont": 1 } }), "cuont"),
        ] {
            let error = faults.set(&rules).unwrap_err();
            assert!(error.contains(why), "{rules}: {error}");
            assert_eq!(faults.show(), json!({}));
        }
    }
}
