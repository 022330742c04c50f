//! Tokens to tree: the grammar of CEL, by precedence, with limits.

use super::ast::{EachKind, Expr, Node, Operator, Range};
use super::exact;
use super::functions;
use super::lexer::{Token, tokens};
use super::loops::check_loops;

/// Longest expression, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// Deepest tree.
const DEPTH_MAX: usize = 100;
/// Deepest nesting of brackets and unary operators while reading.
const NESTING_MAX: usize = 40;
/// A mistake in an expression's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) code: &'static str,
    pub(crate) range: Range,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Mistake {
    pub(crate) fn new(code: &'static str, range: Range, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, range, message: message.into(), hint: Some(hint.into()) }
    }

    pub(crate) fn syntax(range: Range, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new("expression-syntax", range, message, hint)
    }
}

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Node, Mistake> {
    let whole = Range::new(0, text.len());
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the expression has {} bytes, at most {TEXT_BYTES_MAX} are allowed", text.len());
        return Err(Mistake::new("expression-too-long", whole, message, "compute parts of it with `set`"));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nesting: 0, text };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => check_loops(&node, 0).map(|()| node),
        _ => Err(parser.unexpected("the end of the expression")),
    }
}

struct Parser<'a> {
    tokens: Vec<(Token, Range)>,
    at: usize,
    nesting: usize,
    text: &'a str,
}

/// Operators by precedence, weakest first; all associate to the left.
const LEVELS: [&[(&str, Operator)]; 3] = [
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn range(&self) -> Range {
        self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn advance(&mut self) -> (Token, Range) {
        let token = (self.peek().clone(), self.range());
        self.at += 1;
        token
    }

    fn accept(&mut self, sign: &str) -> Option<Range> {
        let range = self.range();
        let hit = matches!(self.peek(), Token::Sign(s) if *s == sign);
        hit.then(|| {
            self.at += 1;
            range
        })
    }

    fn expect(&mut self, sign: &str, opened: &str) -> Result<Range, Mistake> {
        self.accept(sign).ok_or_else(|| self.unexpected(&format!("`{sign}` after {opened}")))
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let range = self.range();
        let (found, hint) = match self.peek() {
            Token::End => ("the expression ends too early".to_string(), format!("{wanted} is missing")),
            Token::Sign("?") => ("`?` cannot stand here".into(), "write `condition ? this : that`".into()),
            Token::Word(_) | Token::Text(_) | Token::Number(_) => (
                format!("`{}` cannot stand here", &self.text[range.start..range.end]),
                format!("expected {wanted}; an operator such as `+` or `==` may be missing before it"),
            ),
            _ => (format!("`{}` cannot stand here", &self.text[range.start..range.end]), format!("expected {wanted}")),
        };
        Mistake::syntax(self.visible(range), found, hint)
    }

    /// The end of the text has no width: points at its last character.
    fn visible(&self, range: Range) -> Range {
        let end = self.text.trim_end().len();
        if range.start < end || end == 0 {
            return range;
        }
        let last = self.text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        Range::new(last, end)
    }

    fn node(&self, range: Range, focus: Range, expr: Expr) -> Result<Node, Mistake> {
        let mut node = Node { range, focus, depth: 0, expr };
        let mut deepest = 0;
        node.children(&mut |child| deepest = deepest.max(child.depth));
        node.depth = deepest + 1;
        if node.depth > DEPTH_MAX { Err(self.too_deep(range)) } else { Ok(node) }
    }

    fn too_deep(&self, range: Range) -> Mistake {
        Mistake::new("expression-depth", range, "the expression is nested too deeply", "compute parts of it with `set`")
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.nesting >= NESTING_MAX {
            return Err(self.too_deep(self.range()));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    fn expression(&mut self) -> Result<Node, Mistake> {
        self.nested(|p| {
            let condition = p.or()?;
            let Some(sign) = p.accept("?") else { return Ok(condition) };
            let then = p.or()?;
            let _ = p.expect(":", "`condition ? this`")?;
            let other = p.expression()?;
            p.node(
                condition.range.to(other.range),
                sign,
                Expr::If(Box::new(condition), Box::new(then), Box::new(other)),
            )
        })
    }

    fn or(&mut self) -> Result<Node, Mistake> {
        let mut left = self.and()?;
        while let Some(sign) = self.accept("||") {
            let right = self.and()?;
            left = self.node(left.range.to(right.range), sign, Expr::Or(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, Mistake> {
        let mut left = self.binary(0)?;
        while let Some(sign) = self.accept("&&") {
            let right = self.binary(0)?;
            left = self.node(left.range.to(right.range), sign, Expr::And(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn binary(&mut self, level: usize) -> Result<Node, Mistake> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some((operator, sign)) = self.operator(operators) {
            let right = self.binary(level + 1)?;
            let range = left.range.to(right.range);
            left = self.node(range, sign, Expr::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<(Operator, Range)> {
        let word = match self.peek() {
            Token::Sign(sign) => (*sign).to_string(),
            Token::Word(word) => word.clone(),
            _ => return None,
        };
        let (_, operator) = operators.iter().find(|(sign, _)| *sign == word)?;
        let (_, range) = self.advance();
        Some((*operator, range))
    }

    fn unary(&mut self) -> Result<Node, Mistake> {
        if let Some(sign) = self.accept("!") {
            let of = self.nested(Self::unary)?;
            return self.node(sign.to(of.range), sign, Expr::Not(Box::new(of)));
        }
        if let Some(sign) = self.accept("-") {
            let of = self.nested(Self::unary)?;
            let range = sign.to(of.range);
            let expr = match of.expr {
                Expr::Number(n) => Expr::Number(exact::unsigned_zero(-n)),
                _ => Expr::Negate(Box::new(of)),
            };
            return self.node(range, sign, expr);
        }
        self.member()
    }

    fn member(&mut self) -> Result<Node, Mistake> {
        let mut node = self.primary()?;
        loop {
            node = if self.accept(".").is_some() {
                self.field(node, false)?
            } else if self.accept(".?").is_some() {
                self.field(node, true)?
            } else if let Some(open) = self.accept("[") {
                self.index(node, open, false)?
            } else if let Some(open) = self.accept("[?") {
                self.index(node, open, true)?
            } else {
                return Ok(node);
            };
        }
    }

    fn field(&mut self, of: Node, optional: bool) -> Result<Node, Mistake> {
        let (name, range) = match self.advance() {
            (Token::Word(name), range) => (name, range),
            (Token::Quoted(name), range) => (name, range),
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a field's name after `.`"));
            }
        };
        if !optional && self.accept("(").is_some() {
            return self.method(of, &name, range);
        }
        self.node(of.range.to(range), range, Expr::Field { of: Box::new(of), name, optional })
    }

    fn index(&mut self, of: Node, open: Range, optional: bool) -> Result<Node, Mistake> {
        let index = self.expression()?;
        let close = self.expect("]", "the index")?;
        let range = of.range.to(close);
        self.node(range, open.to(close), Expr::Index { of: Box::new(of), index: Box::new(index), optional })
    }

    fn arguments(&mut self) -> Result<(Vec<Node>, Range), Mistake> {
        self.items(")", "the arguments", Self::expression)
    }

    fn items<T>(
        &mut self,
        close: &'static str,
        what: &str,
        read: impl Fn(&mut Self) -> Result<T, Mistake>,
    ) -> Result<(Vec<T>, Range), Mistake> {
        let mut items = Vec::new();
        loop {
            if let Some(end) = self.accept(close) {
                return Ok((items, end));
            }
            items.push(read(self)?);
            if self.accept(",").is_none() {
                let end = self.expect(close, what)?;
                return Ok((items, end));
            }
        }
    }

    fn method(&mut self, of: Node, name: &str, at: Range) -> Result<Node, Mistake> {
        let (mut args, close) = self.arguments()?;
        let range = of.range.to(close);
        let each = EachKind::NAMES.iter().find(|(n, _)| *n == name).map(|(_, kind)| *kind);
        match each {
            Some(kind) => self.each(kind, of, args, (range, at)),
            None => {
                args.insert(0, of);
                self.call(name, args, range, at)
            }
        }
    }

    fn each(
        &self,
        kind: EachKind,
        list: Node,
        mut args: Vec<Node>,
        (range, at): (Range, Range),
    ) -> Result<Node, Mistake> {
        let usage = |p: &Self| {
            let name = &p.text[at.start..at.end];
            let message = format!("`{name}` takes a name and an expression");
            Mistake::new(
                "expression-arguments",
                at,
                message,
                format!("write for example `body.righe.{name}(r, r.importo)`"),
            )
        };
        let body = args.pop().ok_or_else(|| usage(self))?;
        match (args.pop().map(|node| node.expr), args.is_empty()) {
            (Some(Expr::Name(name)), true) => {
                self.node(range, at, Expr::Each { kind, list: Box::new(list), name, body: Box::new(body) })
            }
            _ => Err(usage(self)),
        }
    }

    fn call(&self, name: &str, mut args: Vec<Node>, range: Range, at: Range) -> Result<Node, Mistake> {
        if let ("has" | "all", 1) = (name, args.len()) {
            let field = args.remove(0);
            if !matches!(field.expr, Expr::Field { .. } | Expr::Index { .. }) {
                let message = format!("`{name}` takes a field");
                let hint = format!("write for example `{name}(body.riga)`");
                return Err(Mistake::new("expression-arguments", field.range, message, hint));
            }
            let field = Box::new(field);
            return self.node(range, at, if name == "has" { Expr::Has(field) } else { Expr::Every(field) });
        }
        let function = functions::find(name, at)?;
        functions::check(function, &args, at)?;
        self.node(range, at, Expr::Call { function, args })
    }

    fn primary(&mut self) -> Result<Node, Mistake> {
        let (token, range) = self.advance();
        match token {
            Token::Number(n) => self.node(range, range, Expr::Number(n)),
            Token::Text(text) => self.node(range, range, Expr::Text(text)),
            Token::Word(word) => self.word(word, range),
            Token::Sign("(") => {
                let inner = self.expression()?;
                let close = self.expect(")", "the bracket")?;
                Ok(Node { range: range.to(close), ..inner })
            }
            Token::Sign("[") => {
                let (items, close) = self.items("]", "the list", Self::expression)?;
                self.node(range.to(close), range.to(close), Expr::List(items))
            }
            Token::Sign("{") => {
                let (entries, close) = self.items("}", "the map", Self::entry)?;
                self.node(range.to(close), range.to(close), Expr::Map(entries))
            }
            _ => {
                self.at -= 1;
                Err(self.unexpected("a value: a name, a number, text in quotes or `(`"))
            }
        }
    }

    fn entry(&mut self) -> Result<(Node, Node), Mistake> {
        let key = self.expression()?;
        let _ = self.expect(":", "the key")?;
        Ok((key, self.expression()?))
    }

    fn word(&mut self, word: String, range: Range) -> Result<Node, Mistake> {
        if self.accept("(").is_some() {
            let (args, close) = self.arguments()?;
            return self.call(&word, args, range.to(close), range);
        }
        let expr = match word.as_str() {
            "true" => Expr::Bool(true),
            "false" => Expr::Bool(false),
            "null" => Expr::Null,
            "in" => {
                self.at -= 1;
                return Err(self.unexpected("a value before `in`"));
            }
            _ => Expr::Name(word),
        };
        self.node(range, range, expr)
    }
}
