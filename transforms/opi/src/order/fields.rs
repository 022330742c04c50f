//! Reads the fields of one JSON object, noting every problem instead of stopping at the first.

use std::fmt::Display;
use std::ops::RangeInclusive;

use hub_core::{Value, decimal_of};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Map;

use super::report::{Report, quoted};
use crate::words::Word;

/// An object being read. A field that is missing or wrong is noted and stands in with a value that nobody uses: an order
/// with problems goes no further.
pub(crate) struct Fields<'v, 'r> {
    map: &'v Map<String, Value>,
    path: String,
    report: &'r mut Report,
    asked: Vec<&'static str>,
}

/// Which amounts a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// At least one cent.
    Positive,
    /// Anything but zero: credit notes are negative.
    Any,
}

impl<'v> Fields<'v, '_> {
    /// Reads the object at `path` with `read`, then notes the fields that nobody asked for.
    pub(crate) fn object_at<T>(
        map: &'v Map<String, Value>,
        path: String,
        report: &mut Report,
        read: impl FnOnce(&mut Fields<'v, '_>) -> T,
    ) -> T {
        let mut fields = Fields { map, path, report, asked: Vec::new() };
        let value = read(&mut fields);
        fields.note_unknown();
        value
    }

    fn note_unknown(&mut self) {
        for name in self.map.keys().filter(|name| !self.asked.contains(&name.as_str())) {
            let field = format!("{}/{}", self.path, quoted(name).replace('~', "~0").replace('/', "~1"));
            let known = self.asked.join(", ");
            self.report.add("opi.campo-sconosciuto", field, format!("unknown field; known here: {known}"));
        }
    }

    fn note(&mut self, code: &str, name: &str, detail: impl Display) {
        self.report.add(code, format!("{}/{name}", self.path), detail);
    }

    fn wrong_type(&mut self, name: &str, wanted: &str) {
        self.note("opi.campo-tipo", name, format!("`{name}` must be {wanted}"));
    }

    fn take(&mut self, name: &'static str) -> Option<&'v Value> {
        self.asked.push(name);
        self.map.get(name)
    }

    /// Notes that a required field is missing, and gives its stand-in.
    fn required<T>(&mut self, name: &str, value: Option<T>, stand_in: impl FnOnce() -> T) -> T {
        value.unwrap_or_else(|| {
            if !self.map.contains_key(name) {
                self.note("opi.campo-mancante", name, format!("`{name}` is missing; add it"));
            }
            stand_in()
        })
    }

    pub(crate) fn text(&mut self, name: &'static str, chars_max: usize) -> String {
        let value = self.opt_text(name, chars_max);
        self.required(name, value, String::new)
    }

    /// A text of 1 to `chars_max` characters, not only blanks, without control characters.
    pub(crate) fn opt_text(&mut self, name: &'static str, chars_max: usize) -> Option<String> {
        let Value::String(text) = self.take(name)? else {
            self.wrong_type(name, "text in quotes");
            return None;
        };
        self.judge_text(name, text, chars_max);
        Some(text.clone())
    }

    fn judge_text(&mut self, name: &str, text: &str, chars_max: usize) {
        let chars = text.chars().count();
        if text.trim().is_empty() {
            self.note("opi.testo", name, format!("`{name}` is empty; write its value or leave the field out"));
        } else if chars > chars_max {
            self.note(
                "opi.testo",
                name,
                format!("`{name}` has {chars} characters, at most {chars_max} fit; shorten it"),
            );
        }
        if let Some(bad) = text.chars().find(|c| !allowed_in_xml(*c)) {
            let detail =
                format!("`{name}` holds the character U+{:04X}, which may not stand in a flow; remove it", bad as u32);
            self.note("opi.caratteri", name, detail);
        }
    }

    pub(crate) fn word<W: Word>(&mut self, name: &'static str) -> W {
        let value = self.opt_word(name);
        self.required(name, value, || W::ALL[0])
    }

    /// A value of a closed list.
    pub(crate) fn opt_word<W: Word>(&mut self, name: &'static str) -> Option<W> {
        let Value::String(text) = self.take(name)? else {
            self.wrong_type(name, "text in quotes");
            return None;
        };
        let word = W::find(text);
        if word.is_none() {
            let known = W::ALL.iter().map(|word| word.text()).collect::<Vec<_>>().join(", ");
            self.note(
                "opi.valore",
                name,
                format!("`{}` is not a value of `{name}`; write one of: {known}", quoted(text)),
            );
        }
        word
    }

    /// An exact amount in euro: at most two decimals and 15 digits, plain notation.
    pub(crate) fn amount(&mut self, name: &'static str, sign: Sign) -> Decimal {
        let value = self.take(name).map(|value| self.judge_amount(name, value, sign));
        self.required(name, value, || Decimal::ZERO)
    }

    fn judge_amount(&mut self, name: &str, value: &Value, sign: Sign) -> Decimal {
        let Some(amount) = decimal_of(value) else {
            let shown = quoted(&value.to_string());
            let detail = format!("amount {shown} cannot be read; write euro in plain digits, for example 1234.50");
            self.note("opi.importo", name, detail);
            return Decimal::ZERO;
        };
        let wrong = match amount {
            a if a.scale() > 2 => Some("has more than two decimals; write euro and cents, for example 1234.50"),
            a if a.is_zero() => Some("is zero; an amount is at least one cent"),
            a if a.is_sign_negative() && sign == Sign::Positive => Some("is negative; an amount is at least 0.01"),
            a if a.trunc().abs() >= Decimal::from(10_u64.pow(13)) => Some("has more than 15 digits"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.note("opi.importo", name, format!("amount {} {wrong}", quoted(&amount.to_string())));
        }
        amount
    }

    pub(crate) fn integer(&mut self, name: &'static str, range: RangeInclusive<u64>) -> u64 {
        let start = *range.start();
        let value = self.opt_integer(name, range);
        self.required(name, value, || start)
    }

    /// A whole number within a range.
    pub(crate) fn opt_integer(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.take(name)?;
        let number = value.as_number().and_then(|number| number.to_string().parse::<u64>().ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let (shown, from, to) = (quoted(&value.to_string()), range.start(), range.end());
                self.note("opi.numero", name, format!("`{name}` is {shown}; write a whole number from {from} to {to}"));
                None
            }
        }
    }

    pub(crate) fn number_u32(&mut self, name: &'static str, range: RangeInclusive<u32>) -> u32 {
        narrow(self.integer(name, u64::from(*range.start())..=u64::from(*range.end())))
    }

    pub(crate) fn opt_number_u32(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.opt_integer(name, u64::from(*range.start())..=u64::from(*range.end())).map(narrow)
    }

    pub(crate) fn number_u16(&mut self, name: &'static str, range: RangeInclusive<u16>) -> u16 {
        narrow(self.integer(name, u64::from(*range.start())..=u64::from(*range.end())))
    }

    pub(crate) fn opt_number_u16(&mut self, name: &'static str, range: RangeInclusive<u16>) -> Option<u16> {
        self.opt_integer(name, u64::from(*range.start())..=u64::from(*range.end())).map(narrow)
    }

    pub(crate) fn date(&mut self, name: &'static str) -> Date {
        let value = self.opt_date(name);
        self.required(name, value, || Date::ZERO)
    }

    /// A date written `2026-11-30`.
    pub(crate) fn opt_date(&mut self, name: &'static str) -> Option<Date> {
        let value = self.take(name)?;
        let date = value.as_str().and_then(read_date);
        if date.is_none() {
            let shown = quoted(&value.to_string());
            self.note("opi.data", name, format!("`{name}` is {shown}; write a date as 2026-11-30"));
        }
        date
    }

    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.wrong_type(name, "true or false");
                default
            }
        }
    }

    /// A required object. A missing one is noted once; its own fields are then not asked for.
    pub(crate) fn object<T>(&mut self, name: &'static str, read: fn(&mut Fields<'_, '_>) -> T) -> T {
        let value = self.opt_object(name, read);
        self.required(name, value, || {
            let (empty, mut unheard) = (Map::new(), Report::named(String::new()));
            Fields::object_at(&empty, String::new(), &mut unheard, read)
        })
    }

    pub(crate) fn opt_object<T>(&mut self, name: &'static str, read: fn(&mut Fields<'_, '_>) -> T) -> Option<T> {
        let value = self.take(name)?;
        let Value::Object(map) = value else {
            self.wrong_type(name, "an object in braces");
            return None;
        };
        Some(Fields::object_at(map, format!("{}/{name}", self.path), self.report, read))
    }

    /// A list of objects; left out means empty, if `count` allows it.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        count: RangeInclusive<usize>,
        read: fn(&mut Fields<'_, '_>) -> T,
    ) -> Vec<T> {
        let items = match self.take(name) {
            Some(Value::Array(items)) => items.as_slice(),
            None => &[],
            Some(_) => {
                self.wrong_type(name, "a list in brackets");
                return Vec::new();
            }
        };
        if !count.contains(&items.len()) {
            let (n, from, to) = (items.len(), count.start(), count.end());
            self.note("opi.elenco", name, format!("`{name}` has {n} entries; between {from} and {to} are allowed"));
        }
        items.iter().take(*count.end()).enumerate().map(|(at, item)| self.item(name, at, item, read)).collect()
    }

    fn item<T>(&mut self, name: &str, at: usize, item: &Value, read: fn(&mut Fields<'_, '_>) -> T) -> T {
        let empty = Map::new();
        let path = format!("{}/{name}/{at}", self.path);
        match item {
            Value::Object(map) => Fields::object_at(map, path, self.report, read),
            _ => {
                self.report.add("opi.campo-tipo", &path, "each entry must be an object in braces");
                Fields::object_at(&empty, path, &mut Report::named(String::new()), read)
            }
        }
    }
}

/// The number, which its range has bounded.
fn narrow<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// `YYYY-MM-DD` and nothing else, in a year that money may have: jiff alone also takes `20261130`, times and the year 0,
/// which XML does not know.
pub(crate) fn read_date(text: &str) -> Option<Date> {
    let plain = text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    let date: Option<Date> = plain.then(|| text.parse().ok()).flatten();
    date.filter(|date| (1900..=2199).contains(&date.year()))
}

/// Characters that XML 1.0 takes, minus all controls: line breaks and tabs would not survive the receiver's
/// white space rules, and C1 controls come only from wrong encodings.
fn allowed_in_xml(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}')
}
