//! What a rendering may hold and read: the engine counts steps, and one step may double a text.
//!
//! Everything that an operator, filter, test or call of a template is given passes through [`charged`] or [`touched`]
//! first (see [`super::guarded`]), and everything that is written through [`emit`]. So no value is larger than
//! [`VALUE_LIMIT`], and all of them together, over a whole rendering, not larger than [`BUDGET`].

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value};

/// The most that one value may take, in bytes of text and [`NODE`] for each value in it.
pub(super) const VALUE_LIMIT: u64 = 4 << 20;
/// The most that a rendering may read and write, counted likewise.
pub(super) const BUDGET: u64 = 128 << 20;
/// What a value takes besides its text.
const NODE: u64 = 16;
/// What a written byte counts as: a rendering holds what it writes into a variable, whose room doubles when it is full.
const WRITTEN: u64 = 8;
/// How deep values may be nested.
const DEPTH_LIMIT: usize = 128;

/// What is left to a rendering.
struct Budget(u64);

/// Takes from what is left to a rendering.
pub(super) fn charge(state: &mut State, amount: u64) -> Result<(), Error> {
    let budget = state.get_or_insert_extension(Budget(BUDGET));
    budget.0 = budget.0.checked_sub(amount).ok_or_else(|| {
        let reason = format!("works on more than {} MiB of text and values", BUDGET >> 20);
        Error::new(ErrorKind::InvalidOperation, reason)
    })?;
    Ok(())
}

/// As [`charge`], before a text is made that is so long.
pub(super) fn charge_text(state: &mut State, length: u64) -> Result<(), Error> {
    if length > VALUE_LIMIT {
        return Err(too_large());
    }
    charge(state, length)
}

/// A value that is about to be read as a whole. What is only computed when it is iterated becomes a list, so that such
/// computations do not pile up.
pub(super) fn charged(state: &mut State, value: Value) -> Result<Value, Error> {
    charged_times(1, state, value)
}

fn charged_times(times: u64, state: &mut State, value: Value) -> Result<Value, Error> {
    let value = match value.kind() {
        ValueKind::Iterable => {
            let most = (VALUE_LIMIT / NODE) as usize;
            let items: Vec<Value> = value.try_iter()?.take(most + 1).collect();
            Value::from(items)
        }
        _ => value,
    };
    let mut left = VALUE_LIMIT;
    weigh(&value, 0, &mut left)?;
    charge(state, times * (VALUE_LIMIT - left))?;
    Ok(value)
}

/// A value of which only the surface is about to be read: a length, one item.
pub(super) fn touched(state: &mut State, value: Value) -> Result<Value, Error> {
    let read = match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len) as u64,
        ValueKind::Iterable => return charged(state, value),
        _ => 0,
    };
    charge(state, read + NODE)?;
    Ok(value)
}

/// Writes a value.
pub(super) fn emit(output: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let value = charged_times(WRITTEN, state, value.clone())?;
    minijinja::escape_formatter(output, state, &value)
}

/// Takes a value's weight, with all that it holds, from what is left.
fn weigh(value: &Value, depth: usize, left: &mut u64) -> Result<(), Error> {
    if depth > DEPTH_LIMIT {
        let reason = format!("values nested deeper than {DEPTH_LIMIT}");
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    let length = value.as_str().map(str::len).or_else(|| value.as_bytes().map(<[u8]>::len)).unwrap_or(0);
    *left = left.checked_sub(length as u64 + NODE).ok_or_else(too_large)?;
    let kind = value.kind();
    if matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        for item in value.try_iter()? {
            weigh(&item, depth + 1, left)?;
            if kind == ValueKind::Map {
                weigh(&value.get_item(&item)?, depth + 1, left)?;
            }
        }
    }
    Ok(())
}

fn too_large() -> Error {
    let reason = format!("makes a value of more than {} MiB", VALUE_LIMIT >> 20);
    Error::new(ErrorKind::InvalidOperation, reason)
}
