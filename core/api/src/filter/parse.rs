//! Text to expression.

use regex::RegexBuilder;

use super::{DEPTH_MAX, Expression, FilterError, TEXT_LEN_MAX, Test};

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    if TEXT_LEN_MAX < text.len() {
        return Err(FilterError::TooLarge);
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expression = parser.expression()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.expected("\"and\", \"or\" or the end"));
    }
    Ok(expression)
}

struct Parser<'a> {
    text: &'a str,
    /// Invariant: on a character's boundary.
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Expression, FilterError> {
        let mut operands = vec![self.conjunction()?];
        while self.keyword("or") {
            operands.push(self.conjunction()?);
        }
        Ok(one_or(operands, Expression::Or))
    }

    fn conjunction(&mut self) -> Result<Expression, FilterError> {
        let mut operands = vec![self.negation()?];
        while self.keyword("and") {
            operands.push(self.negation()?);
        }
        Ok(one_or(operands, Expression::And))
    }

    fn negation(&mut self) -> Result<Expression, FilterError> {
        let negated = self.keyword("not");
        if !negated && !self.symbol("(") {
            return self.comparison();
        }
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(FilterError::TooLarge);
        }
        let expression = if negated {
            Expression::Not(Box::new(self.negation()?))
        } else {
            let inner = self.expression()?;
            if !self.symbol(")") {
                return Err(self.expected("\"and\", \"or\" or \")\""));
            }
            inner
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, FilterError> {
        self.skip_space();
        let start = self.at;
        // A word may be a selector or a value; what follows it decides.
        let selector = if self.at_word() { Some(self.selector()?) } else { None };
        let value = match &selector {
            Some(_) => self.text[start..self.at].to_owned(),
            None => self.value()?,
        };
        let negated = self.keyword("not");
        if self.keyword("in") {
            self.skip_space();
            let selector = self.selector()?;
            let test = if negated { Test::NotContains(value) } else { Test::Contains(value) };
            return Ok(Expression::Match { selector, test });
        }
        let Some(selector) = selector else { return Err(self.expected("\"in\" or \"not in\"")) };
        let test = self.test(negated)?;
        Ok(Expression::Match { selector, test })
    }

    /// What follows a selector, and `not` if there is one.
    fn test(&mut self, negated: bool) -> Result<Test, FilterError> {
        if self.keyword("contains") {
            let value = self.value()?;
            return Ok(if negated { Test::NotContains(value) } else { Test::Contains(value) });
        }
        if self.keyword("matches") {
            let value = self.value()?;
            let regex = RegexBuilder::new(&value).size_limit(REGEX_SIZE_MAX).build();
            let regex = regex.map_err(|error| FilterError::Regex(error.to_string()))?;
            return Ok(if negated { Test::NotMatches(regex) } else { Test::Matches(regex) });
        }
        if negated {
            return Err(self.expected("\"in\", \"contains\" or \"matches\""));
        }
        if self.symbol("==") {
            return Ok(Test::Equal(self.value()?));
        }
        if self.symbol("!=") {
            return Ok(Test::NotEqual(self.value()?));
        }
        if self.keyword("is") {
            let negated = self.keyword("not");
            if !self.keyword("empty") {
                return Err(self.expected("\"empty\""));
            }
            return Ok(if negated { Test::NotEmpty } else { Test::Empty });
        }
        Err(self.expected("\"!=\", \"==\", \"contains\", \"in\", \"is\", \"matches\" or \"not\""))
    }

    fn selector(&mut self) -> Result<Vec<String>, FilterError> {
        let mut parts = vec![self.word()?];
        loop {
            if self.take('.') {
                parts.push(self.key()?);
            } else if self.take('[') {
                parts.push(self.quoted()?);
                if !self.take(']') {
                    return Err(self.expected("\"]\""));
                }
            } else {
                return Ok(parts);
            }
        }
    }

    fn value(&mut self) -> Result<String, FilterError> {
        self.skip_space();
        match self.peek() {
            Some('"' | '`') => self.quoted(),
            Some('-' | '0'..='9') => self.number(),
            Some(it) if it.is_ascii_alphabetic() => {
                let start = self.at;
                self.word()?;
                while self.take('.') {
                    self.key()?;
                }
                Ok(self.text[start..self.at].to_owned())
            }
            _ => Err(self.expected("a quoted text, a number or a word")),
        }
    }

    /// A text in quotes, with escapes, or in backquotes, as it stands.
    fn quoted(&mut self) -> Result<String, FilterError> {
        if self.take('`') {
            let rest = &self.text[self.at..];
            let Some(len) = rest.find('`') else { return Err(self.expected("\"`\"")) };
            self.at += len + 1;
            return Ok(rest[..len].to_owned());
        }
        if !self.take('"') {
            return Err(self.expected("a quoted text"));
        }
        let mut text = String::new();
        loop {
            let Some(it) = self.peek() else { return Err(self.expected("\"\\\"\"")) };
            self.at += it.len_utf8();
            match it {
                '"' => return Ok(text),
                '\\' => {
                    let escaped = self.peek().ok_or_else(|| self.expected("an escape"))?;
                    self.at += escaped.len_utf8();
                    text.push(match escaped {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        other => other,
                    });
                }
                other => text.push(other),
            }
        }
    }

    fn number(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        self.take('-');
        self.digits()?;
        if self.take('.') {
            self.digits()?;
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn digits(&mut self) -> Result<(), FilterError> {
        let rest = &self.text[self.at..];
        let len = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
        self.at += len;
        if len == 0 { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn at_word(&self) -> bool {
        self.peek().is_some_and(|it| it.is_ascii_alphabetic())
    }

    /// A name: a letter, then letters, digits and underscores.
    fn word(&mut self) -> Result<String, FilterError> {
        if self.at_word() { self.key() } else { Err(self.expected("\"(\", \"not\" or a selector")) }
    }

    /// The rest of a name.
    fn key(&mut self) -> Result<String, FilterError> {
        let rest = &self.text[self.at..];
        let len = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.expected("a name"));
        }
        self.at += len;
        Ok(rest[..len].to_owned())
    }

    /// Whether `word` comes next, as a whole; if so, it is read.
    fn keyword(&mut self, word: &str) -> bool {
        let before = self.at;
        self.skip_space();
        let rest = &self.text[self.at..];
        let next = rest.strip_prefix(word).map(|it| it.chars().next());
        let found = next.is_some_and(|it| !it.is_some_and(is_word));
        self.at = if found { self.at + word.len() } else { before };
        found
    }

    /// Whether `symbol` comes next; if so, it is read.
    fn symbol(&mut self, symbol: &str) -> bool {
        let before = self.at;
        self.skip_space();
        let found = self.text[self.at..].starts_with(symbol);
        self.at = if found { self.at + symbol.len() } else { before };
        found
    }

    fn take(&mut self, it: char) -> bool {
        let found = self.peek() == Some(it);
        self.at += if found { it.len_utf8() } else { 0 };
        found
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        FilterError::Syntax { at: self.at, expected }
    }
}

fn is_word(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '_'
}

/// The operand if there is one only, else all of them under `join`.
fn one_or(mut operands: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match operands.len() {
        1 => operands.remove(0),
        _ => join(operands),
    }
}

/// The memory that one regular expression may take, in bytes.
const REGEX_SIZE_MAX: usize = 1 << 20;
