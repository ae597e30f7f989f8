//! Operators, filters, tests and methods of the engine that may take more than what they are given, counted before they run.

use std::borrow::Cow;

use minijinja::formatting::{FormatStyle, format as formatted};
use minijinja::value::{Kwargs, Rest, StringInput, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, tests};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::budget::{charge, charge_text, charged};
use super::guarded::PRODUCT;

/// The longest text of a number, with all its digits.
const NUMBER: u64 = 512;

/// Puts the counted forms into an engine, and takes out what Python's jinja2 does not have and nothing bounds.
pub(super) fn replace_in(environment: &mut Environment<'static>) {
    for name in ["chain", "lines", "pprint", "split", "zip"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    environment.add_function(PRODUCT, product);
    environment.add_filter("batch", batch);
    environment.add_filter("format", format);
    environment.add_filter("join", join);
    environment.add_filter("slice", slice);
    environment.add_filter("sum", sum);
    environment.add_filter("trim", trim);
    environment.add_test("in", is_in);
    environment.set_unknown_method_callback(method);
}

/// `left * right`: of numbers, or of a text or list and how often it stands.
fn product(state: &mut State, left: Value, right: Value) -> Result<Value, Error> {
    let impossible = || {
        let reason = format!("cannot multiply {} and {}", left.kind(), right.kind());
        Error::new(ErrorKind::InvalidOperation, reason)
    };
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    let (repeated, times) = match (number(&left), number(&right)) {
        (true, true) => return numeric_product(&left, &right).ok_or_else(impossible),
        (false, true) => (&left, &right),
        (true, false) => (&right, &left),
        (false, false) => return Err(impossible()),
    };
    let times = usize::try_from(i64::try_from(times.clone())?.max(0)).map_err(|_| impossible())?;
    if let Some(text) = repeated.as_str() {
        charge_text(state, (text.len() as u64).saturating_mul(times as u64))?;
        return Ok(Value::from(text.repeat(times)));
    }
    if repeated.kind() != ValueKind::Seq {
        return Err(impossible());
    }
    let items: Vec<Value> = repeated.try_iter()?.collect();
    charge_text(state, (16 * items.len() as u64).saturating_mul(times as u64))?;
    let length = items.len() * times;
    Ok(items.into_iter().cycle().take(length).collect())
}

/// Of integers an integer, else a float; nothing where it has no room.
fn numeric_product(left: &Value, right: &Value) -> Option<Value> {
    let whole = |value: &Value| value.is_integer() || value.kind() == ValueKind::Bool;
    if whole(left) && whole(right) {
        let (left, right) = (i128::try_from(left.clone()).ok()?, i128::try_from(right.clone()).ok()?);
        let product = left.checked_mul(right)?;
        return Some(i64::try_from(product).map_or_else(|_| Value::from(product), Value::from));
    }
    Some(Value::from(f64::try_from(left.clone()).ok()? * f64::try_from(right.clone()).ok()?))
}

fn batch(state: &mut State, values: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    charge_text(state, 16 * count as u64)?;
    filters::batch(state, values, count, fill)
}

fn slice(state: &mut State, values: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    charge_text(state, 16 * count as u64)?;
    filters::slice(state, values, count, fill)
}

/// `%` formatting; keyword arguments are one more argument.
fn format(state: &mut State, text: &str, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = arguments.into_values();
    charge_format(state, text, &arguments)?;
    formatted(FormatStyle::Printf, text, &arguments)
}

fn join(
    state: &mut State,
    values: &Value,
    separator: Option<StringInput<'_>>,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let length = match &separator {
        Some(separator) => separator.as_str().len(),
        None => options.get::<Option<Value>>("d")?.and_then(|text| text.as_str().map(str::len)).unwrap_or(0),
    };
    charge_join(state, length, values)?;
    filters::join(state, values, separator, attribute, options)
}

/// Sums of numbers, as in Python: a text or list would be copied for each value.
fn sum(
    state: &State,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let first = start.clone().or(options.get::<Option<Value>>("start")?);
    if first.is_some_and(|first| !matches!(first.kind(), ValueKind::Number | ValueKind::Bool)) {
        return Err(Error::new(ErrorKind::InvalidOperation, "can only sum numbers"));
    }
    filters::sum(state, values, attribute, start, options)
}

fn trim(state: &mut State, text: StringInput<'_>, characters: Option<Cow<'_, str>>) -> Result<Value, Error> {
    charge_trim(state, text.as_str(), characters.as_deref())?;
    Ok(filters::trim(text, characters))
}

fn is_in(state: &mut State, value: &Value, container: &Value) -> Result<bool, Error> {
    charged(state, container.clone())?;
    tests::is_in(state, value, container)
}

/// Python's methods of texts, lists and mappings.
fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let argument = |number: usize| arguments.get(number).and_then(Value::as_str);
    match (value.as_str(), name) {
        (Some(text), "format") => charge_format(state, text, arguments)?,
        (Some(text), "join") => {
            if let [values] = arguments {
                charge_join(state, text.len(), values)?;
            }
        }
        (Some(text), "replace") => {
            if let (Some(old), Some(new)) = (argument(0), argument(1)) {
                charge_replace(state, text, old, new, usize::MAX)?;
            }
        }
        (Some(text), "strip" | "lstrip" | "rstrip") => charge_trim(state, text, argument(0))?,
        (None, "count") => charged(state, value.clone()).map(drop)?,
        _ => (),
    }
    unknown_method_callback(state, value, name, arguments)
}

/// Before a text's parts are replaced, at most `most` of them.
pub(super) fn charge_replace(
    state: &mut State,
    text: &str,
    old: &str,
    new: &str,
    most: usize,
) -> Result<(), Error> {
    charge(state, (text.len() + old.len()) as u64)?;
    let found = text.matches(old).take(most).count() as u64;
    charge_text(state, text.len() as u64 + found.saturating_mul(new.len() as u64))
}

/// Before values are joined by a text of so many bytes.
fn charge_join(state: &mut State, separator: usize, values: &Value) -> Result<(), Error> {
    let count = values.len().unwrap_or(0).max(1) as u64;
    charge_text(state, count.saturating_mul(separator as u64))
}

/// Before characters are looked up in others.
fn charge_trim(state: &mut State, text: &str, characters: Option<&str>) -> Result<(), Error> {
    let others = characters.map_or(1, str::len) as u64;
    charge(state, (text.len() as u64).saturating_mul(others))
}

/// Before values are formatted: each place can take all arguments and as many characters as the numbers in the text say.
fn charge_format(state: &mut State, text: &str, arguments: &[Value]) -> Result<(), Error> {
    let mut longest = NUMBER;
    for argument in arguments {
        longest += argument.as_str().map_or_else(|| argument.to_string().len(), str::len) as u64;
    }
    let places = text.bytes().filter(|byte| matches!(byte, b'%' | b'{')).count() as u64;
    let widths = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse::<u64>().unwrap_or(u64::MAX))
        .fold(0, u64::saturating_add);
    let most = places.saturating_mul(longest).saturating_add(widths);
    charge_text(state, most.saturating_add(text.len() as u64))
}
