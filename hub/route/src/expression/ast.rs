//! What an expression is after reading: a tree whose nodes know where they stand in the text.

use rust_decimal::Decimal;

use super::functions::Function;

/// A half-open range of bytes in the expression's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Range {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(crate) fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// A node: what it is, its whole text, and the word to underline when it is wrong (a field's or function's name).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) range: Range,
    pub(crate) focus: Range,
    /// Longest way down to a leaf; bounded, so that evaluation cannot exhaust the stack.
    pub(crate) depth: usize,
    pub(crate) expr: Expr,
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Name(String),
    /// `of.name`, or `of.?name` when optional.
    Field {
        of: Box<Node>,
        name: String,
        optional: bool,
    },
    /// `of[index]`, or `of[?index]` when optional.
    Index {
        of: Box<Node>,
        index: Box<Node>,
        optional: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// `has(a.b)`: the argument is a field.
    Has(Box<Node>),
    /// `all(a.b)`: the field as a list, whether it is missing, there once or repeated.
    Every(Box<Node>),
    Call {
        function: &'static Function,
        args: Vec<Node>,
    },
    /// `list.map(x, body)` and its siblings.
    Each {
        kind: EachKind,
        list: Box<Node>,
        name: String,
        body: Box<Node>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Operator {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EachKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl EachKind {
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("all", Self::All),
        ("exists", Self::Exists),
        ("exists_one", Self::ExistsOne),
        ("map", Self::Map),
        ("filter", Self::Filter),
    ];
}

impl Node {
    /// The path that the node spells, for messages: `body.ordine.ente`; `the value` if it spells none.
    pub(crate) fn path(&self) -> String {
        match &self.expr {
            Expr::Name(name) => name.clone(),
            Expr::Field { of, name, .. } => format!("{}.{name}", of.path()),
            Expr::Index { of, index, .. } => match &index.expr {
                Expr::Text(key) => format!("{}[\"{key}\"]", of.path()),
                Expr::Number(n) => format!("{}[{n}]", of.path()),
                _ => format!("{}[...]", of.path()),
            },
            Expr::Call { function, .. } => format!("{}(...)", function.name),
            _ => "the value".into(),
        }
    }

    /// Calls `visit` for each direct child.
    pub(crate) fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match &self.expr {
            Expr::Null | Expr::Bool(_) | Expr::Number(_) | Expr::Text(_) | Expr::Name(_) => {}
            Expr::Field { of: one, .. } | Expr::Not(one) | Expr::Negate(one) | Expr::Has(one) | Expr::Every(one) => {
                visit(one)
            }
            Expr::Index { of: a, index: b, .. }
            | Expr::And(a, b)
            | Expr::Or(a, b)
            | Expr::Binary(_, a, b)
            | Expr::Each { list: a, body: b, .. } => {
                visit(a);
                visit(b);
            }
            Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|node| visit(node)),
            Expr::List(items) | Expr::Call { args: items, .. } => items.iter().for_each(visit),
            Expr::Map(entries) => entries.iter().for_each(|(key, value)| {
                visit(key);
                visit(value);
            }),
        }
    }
}
