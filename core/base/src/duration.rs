//! Durations as the API and the configuration write them: `10s`, `1h30m`, `1.5ms`.

use std::fmt::Write as _;

use crate::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of numbers with units.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit nobody knows.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stands where the unit should.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Read a sequence of decimal numbers, each with a unit (`ns`, `us`, `µs`, `ms`, `s`, `m`, `h`).
/// `0` needs no unit. What is below a nanosecond is dropped.
///
/// # Errors
///
/// A text that is none, a negative duration (nothing here can use one), or one too long for 64 bits
/// of nanoseconds (292 years).
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let number_len =
            rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|it: char| it.is_ascii_digit() || it == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let scale = unit_nanos(unit).ok_or_else(|| DurationError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        })?;
        let whole =
            if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| invalid())? };
        nanos += u128::from(whole) * scale;
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let parts = fraction.parse::<u128>().map_err(|_| invalid())?;
            nanos += parts * scale / 10_u128.pow(fraction.len() as u32);
        }
        if i64::MAX as u128 <= nanos {
            return Err(invalid());
        }
        rest = tail;
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// Write `duration` as Go does: `1h30m0s`, `1.5s`, `200ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    if nanos < 1_000_000_000 {
        let (scale, unit) = match nanos {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{unit}", decimal(nanos, scale));
    }
    let minutes = nanos / 60_000_000_000;
    let mut text = String::new();
    if 60 <= minutes {
        write!(text, "{}h", minutes / 60).expect("writing to a string cannot fail");
    }
    if 0 < minutes {
        write!(text, "{}m", minutes % 60).expect("writing to a string cannot fail");
    }
    text + &decimal(nanos % 60_000_000_000, 1_000_000_000) + "s"
}

/// `nanos / scale` without trailing zeros. `scale` is a power of ten.
fn decimal(nanos: u128, scale: u128) -> String {
    let whole = nanos / scale;
    let rest = nanos % scale;
    if rest == 0 {
        return whole.to_string();
    }
    let digits = scale.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[test]
fn texts_and_durations() {
    let ms = Duration::from_millis;
    let cases = [
        ("10s", ms(10_000), "10s"),
        ("1h30m", ms(5_400_000), "1h30m0s"),
        ("1.5s", ms(1_500), "1.5s"),
        ("200ms", ms(200), "200ms"),
        ("0", ms(0), "0s"),
        ("0s", ms(0), "0s"),
        ("90s", ms(90_000), "1m30s"),
        (".5s", ms(500), "500ms"),
        ("72h", ms(259_200_000), "72h0m0s"),
        ("1m0.25s", ms(60_250), "1m0.25s"),
        ("15us", Duration::from_micros(15), "15µs"),
    ];
    for (text, duration, written) in cases {
        assert_eq!(parse(text), Ok(duration), "{text}");
        assert_eq!(format(duration), written, "{text}");
    }
}

#[test]
fn what_is_no_duration_says_why() {
    let cases = [
        ("", r#"time: invalid duration """#),
        ("abc", r#"time: invalid duration "abc""#),
        ("-1s", r#"time: invalid duration "-1s""#),
        ("5", r#"time: missing unit in duration "5""#),
        ("5x", r#"time: unknown unit "x" in duration "5x""#),
        ("1.2.3s", r#"time: invalid duration "1.2.3s""#),
        ("99999999999h", r#"time: invalid duration "99999999999h""#),
        ("18446744073709551616h", r#"time: invalid duration "18446744073709551616h""#),
    ];
    for (text, want) in cases {
        assert_eq!(parse(text).unwrap_err().to_string(), want);
    }
}
