//! Filters that the engine has in another form than Python's jinja2.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, State, Value};

use super::budget::charge_text;
use super::costly::charge_replace;

/// `indent(width=4, first=False, blank=False)`; a final line break stays.
pub(super) fn indent(state: &mut State, text: &str, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    type Arguments = (Option<Value>, Option<bool>, Option<bool>, Kwargs);
    let arguments = arguments.into_values();
    let (width, first, blank, options): Arguments = from_args(&arguments)?;
    let width = match width {
        Some(width) => Some(width),
        None => options.get("width")?,
    };
    let indentation = match width {
        Some(width) if width.as_str().is_some() => width.as_str().unwrap_or_default().to_owned(),
        Some(width) => " ".repeat(usize::try_from(width)?.min(1000)),
        None => " ".repeat(4),
    };
    let or_option = |given: Option<bool>, name| match given {
        Some(given) => Ok::<bool, Error>(given),
        None => Ok(options.get::<Option<bool>>(name)?.unwrap_or(false)),
    };
    let (first, blank) = (or_option(first, "first")?, or_option(blank, "blank")?);
    options.assert_all_used()?;
    let lines = text.split('\n').count() as u64;
    charge_text(state, lines.saturating_mul(indentation.len() as u64))?;
    let mut result = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            result.push('\n');
        }
        if if number == 0 { first } else { blank || !line.is_empty() } {
            result.push_str(&indentation);
        }
        result.push_str(line);
    }
    Ok(result)
}

/// `default(value, boolean=False)`.
pub(super) fn default(
    value: Value,
    other: Option<Value>,
    boolean: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let other = match other {
        Some(other) => other,
        None => options.get::<Option<Value>>("default_value")?.unwrap_or_else(|| Value::from("")),
    };
    let boolean = match boolean {
        Some(boolean) => boolean,
        None => options.get::<Option<bool>>("boolean")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    Ok(if value.is_undefined() || (boolean && !value.is_true()) { other } else { value })
}

/// `replace(old, new, count=None)`.
pub(super) fn replace(
    state: &mut State,
    text: &str,
    arguments: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let arguments = arguments.into_values();
    let (old, new, count, options): (&str, &str, Option<usize>, Kwargs) = from_args(&arguments)?;
    let count = match count {
        Some(count) => Some(count),
        None => options.get::<Option<usize>>("count")?,
    };
    options.assert_all_used()?;
    charge_replace(state, text, old, new, count.unwrap_or(usize::MAX))?;
    Ok(match count {
        Some(count) => text.replacen(old, new, count),
        None => text.replace(old, new),
    })
}

/// `int(default=0)`: what is no number gives the default.
pub(super) fn int(value: &Value, other: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let other = match other {
        Some(other) => other,
        None => options.get::<Option<Value>>("default")?.unwrap_or_else(|| Value::from(0)),
    };
    options.assert_all_used()?;
    let whole = |number: f64| (number.abs() < i64::MAX as f64).then(|| Value::from(number as i64));
    let number = match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(whole),
        ValueKind::String => value.as_str().map(str::trim).and_then(|text| {
            text.parse::<i64>().ok().map(Value::from).or_else(|| text.parse().ok().and_then(whole))
        }),
        _ => None,
    };
    Ok(number.unwrap_or(other))
}

/// `float(default=0.0)`: what is no number gives the default.
pub(super) fn float(value: &Value, other: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let other = match other {
        Some(other) => other,
        None => options.get::<Option<Value>>("default")?.unwrap_or_else(|| Value::from(0.0)),
    };
    options.assert_all_used()?;
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    Ok(number.map_or(other, Value::from))
}
