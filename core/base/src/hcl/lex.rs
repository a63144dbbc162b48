//! Cuts a text into words, texts, numbers and signs.

use serde_json::Number;

use super::Mistake;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, or `true`, `false` and `null`.
    Word(&'a str),
    /// A string or heredoc: what it says.
    Text(String),
    Number(Number),
    /// Punctuation, or any other character: the grammar refuses what it does not know.
    Sign(char),
    End,
}

impl Token<'_> {
    /// How a message names it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Text(_) => "a string".into(),
            Self::Number(number) => format!("`{number}`"),
            Self::Sign(sign) => format!("`{}`", sign.escape_debug()),
            Self::End => "the end of the text".into(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Where the rest begins.
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and the byte it starts at.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), Mistake> {
        self.skip_blank()?;
        let start = self.at;
        let rest = self.rest();
        let digit = |it: &str| it.starts_with(|it: char| it.is_ascii_digit());
        let token = match rest.chars().next() {
            None => Token::End,
            Some('"') => Token::Text(self.string()?),
            Some('<') if rest.starts_with("<<") => Token::Text(self.heredoc()?),
            Some(_) if digit(rest.strip_prefix('-').unwrap_or(rest)) => {
                Token::Number(self.number()?)
            }
            Some(it) if it.is_alphabetic() || it == '_' => Token::Word(self.take(is_word)),
            Some(it) => {
                self.at += it.len_utf8();
                Token::Sign(it)
            }
        };
        Ok((start, token))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Whether the rest starts with `prefix`, which is then taken.
    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|it| !wanted(it)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn char(&mut self) -> Option<char> {
        let it = self.rest().chars().next()?;
        self.at += it.len_utf8();
        Some(it)
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), Mistake> {
        loop {
            self.take(char::is_whitespace);
            let start = self.at;
            if self.eat("#") || self.eat("//") {
                self.take(|it| it != '\n');
            } else if self.eat("/*") {
                let length = self.rest().find("*/");
                let length =
                    length.ok_or_else(|| Mistake::new(start, "expected `*/` after `/*`"))?;
                self.at += length + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn string(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        let open = || Mistake::new(start, "expected a closing `\"` on the line of the string");
        let mut out = String::new();
        self.at += 1;
        loop {
            out.push_str(self.take(|it| !matches!(it, '"' | '\\' | '$' | '\n')));
            if self.rest().starts_with("${") {
                out.push_str(self.interpolation()?);
                continue;
            }
            match self.char().ok_or_else(open)? {
                '"' => return Ok(out),
                '\n' => return Err(open()),
                '\\' => out.push(self.escaped()?),
                it => out.push(it),
            }
        }
    }

    /// `${…}` up to the brace that closes it, whatever stands inside.
    fn interpolation(&mut self) -> Result<&'a str, Mistake> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.char() {
                Some('{') => depth += 1,
                Some('}') if depth == 1 => return Ok(&self.text[start..self.at]),
                Some('}') => depth -= 1,
                Some(_) => {}
                None => return Err(Mistake::new(start, "expected a closing `}` after `${`")),
            }
        }
    }

    /// The character that stands for the escape whose backslash was just read.
    fn escaped(&mut self) -> Result<char, Mistake> {
        let start = self.at - 1;
        let digits = match self.char() {
            Some(it @ ('"' | '\\')) => return Ok(it),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('u') => 4,
            Some('U') => 8,
            _ => {
                let what = "expected one of `\\\"`, `\\\\`, `\\n`, `\\r`, `\\t`, `\\u`, `\\U`";
                return Err(Mistake::new(start, what));
            }
        };
        let code =
            self.rest().get(..digits).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        let code = code.and_then(|it| u32::from_str_radix(it, 16).ok()).and_then(char::from_u32);
        let code = code.ok_or_else(|| {
            Mistake::new(start, format!("expected a character's number in {digits} hex digits"))
        })?;
        self.at += digits;
        Ok(code)
    }

    /// The lines between `<<MARK` and `MARK`. Lines end in `\n` whatever they end in in the file.
    fn heredoc(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        self.at += 2;
        let indented = self.eat("-");
        let mark = self.take(is_word);
        if mark.is_empty() || !(self.eat("\n") || self.eat("\r\n")) {
            return Err(Mistake::new(
                self.at,
                "expected a word and the end of the line after `<<`",
            ));
        }
        let mut lines = Vec::new();
        loop {
            let line = self.take(|it| it != '\n');
            let line = line.strip_suffix('\r').unwrap_or(line);
            let margin = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
            if &line[margin.len()..] == mark {
                return Ok(joined(&lines, if indented { margin } else { "" }));
            }
            lines.push(line);
            if !self.eat("\n") {
                return Err(Mistake::new(
                    start,
                    format!("expected a line `{mark}` after this one"),
                ));
            }
        }
    }

    fn number(&mut self) -> Result<Number, Mistake> {
        let start = self.at;
        self.eat("-");
        let hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        self.take(is_number);
        let exponent = self.text[..self.at].ends_with(['e', 'E']);
        if !hex && exponent && (self.eat("-") || self.eat("+")) {
            self.take(is_number);
        }
        let word = &self.text[start..self.at];
        number(word).ok_or_else(|| {
            Mistake::new(start, format!("expected a number of at most 64 bits, found `{word}`"))
        })
    }
}

fn is_word(it: char) -> bool {
    it.is_alphanumeric() || matches!(it, '_' | '.' | '-')
}

fn is_number(it: char) -> bool {
    it.is_alphanumeric() || matches!(it, '_' | '.')
}

/// `lines` without `margin`, if they all have it.
fn joined(lines: &[&str], margin: &str) -> String {
    let margin = if lines.iter().all(|it| it.starts_with(margin)) { margin.len() } else { 0 };
    lines.iter().flat_map(|it| [&it[margin..], "\n"]).collect()
}

/// Decimal, `0x` hexadecimal, octal after a zero, or with a fraction or exponent.
fn number(word: &str) -> Option<Number> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let (radix, digits) = match digits.strip_prefix('0') {
        Some(rest) if rest.starts_with(['x', 'X']) => (16, &rest[1..]),
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    if digits.bytes().all(|it| it.is_ascii_digit()) || radix == 16 {
        let size = i128::from_str_radix(digits, radix).ok()?;
        let number = if word.starts_with('-') { -size } else { size };
        return i64::try_from(number)
            .map(Into::into)
            .or_else(|_| u64::try_from(number).map(Into::into))
            .ok();
    }
    // Rust is content with `1.` too.
    let whole = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let mantissa = word.split(['e', 'E']).next()?.trim_start_matches('-');
    if !mantissa.split('.').all(whole) {
        return None;
    }
    Number::from_f64(word.parse().ok()?)
}
