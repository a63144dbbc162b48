//! Expression and row to yes or no.

use super::{Expression, FilterError, Row, Test, Value};
use crate::params::parse_bool;

impl Expression {
    /// Whether `row` satisfies it.
    pub(super) fn holds(&self, row: &dyn Row) -> bool {
        match self {
            Self::Or(operands) => operands.iter().any(|it| it.holds(row)),
            Self::And(operands) => operands.iter().all(|it| it.holds(row)),
            Self::Not(operand) => !operand.holds(row),
            Self::Match { selector, test } => {
                row.field(selector).is_some_and(|value| test.holds(&value))
            }
        }
    }

    /// Refuse what no row like `sample` can be asked.
    pub(super) fn check(&self, sample: &dyn Row) -> Result<(), FilterError> {
        match self {
            Self::Or(operands) | Self::And(operands) => {
                operands.iter().try_for_each(|it| it.check(sample))
            }
            Self::Not(operand) => operand.check(sample),
            Self::Match { selector, test } => {
                let invalid = || FilterError::Selector(selector.join("."));
                test.check(&sample.field(selector).ok_or_else(invalid)?, selector)
            }
        }
    }
}

impl Test {
    fn holds(&self, value: &Value<'_>) -> bool {
        if let Value::Any(values) = value {
            return values.iter().any(|it| self.holds(it));
        }
        match self {
            Self::Equal(text) => value.equals(text),
            Self::NotEqual(text) => !value.equals(text),
            Self::Empty => value.is_empty(),
            Self::NotEmpty => !value.is_empty(),
            Self::Contains(text) => value.contains(text),
            Self::NotContains(text) => !value.contains(text),
            Self::Matches(regex) => value.text().is_some_and(|it| regex.is_match(it)),
            Self::NotMatches(regex) => !value.text().is_some_and(|it| regex.is_match(it)),
        }
    }

    fn check(&self, value: &Value<'_>, selector: &[String]) -> Result<(), FilterError> {
        let sensible = match (self, value) {
            (_, Value::Any(values)) => {
                return values.iter().try_for_each(|it| self.check(it, selector));
            }
            (_, Value::Text(_) | Value::Absent) => true,
            (Self::Equal(text) | Self::NotEqual(text), Value::Number(_) | Value::Bool(_)) => {
                if !value.can_equal(text) {
                    let (value, selector) = (text.clone(), selector.join("."));
                    return Err(FilterError::Value { value, selector });
                }
                true
            }
            (Self::Empty | Self::NotEmpty, it) => !matches!(it, Value::Number(_) | Value::Bool(_)),
            (Self::Contains(_) | Self::NotContains(_), it) => {
                matches!(it, Value::List(_) | Value::Keys(_))
            }
            (_, _) => false,
        };
        if sensible {
            return Ok(());
        }
        Err(FilterError::Operator { operator: self.operator(), selector: selector.join(".") })
    }

    const fn operator(&self) -> &'static str {
        match self {
            Self::Equal(_) => "==",
            Self::NotEqual(_) => "!=",
            Self::Empty => "is empty",
            Self::NotEmpty => "is not empty",
            Self::Contains(_) => "in",
            Self::NotContains(_) => "not in",
            Self::Matches(_) => "matches",
            Self::NotMatches(_) => "not matches",
        }
    }
}

impl Value<'_> {
    fn equals(&self, text: &str) -> bool {
        match self {
            Self::Text(it) => it == text,
            Self::Bool(it) => parse_bool(text) == Some(*it),
            Self::Number(it) => text.parse() == Ok(*it),
            Self::List(_) | Self::Keys(_) | Self::Count(_) | Self::Absent | Self::Any(_) => false,
        }
    }

    fn can_equal(&self, text: &str) -> bool {
        match self {
            Self::Bool(_) => parse_bool(text).is_some(),
            Self::Number(_) => text.parse::<i64>().is_ok(),
            Self::Text(_)
            | Self::List(_)
            | Self::Keys(_)
            | Self::Count(_)
            | Self::Absent
            | Self::Any(_) => true,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(it) => it.is_empty(),
            Self::List(it) => it.is_empty(),
            Self::Keys(it) => it.is_empty(),
            Self::Count(it) => *it == 0,
            Self::Absent => true,
            Self::Bool(_) | Self::Number(_) | Self::Any(_) => false,
        }
    }

    fn contains(&self, text: &str) -> bool {
        match self {
            Self::Text(it) => it.contains(text),
            Self::List(it) => it.iter().any(|it| it == text),
            Self::Keys(it) => it.contains(&text),
            Self::Bool(_) | Self::Number(_) | Self::Count(_) | Self::Absent | Self::Any(_) => false,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(it) => Some(it),
            Self::Bool(_)
            | Self::Number(_)
            | Self::List(_)
            | Self::Keys(_)
            | Self::Count(_)
            | Self::Absent
            | Self::Any(_) => None,
        }
    }
}
