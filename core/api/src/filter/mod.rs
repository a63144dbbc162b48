//! The filter language of `?filter=`: expressions that rows of an answer must satisfy.
//!
//! ```text
//!   expression = conjunction { "or" conjunction }
//!   conjunction = negation { "and" negation }
//!   negation   = "not" negation | "(" expression ")" | match
//!   match      = selector ( "==" | "!=" ) value
//!              | selector "is" [ "not" ] "empty"
//!              | selector [ "not" ] ( "contains" | "matches" ) value
//!              | value [ "not" ] "in" selector
//!   selector   = word { "." word | '["' text '"]' }
//!   value      = '"' text '"' | "`" text "`" | number | word { "." word }
//! ```
//!
//! A selector names a field as the answer shows it. Where it leads through a list of structures,
//! one element that satisfies the match is enough.

mod eval;
mod parse;
mod row;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use regex::Regex;

pub(crate) use row::{Row, Rows, Value};

/// An expression that rows must satisfy. Equal if written alike.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    expression: Arc<Expression>,
}

/// Why a text is no filter. The client's fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// Something else should stand there.
    #[error("1:{} ({at}): no match found, expected: {expected}", at + 1)]
    Syntax {
        /// How many bytes in.
        at: usize,
        /// What should.
        expected: &'static str,
    },
    /// Deeper or longer than anybody needs.
    #[error("the expression is longer than {TEXT_LEN_MAX} bytes or nested deeper than {DEPTH_MAX}")]
    TooLarge,
    /// The rows have no such field.
    #[error("Selector {0:?} is not valid")]
    Selector(String),
    /// The field cannot be asked that.
    #[error("{operator:?} makes no sense for selector {selector:?}")]
    Operator {
        /// What is asked.
        operator: &'static str,
        /// Of which field.
        selector: String,
    },
    /// The field is a number or a truth value, and this is none.
    #[error("{value:?} is no value for selector {selector:?}")]
    Value {
        /// What it is compared with.
        value: String,
        /// Which field.
        selector: String,
    },
    /// Not a regular expression, or too large a one.
    #[error("{0}")]
    Regex(String),
}

/// The bytes an expression may have.
pub const TEXT_LEN_MAX: usize = 16 << 10;
/// How deep parentheses and negations may be nested.
pub const DEPTH_MAX: usize = 64;

#[derive(Debug)]
enum Expression {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Match { selector: Vec<String>, test: Test },
}

/// What is asked of a field.
#[derive(Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Empty,
    NotEmpty,
    Contains(String),
    NotContains(String),
    Matches(Regex),
    NotMatches(Regex),
}

impl Filter {
    /// Read an expression.
    ///
    /// # Errors
    ///
    /// It is not one, or is too large.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let expression = Arc::new(parse::parse(text)?);
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Refuse what could never be answered: selectors that the rows do not have, and questions
    /// that their fields cannot be asked.
    pub(crate) fn check(&self, rows: Rows) -> Result<(), FilterError> {
        row::with_sample(rows, |sample| self.expression.check(sample))
    }

    /// Whether a row is wanted.
    pub(crate) fn accepts(&self, row: &dyn Row) -> bool {
        self.expression.holds(row)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Ord for Filter {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl PartialOrd for Filter {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
