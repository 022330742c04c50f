//! The functions that expressions may call: one table for `check`, the evaluator and the manual.
//!
//! Each may be called as `f(x, y)` or `x.f(y)`.

mod list;
mod number;
mod text;
mod time;

use rust_decimal::Decimal;

use super::ast::{Expr, Node, Range};
use super::compile::Mistake;
use super::value::{Fault, Val};

/// A function.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Fewest and most arguments, the one before the dot included.
    pub(crate) arguments: (usize, usize),
    /// How to call it.
    pub(crate) usage: &'static str,
    /// What it gives.
    pub(crate) doc: &'static str,
    pub(crate) run: for<'v, 'a> fn(&Args<'v, 'a>) -> Result<Val<'a>, Fault>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// One call's arguments.
pub(crate) struct Args<'v, 'a> {
    pub(crate) function: &'static Function,
    pub(crate) values: &'v [Val<'a>],
    pub(crate) nodes: &'v [Node],
}

impl<'a> Args<'_, 'a> {
    fn unfit(&self, index: usize, wanted: &str) -> Fault {
        let path = self.nodes.get(index).map_or_else(|| "the value".into(), Node::path);
        let found = self.values.get(index).map_or("missing", Val::kind);
        Fault::new(format!(
            "`{}` needs {wanted}, but `{path}` is {found}; use it as `{}`",
            self.function.name, self.function.usage
        ))
    }

    fn has(&self, index: usize) -> bool {
        self.values.len() > index
    }

    fn value(&self, index: usize) -> Result<&Val<'a>, Fault> {
        self.values.get(index).ok_or_else(|| self.unfit(index, "a value"))
    }

    fn text(&self, index: usize) -> Result<&str, Fault> {
        self.value(index)?.as_text().ok_or_else(|| self.unfit(index, "text"))
    }

    fn number(&self, index: usize) -> Result<Decimal, Fault> {
        match self.value(index)? {
            Val::Number(n) => Ok(*n),
            _ => Err(self.unfit(index, "a number")),
        }
    }

    fn count(&self, index: usize) -> Result<usize, Fault> {
        let n = self.number(index)?;
        usize::try_from(n)
            .ok()
            .filter(|count| Decimal::from(*count) == n)
            .ok_or_else(|| self.unfit(index, "a whole number from 0"))
    }

    fn items(&self, index: usize) -> Result<Vec<Val<'a>>, Fault> {
        self.value(index)?.items().ok_or_else(|| self.unfit(index, "a list"))
    }
}

const fn function(
    name: &'static str,
    arguments: (usize, usize),
    usage: &'static str,
    doc: &'static str,
    run: for<'v, 'a> fn(&Args<'v, 'a>) -> Result<Val<'a>, Fault>,
) -> Function {
    Function { name, arguments, usage, doc, run }
}

/// All functions.
pub(crate) static ALL: &[Function] = &[
    function("abs", (1, 1), "abs(x)", "the number without its sign", number::abs),
    function("bool", (1, 1), "bool(x)", "`'true'` or `'false'` as a truth value", text::bool),
    function("contains", (2, 2), "text.contains(part)", "whether the text holds the part", text::contains),
    function("date", (1, 1), "date(x)", "the date in a text `2026-03-01`, or of an instant in Italy", time::date),
    function("day", (1, 1), "day(x)", "the day of the month of a date, or of an instant in Italy", time::day),
    function("decimal", (1, 1), "decimal(x)", "the exact number in a text `1234.50`", number::decimal),
    function("distinct", (1, 1), "distinct(list)", "the list without repetitions", list::distinct),
    function("duration", (1, 1), "duration('4h')", "a duration: ms, s, m, h, d, w, y", time::duration),
    function("endsWith", (2, 2), "text.endsWith(part)", "whether the text ends with the part", text::ends_with),
    function("first", (1, 1), "first(list)", "the first item; an error if there is none", list::first),
    function(
        "format",
        (2, 2),
        "format(x, '%d/%m/%Y')",
        "a date or instant (in Italy) as text, in strftime's letters",
        time::format,
    ),
    function("hasValue", (1, 1), "body.?x.hasValue()", "whether an optional value is there", list::has_value),
    function("int", (1, 1), "int(x)", "the whole part of a number, or of the number in a text", number::int),
    function("join", (1, 2), "list.join(', ')", "the texts of a list as one", text::join),
    function("last", (1, 1), "last(list)", "the last item; an error if there is none", list::last),
    function("lower", (1, 1), "text.lower()", "the text in small letters", text::lower),
    function("matches", (2, 2), "text.matches('^[A-Z]+$')", "whether the pattern is found in the text", text::matches),
    function("max", (1, 16), "max(a, b)", "the greatest of the arguments, or of one list", number::max),
    function("min", (1, 16), "min(a, b)", "the least of the arguments, or of one list", number::min),
    function("month", (1, 1), "month(x)", "the month of a date, or of an instant in Italy", time::month),
    function("or", (2, 2), "body.?x.or(body.?y)", "the first of two optional values that is there", list::or),
    function("orValue", (2, 2), "body.?x.orValue('')", "the optional value, or another one", list::or_value),
    function("padLeft", (3, 3), "text.padLeft(7, '0')", "the text, filled on its left up to a length", text::pad_left),
    function("replace", (3, 3), "text.replace(part, other)", "the text with each part replaced", text::replace),
    function(
        "round",
        (2, 2),
        "round(x, 2)",
        "the number with so many decimals; halves go away from zero",
        number::round,
    ),
    function("sha256", (1, 1), "sha256(text)", "the SHA-256 of the text, hexadecimal", text::sha256),
    function("size", (1, 1), "size(x)", "how many items, fields or characters", list::size),
    function("split", (2, 2), "text.split(',')", "the parts of the text as a list", text::split),
    function("startsWith", (2, 2), "text.startsWith(part)", "whether the text begins with the part", text::starts_with),
    function("string", (1, 1), "string(x)", "the value as text; numbers keep their digits: 12.50", text::string),
    function(
        "substring",
        (2, 3),
        "text.substring(from, to)",
        "the characters from one place up to another",
        text::substring,
    ),
    function("sum", (1, 1), "sum(list)", "the exact sum of a list of numbers; 0 for none", number::sum),
    function("timestamp", (1, 1), "timestamp(text)", "the instant in a text `2026-03-01T10:00:00Z`", time::timestamp),
    function("trim", (1, 1), "text.trim()", "the text without spaces around it", text::trim),
    function("upper", (1, 1), "text.upper()", "the text in capital letters", text::upper),
    function("value", (1, 1), "body.?x.value()", "the optional value; an error if it is not there", list::value),
    function("year", (1, 1), "year(x)", "the year of a date, or of an instant in Italy", time::year),
];

/// Names that are called like functions, but belong to the language.
const FORMS: [(&str, &str); 7] = [
    ("has", "has(body.x)"),
    ("all", "all(body.righe)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("map", "list.map(x, value)"),
    ("filter", "list.filter(x, condition)"),
    ("in", "x in list"),
];

/// Names of other libraries and their counterpart here.
const OTHERS: [(&str, &str); 8] = [
    ("double", "decimal"),
    ("float", "decimal"),
    ("len", "size"),
    ("length", "size"),
    ("toUpper", "upper"),
    ("upperAscii", "upper"),
    ("lowerAscii", "lower"),
    ("concat", "join"),
];

/// The function of this name.
pub(crate) fn find(name: &str, at: Range) -> Result<&'static Function, Mistake> {
    if let Some(function) = ALL.iter().find(|function| function.name == name) {
        return Ok(function);
    }
    let code = "unknown-function";
    if let Some((_, usage)) = FORMS.iter().find(|(form, _)| *form == name) {
        return Err(Mistake::new(
            "expression-arguments",
            at,
            format!("`{name}` is called otherwise"),
            format!("write for example `{usage}`"),
        ));
    }
    let names = || ALL.iter().map(|f| f.name).chain(FORMS.iter().map(|(form, _)| *form));
    let nearest = OTHERS.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
    let nearest = nearest.or_else(|| crate::nearest::nearest(name, names()));
    let hint = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known functions: {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(Mistake::new(code, at, format!("there is no function `{name}`"), hint))
}

/// Looks at what can be seen of a call without running it.
pub(crate) fn check(function: &'static Function, args: &[Node], at: Range) -> Result<(), Mistake> {
    let (least, most) = function.arguments;
    if args.len() < least || args.len() > most {
        let message = format!("`{}` takes {}, not {}", function.name, arguments(least, most), args.len());
        return Err(Mistake::new("expression-arguments", at, message, format!("write `{}`", function.usage)));
    }
    let literal = match args.last() {
        Some(Node { expr: Expr::Text(text), range, .. }) => Some((text.as_str(), *range)),
        _ => None,
    };
    let mistake = |range, message: String| {
        Err(Mistake::new("expression-literal", range, message, format!("write for example `{}`", function.usage)))
    };
    match (function.name, literal) {
        ("matches", None) => mistake(at, "the pattern of `matches` must be written as a text, not computed".into()),
        ("matches", Some((pattern, range))) => text::check_pattern(pattern).or_else(|e| mistake(range, e)),
        ("decimal", Some((text, range))) if number::read(text).is_none() => {
            mistake(range, format!("`{text}` is not an exact decimal"))
        }
        ("duration", Some((text, range))) => match text.parse::<hub_core::Span>() {
            Ok(_) => Ok(()),
            Err(e) => mistake(range, e),
        },
        ("date", Some((text, range))) if text.parse::<jiff::civil::Date>().is_err() => {
            mistake(range, format!("`{text}` is not a date"))
        }
        _ => Ok(()),
    }
}

fn arguments(least: usize, most: usize) -> String {
    match (least, most) {
        (1, 1) => "1 value".into(),
        (a, b) if a == b => format!("{a} values"),
        (a, b) => format!("{a} to {b} values"),
    }
}
