//! A small tree of the elements without prefix: what the readers look at.

use std::collections::HashMap;

use hub_core::Problem;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Elements of one answer: some 30 000 outcomes of orders.
const ELEMENTS_MAX: usize = 300_000;

/// An element with its text, trimmed, and its children. Text between children is ignored.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// Where it stands in the document; only elements with children are ever named in a problem.
    path: String,
    text: String,
    children: Vec<Node>,
}

impl Node {
    fn new(name: String) -> Self {
        Self { name, path: String::new(), text: String::new(), children: Vec::new() }
    }

    /// All children.
    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.children.iter()
    }

    /// The children of this name.
    pub(super) fn children(&self, name: &str) -> impl Iterator<Item = &Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn opt_child(&self, name: &str) -> Result<Option<&Node>, Problem> {
        let mut found = self.children(name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(self.problem_at(name, "stands twice")),
            (first, None) => Ok(first),
        }
    }

    /// The one child of this name.
    pub(super) fn child(&self, name: &str) -> Result<&Node, Problem> {
        self.opt_child(name)?.ok_or_else(|| self.problem_at(name, "is missing"))
    }

    /// The text of the one child of this name, not empty.
    pub(super) fn text(&self, name: &str) -> Result<&str, Problem> {
        self.opt_text(name)?.ok_or_else(|| self.problem_at(name, "is missing or empty"))
    }

    /// The text of the child of this name, unless it is missing or empty.
    pub(super) fn opt_text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let child = self.opt_child(name)?;
        Ok(child.map(|child| child.text.trim()).filter(|text| !text.is_empty()))
    }

    /// A problem with this element.
    pub(super) fn problem(&self, what: &str) -> Problem {
        let path = &self.path;
        Problem::at("opi.risposta", path, format!("answer: {path} {what}"))
    }

    /// A problem with a child.
    pub(super) fn problem_at(&self, name: &str, what: &str) -> Problem {
        let path = format!("{}/{name}", self.path);
        Problem::at("opi.risposta", path.clone(), format!("answer: {path} {what}"))
    }

    /// Writes the path of this element and of those below that have children. Recursion is bounded by the depth limit.
    fn settle(&mut self, path: String) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for child in self.children.iter_mut().filter(|child| !child.children.is_empty()) {
            let count = counts.entry(child.name.clone()).or_default();
            *count += 1;
            child.settle(format!("{path}/{}[{count}]", child.name));
        }
        self.path = path;
    }
}

/// Builds the tree of a text that has passed the limits.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader::from_str(text);
    let mut builder = Builder { open: Vec::new(), skipping: 0, elements: 0, root: None };
    loop {
        match reader.read_event().map_err(|e| malformed(&e.to_string()))? {
            Event::Start(start) => builder.open(name(&start))?,
            Event::Empty(start) => {
                builder.open(name(&start))?;
                builder.close();
            }
            Event::End(_) => builder.close(),
            Event::Text(part) => builder.text(&part.xml10_content()),
            Event::CData(part) => builder.text(&part.xml10_content()),
            Event::GeneralRef(reference) => builder.text(character(&reference)?.encode_utf8(&mut [0; 4])),
            Event::Eof => break,
            _ => {}
        }
    }
    let mut root = builder.root.ok_or_else(|| malformed("there is no root element without prefix"))?;
    root.settle(format!("/{}", root.name));
    Ok(root)
}

fn malformed(what: &str) -> Problem {
    Problem::at("opi.risposta", "", format!("answer cannot be read: {what}"))
}

/// The element's name, unless it has a prefix: our messages have none, signatures and extensions do.
fn name(start: &BytesStart<'_>) -> Option<String> {
    let name = start.name().as_ref().to_string();
    (!name.contains(':')).then_some(name)
}

fn character(reference: &BytesRef<'_>) -> Result<char, Problem> {
    let named = match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    };
    named.ok_or_else(|| malformed("unknown entity or character reference"))
}

struct Builder {
    open: Vec<Node>,
    /// Levels below an element that is passed over.
    skipping: usize,
    elements: usize,
    root: Option<Node>,
}

impl Builder {
    fn open(&mut self, name: Option<String>) -> Result<(), Problem> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(malformed(&format!("it has more than {ELEMENTS_MAX} elements")));
        }
        match name {
            Some(name) if self.skipping == 0 => self.open.push(Node::new(name)),
            _ => self.skipping += 1,
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.skipping > 0 {
            self.skipping -= 1;
            return;
        }
        let Some(node) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
    }

    fn text(&mut self, part: &str) {
        if let Some(node) = self.open.last_mut().filter(|_| self.skipping == 0) {
            node.text.push_str(part);
        }
    }
}
