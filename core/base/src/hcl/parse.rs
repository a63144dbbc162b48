//! The grammar.
//!
//! ```text
//! document = { item }
//! item     = name ( "=" | ":" ) value [ "," ]
//!          | name { name } object [ "," ]
//! name     = WORD | TEXT
//! value    = "true" | "false" | "null" | TEXT | NUMBER | list | object
//! list     = "[" [ value { "," value } [ "," ] ] "]"
//! object   = "{" { item } "}"
//! ```

use serde_json::Value;

use super::Mistake;
use super::body::Body;
use super::lex::{Lexer, Token};

/// How many lists, objects and labels may nest. No file needs as many; a hostile one may not
/// exhaust the stack.
const DEPTH_MAX: usize = 64;

pub(super) fn document(text: &str) -> Result<Value, Mistake> {
    let mut lexer = Lexer::new(text);
    let (at, token) = lexer.next()?;
    let mut parser = Parser { lexer, at, token };
    let body = parser.items(0)?;
    if parser.token == Token::End {
        Ok(body.into_value())
    } else {
        Err(parser.expected("a name or the end of the text"))
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token to look at next, and where it starts.
    token: Token<'a>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// Items as long as there is a name.
    fn items(&mut self, depth: usize) -> Result<Body, Mistake> {
        let mut body = Body::default();
        while let Some(name) = self.name()? {
            self.item(name, &mut body, depth)?;
            self.eat(',')?;
        }
        Ok(body)
    }

    fn item(&mut self, name: String, body: &mut Body, depth: usize) -> Result<(), Mistake> {
        if self.eat('=')? || self.eat(':')? {
            body.set(name, self.value(depth)?);
            return Ok(());
        }
        let mut labels = Vec::new();
        while let Some(label) = self.name()? {
            labels.push(label);
        }
        if self.token != Token::Sign('{') {
            return Err(self.expected(if labels.is_empty() { "`=` or `{`" } else { "`{`" }));
        }
        let block = self.object(depth + labels.len())?;
        body.add(name, labels.into_iter(), block);
        Ok(())
    }

    fn name(&mut self) -> Result<Option<String>, Mistake> {
        if !matches!(self.token, Token::Word(_) | Token::Text(_)) {
            return Ok(None);
        }
        match self.advance()? {
            Token::Word(word) => Ok(Some(word.to_owned())),
            Token::Text(text) => Ok(Some(text)),
            Token::Number(_) | Token::Sign(_) | Token::End => unreachable!("looked at it above"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Mistake> {
        let value = match &mut self.token {
            Token::Sign('[') => return self.list(depth),
            Token::Sign('{') => return self.object(depth),
            Token::Word("true") => Value::Bool(true),
            Token::Word("false") => Value::Bool(false),
            Token::Word("null") => Value::Null,
            Token::Text(text) => Value::String(std::mem::take(text)),
            Token::Number(number) => Value::Number(number.clone()),
            Token::Word(_) | Token::Sign(_) | Token::End => return Err(self.expected("a value")),
        };
        self.advance()?;
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.open(depth)?;
        let mut items = Vec::new();
        while !self.eat(']')? {
            items.push(self.value(depth + 1)?);
            if !self.eat(',')? && self.token != Token::Sign(']') {
                return Err(self.expected("`,` or `]`"));
            }
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.open(depth)?;
        let body = self.items(depth + 1)?;
        if self.eat('}')? { Ok(body.into_value()) } else { Err(self.expected("a name or `}`")) }
    }

    /// Take the bracket that opens a list or an object inside `depth` others.
    fn open(&mut self, depth: usize) -> Result<(), Mistake> {
        if DEPTH_MAX <= depth {
            return Err(Mistake::new(self.at, format!("expected at most {DEPTH_MAX} levels")));
        }
        self.advance().map(drop)
    }

    fn eat(&mut self, sign: char) -> Result<bool, Mistake> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn advance(&mut self) -> Result<Token<'a>, Mistake> {
        let (at, token) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn expected(&self, what: &str) -> Mistake {
        Mistake::new(self.at, format!("expected {what}, found {}", self.token.describe()))
    }
}
