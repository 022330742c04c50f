//! Text to tokens, with positions.

use rust_decimal::Decimal;

use super::ast::Range;
use super::compile::Mistake;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Number(Decimal),
    Text(String),
    /// A name, or a keyword.
    Word(String),
    /// A name in backticks: only as a field.
    Quoted(String),
    Sign(&'static str),
    End,
}

/// Longest first.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "[?", ".?", "(", ")", "[", "]", "{", "}", ",", ":", "?", ".", "+", "-", "*",
    "/", "%", "<", ">", "!",
];

/// Cuts the text into tokens; the last one is [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, Range)>, Mistake> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = lexer.next()?;
        let done = token == Token::End;
        out.push((token, Range::new(start, lexer.at)));
        if done {
            return Ok(out);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_space(&mut self) {
        loop {
            let _ = self.take_while(char::is_whitespace);
            if !self.rest().starts_with("//") {
                return;
            }
            let _ = self.take_while(|c| c != '\n');
        }
    }

    fn next(&mut self) -> Result<Token, Mistake> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        match first {
            '0'..='9' => self.number(),
            '\'' | '"' => self.string(false),
            'r' | 'R' if self.rest()[1..].starts_with(['\'', '"']) => {
                self.at += 1;
                self.string(true)
            }
            'b' | 'B' if self.rest()[1..].starts_with(['\'', '"']) => {
                Err(self.mistake(1, "byte strings are not supported", "write text: `'...'`"))
            }
            '`' => self.backticks(),
            c if c.is_alphabetic() || c == '_' => {
                Ok(Token::Word(self.take_while(|c| c.is_alphanumeric() || c == '_').to_string()))
            }
            _ => self.sign(first),
        }
    }

    fn sign(&mut self, first: char) -> Result<Token, Mistake> {
        if let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        let hint = match first {
            '=' => "compare with `==`",
            '&' => "write `&&` for `and`",
            '|' => "write `||` for `or`",
            '$' => "fields are written without `$`, for example `body.importo`",
            '@' => "an attribute is written `x[\"@name\"]`",
            _ => "text stands in quotes, for example `'abc'`",
        };
        Err(self.mistake(first.len_utf8(), &format!("`{first}` has no meaning here"), hint))
    }

    fn number(&mut self) -> Result<Token, Mistake> {
        let start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let value = i64::from_str_radix(digits, 16).map_err(|_| self.bad_number(start))?;
            return Ok(Token::Number(value.into()));
        }
        let whole = self.take_while(|c| c.is_ascii_digit());
        self.no_float(start)?;
        let value = Decimal::from_str_exact(whole).map_err(|_| self.bad_number(start))?;
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
        }
        if self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            let _ = self.take_while(|c| c.is_alphanumeric() || c == '_');
            return Err(self.bad_number(start));
        }
        Ok(Token::Number(value))
    }

    /// CEL reads `1.5` as a binary float; money must never meet one, so the literal is refused altogether.
    fn no_float(&mut self, start: usize) -> Result<(), Mistake> {
        let rest = self.rest();
        let fraction = rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        let after = rest.trim_start_matches(['e', 'E']).trim_start_matches(['+', '-']);
        let exponent = rest.starts_with(['e', 'E']) && after.starts_with(|c: char| c.is_ascii_digit());
        if !fraction && !exponent {
            return Ok(());
        }
        let _ = self.take_while(|c| c.is_ascii_alphanumeric() || c == '.');
        let text = &self.text[start..self.at];
        Err(Mistake {
            code: "expression-float",
            range: Range::new(start, self.at),
            message: format!("`{text}` is a binary float, and amounts are exact decimals"),
            hint: Some(format!("write `decimal('{text}')`")),
        })
    }

    fn bad_number(&self, start: usize) -> Mistake {
        let range = Range::new(start, self.at);
        let message = format!("`{}` is not a number that can be read exactly", &self.text[start..self.at]);
        Mistake::syntax(range, message, "write at most 28 digits, or text in quotes")
    }

    fn backticks(&mut self) -> Result<Token, Mistake> {
        let inner = &self.rest()[1..];
        let Some(length) = inner.find('`').filter(|length| *length > 0) else {
            return Err(self.mistake(self.rest().len(), "the backtick is not closed", "write for example x.`@name`"));
        };
        self.at += length + 2;
        Ok(Token::Quoted(inner[..length].to_string()))
    }

    fn string(&mut self, raw: bool) -> Result<Token, Mistake> {
        let start = self.at;
        let rest = self.rest();
        let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|q| rest.starts_with(q)).unwrap_or("'");
        self.at += quote.len();
        let mut out = String::new();
        loop {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text(out));
            }
            match self.peek() {
                None | Some('\n') if quote.len() == 1 => return Err(self.unclosed(start)),
                None => return Err(self.unclosed(start)),
                Some('\\') if !raw => out.push(self.escape()?),
                Some(c) => {
                    self.at += c.len_utf8();
                    out.push(c);
                }
            }
        }
    }

    fn unclosed(&mut self, start: usize) -> Mistake {
        let range = Range::new(start, self.text.trim_end().len().max(start + 1));
        self.at = self.text.len();
        Mistake::syntax(range, "the text is not closed", "close it with the quote it began with")
    }

    fn escape(&mut self) -> Result<char, Mistake> {
        let start = self.at;
        self.at += 1;
        let kind = self.peek().unwrap_or('\\');
        self.at += kind.len_utf8().min(self.rest().len());
        let plain = match kind {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => kind,
            'x' | 'X' => return self.code_point(start, 2, 16),
            'u' => return self.code_point(start, 4, 16),
            'U' => return self.code_point(start, 8, 16),
            '0'..='3' => {
                self.at -= 1;
                return self.code_point(start, 3, 8);
            }
            _ => return Err(self.bad_escape(start)),
        };
        Ok(plain)
    }

    fn code_point(&mut self, start: usize, digits: usize, radix: u32) -> Result<char, Mistake> {
        let code = self.rest().get(..digits).and_then(|text| u32::from_str_radix(text, radix).ok());
        let found = code.and_then(char::from_u32);
        self.at = (self.at + digits).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        found.ok_or_else(|| self.bad_escape(start))
    }

    fn bad_escape(&self, start: usize) -> Mistake {
        let message = format!("`{}` is not an escape", &self.text[start..self.at]);
        Mistake::syntax(Range::new(start, self.at), message, "write `\\\\` for a backslash, or a raw text: `r'...'`")
    }

    fn mistake(&self, length: usize, message: &str, hint: &str) -> Mistake {
        Mistake::syntax(Range::new(self.at, self.at + length), message, hint)
    }
}
