//! The parser's tree into nodes, within limits.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::{Data, Key, Node, Source, Span};
use crate::problem::Problem;

/// Largest file, in bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting.
const DEPTH_MAX: usize = 32;
/// Most nodes, aliases expanded.
const NODES_MAX: usize = 50_000;
/// Most keys that stand twice: each costs a new reading.
const DUPLICATES_MAX: u32 = 20;
/// First letter of the private names that doubled keys are given.
const PRIVATE: u32 = 0xe000;

/// Reads a file of one document. Problems: keys that stand twice, or the one that stopped the reading.
pub(crate) fn parse(source: &Source) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
    bounded(source).map_err(|problem| vec![*problem])?;
    let mut text = source.text.clone();
    let mut problems = Vec::new();
    loop {
        match MarkedYaml::load_from_str(&text) {
            Ok(documents) => return only(source, documents, problems),
            Err(e) if e.info() == "duplicated key in mapping" && (problems.len() as u32) < DUPLICATES_MAX => {
                let at = e.marker().index();
                problems.push(duplicate(source, at));
                text = renamed(&text, at, problems.len() as u32);
            }
            Err(e) => {
                problems.push(syntax_problem(source, &e));
                return Err(problems);
            }
        }
    }
}

/// Whether a key is one that [`parse`] renamed: its problem has been reported.
pub(crate) fn is_renamed(name: &str) -> bool {
    let private = PRIVATE..=PRIVATE + DUPLICATES_MAX;
    name.chars().any(|c| private.contains(&u32::from(c)))
}

/// The same text with the key at `at` made unique; every other character keeps its place.
fn renamed(text: &str, at: usize, number: u32) -> String {
    let quoted = text.chars().nth(at).is_some_and(|c| matches!(c, '\'' | '"'));
    let target = at + usize::from(quoted);
    let private = char::from_u32(PRIVATE + number).unwrap_or('\u{e000}');
    text.chars().enumerate().map(|(index, c)| if index == target { private } else { c }).collect()
}

fn duplicate(source: &Source, at: usize) -> Problem {
    let name: String = source.chars()[at..].iter().take_while(|c| !matches!(c, ':' | '\n')).collect();
    let span = Span { start: at, end: at + name.chars().count() };
    let mut problem = source.error(span, "duplicate-key", format!("`{}` stands twice in this mapping", name.trim()));
    problem.hint = Some("keep one of them".into());
    problem
}

fn only(
    source: &Source,
    documents: Vec<MarkedYaml<'_>>,
    problems: Vec<Problem>,
) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
    let fail = |problem: Problem, mut problems: Vec<Problem>| {
        problems.push(problem);
        Err(problems)
    };
    let mut documents = documents.into_iter();
    let Some(document) = documents.next() else {
        return fail(source.error(Span { start: 0, end: 1 }, "empty-file", "the file is empty"), problems);
    };
    if let Some(second) = documents.next() {
        let mut problem = source.error(span_of(&second), "yaml-documents", "a second document begins here");
        problem.hint = Some("a file holds one route: move this one to its own file".into());
        return fail(problem, problems);
    }
    match convert(source, document, 0, &mut 0) {
        Ok(node) => Ok((node, problems)),
        Err(problem) => fail(*problem, problems),
    }
}

/// Looks at size, nesting and anchors before the parser does: it bounds neither its recursion nor aliases in keys.
fn bounded(source: &Source) -> Result<(), Box<Problem>> {
    if source.text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {FILE_BYTES_MAX} are allowed", source.text.len());
        return Err(Box::new(source.error(Span { start: 0, end: 1 }, "too-large", message)));
    }
    let (mut depth, mut at) = (0usize, 0usize);
    for line in source.text.split('\n') {
        let length = line.chars().count();
        let span = Span { start: at, end: at + length };
        depth = line_depth(line, depth).ok_or_else(|| too_deep(source, span))?;
        at += length + 1;
    }
    anchors(source)
}

/// Open brackets after a line; `None` if it nests too deeply.
fn line_depth(line: &str, mut depth: usize) -> Option<usize> {
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let parts = line.split([' ', '\t']).filter(|part| !part.is_empty());
    let dashes = parts.take_while(|part| matches!(*part, "-" | "?" | ":")).count();
    for c in line.chars() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 2 * DEPTH_MAX {
            return None;
        }
    }
    (indent <= 8 * DEPTH_MAX && dashes <= DEPTH_MAX).then_some(depth)
}

/// A file with anchors may not have keys that are lists or mappings: the loader does not count aliases in them.
fn anchors(source: &Source) -> Result<(), Box<Problem>> {
    let chars = source.chars();
    let opens = |c: char| c.is_whitespace() || matches!(c, '[' | '{' | ',' | ':' | '-');
    let anchor = chars.windows(3).position(|w| opens(w[0]) && w[1] == '&' && w[2].is_alphanumeric());
    let Some(at) = anchor else { return Ok(()) };
    let mut previous = '\n';
    for c in chars.iter().filter(|c| !c.is_whitespace()) {
        if *c == ':' && matches!(previous, ']' | '}') || *c == '?' {
            let span = Span { start: at + 1, end: at + 3 };
            let mut problem = source.error(span, "yaml-anchor", "an anchor in a file whose keys are not plain words");
            problem.hint = Some("write the value out where it is used".into());
            return Err(Box::new(problem));
        }
        previous = *c;
    }
    Ok(())
}

fn too_deep(source: &Source, span: Span) -> Box<Problem> {
    Box::new(source.error(span, "too-deep", format!("nested deeper than {DEPTH_MAX} levels")))
}

fn syntax_problem(source: &Source, error: &saphyr::ScanError) -> Problem {
    let mut at = error.marker().index().min(source.chars().len());
    while at > 0 && source.chars().get(at).is_none_or(|c| *c == '\n') {
        at -= 1;
    }
    let mut span = Span { start: at, end: at + 1 };
    let misplaced = error.info() == "mapping values are not allowed in this context";
    if misplaced {
        let key = |c: &&char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let length = source.chars()[..at].iter().rev().take_while(key).count();
        span = Span { start: at - length, end: if length > 0 { at } else { at + 1 } };
    }
    let mut problem = source.error(span, "yaml-syntax", format!("not YAML: {}", error.info()));
    if misplaced {
        let hint = "indent it as far as the keys beside it; a value that holds `: ` needs quotes";
        problem.hint = Some(hint.into());
    }
    if let Some((span, hint)) = crate::check::quoting::unquoted(source, problem.line) {
        let message = "YAML reads this otherwise: an expression with these signs needs quotes";
        problem = source.error(span, "expression-quote", message);
        problem.hint = Some(hint);
    }
    problem
}

fn span_of(node: &MarkedYaml<'_>) -> Span {
    Span { start: node.span.start.index(), end: node.span.end.index() }
}

fn convert(source: &Source, raw: MarkedYaml<'_>, depth: usize, nodes: &mut usize) -> Result<Node, Box<Problem>> {
    *nodes += 1;
    let span = span_of(&raw);
    if depth > DEPTH_MAX {
        return Err(too_deep(source, span));
    }
    if *nodes > NODES_MAX {
        return Err(Box::new(source.error(
            span,
            "too-large",
            format!("more than {NODES_MAX} nodes, aliases expanded"),
        )));
    }
    let data = match raw.data {
        YamlData::Value(scalar) => scalar_data(source, span, scalar),
        YamlData::Sequence(items) => {
            Data::List(items.into_iter().map(|item| convert(source, item, depth + 1, nodes)).collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(entries) => {
            let entry =
                |(key, node): (MarkedYaml<'_>, _)| Ok((key_of(source, key), convert(source, node, depth + 1, nodes)?));
            Data::Map(entries.into_iter().map(entry).collect::<Result<_, Box<Problem>>>()?)
        }
        _ => Data::Tag,
    };
    Ok(Node { span, data })
}

fn key_of(source: &Source, key: MarkedYaml<'_>) -> Key {
    let span = span_of(&key);
    let name = match key.data {
        YamlData::Value(Scalar::String(text)) => Some(text.into_owned()),
        YamlData::Value(_) => Some(source.slice(span)),
        _ => None,
    };
    Key { span, name }
}

/// A number keeps the text of the file; what JSON does not write as a number is a text.
fn scalar_data(source: &Source, span: Span, scalar: Scalar<'_>) -> Data {
    match scalar {
        Scalar::Null => Data::Null,
        Scalar::Boolean(b) => Data::Bool(b),
        Scalar::String(text) => Data::Text(text.into_owned()),
        Scalar::Integer(_) | Scalar::FloatingPoint(_) => {
            let text = source.slice(span).trim().to_string();
            let json = serde_json::from_str::<serde_json::Number>(&text).is_ok();
            if json { Data::Number(text) } else { Data::Text(text) }
        }
    }
}
