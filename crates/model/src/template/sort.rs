//! The filter `sort` of Python's jinja2.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::budget::charge;

/// `sort(reverse=False, case_sensitive=False, attribute=None)`, stable in both directions. Truth values are numbers;
/// unlike things cannot be compared.
pub(super) fn sort(
    state: &mut State,
    values: &Value,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Vec<Value>, Error> {
    type Arguments = (Option<bool>, Option<bool>, Option<Value>, Kwargs);
    let arguments = arguments.into_values();
    let (reverse, case_sensitive, attribute, options): Arguments = from_args(&arguments)?;
    let reverse = reverse.or(options.get("reverse")?).unwrap_or(false);
    let case_sensitive = case_sensitive.or(options.get("case_sensitive")?).unwrap_or(false);
    let attribute = attribute.or(options.get("attribute")?).filter(|attribute| !attribute.is_none());
    options.assert_all_used()?;
    let attribute = attribute.map(|attribute| attribute.to_string()).unwrap_or_default();
    let paths: Vec<&str> = attribute.split(',').collect();
    let mut keyed: Vec<(Vec<Key>, Value)> = Vec::new();
    for value in values.try_iter()? {
        charge(state, (attribute.len() + paths.len() * size_of::<Key>()) as u64)?;
        let keys: Vec<Key> =
            paths.iter().map(|path| Key::of(&value, path, case_sensitive)).collect::<Result<_, _>>()?;
        if let Some((first, _)) = keyed.first() {
            first.iter().zip(&keys).try_for_each(|(one, other)| one.check_comparable(other))?;
        }
        keyed.push((keys, value));
    }
    keyed.sort_by(|(one, _), (other, _)| {
        let mut parts = one.iter().zip(other).map(|(one, other)| one.compare(other));
        let ordering = parts.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal);
        if reverse { ordering.reverse() } else { ordering }
    });
    Ok(keyed.into_iter().map(|(_, value)| value).collect())
}

/// What a value is sorted by.
enum Key {
    /// The number as a float, then its whole part, so that large integers keep their order beside floats.
    Number(f64, i128),
    Text(String),
    None,
    Undefined,
}

impl Key {
    /// Of the value at a path of attributes and indices, which may be empty.
    fn of(value: &Value, path: &str, case_sensitive: bool) -> Result<Self, Error> {
        let mut found = value.clone();
        for name in path.split('.').filter(|name| !name.is_empty()) {
            found = match name.parse::<usize>() {
                Ok(index) => found.get_item_by_index(index)?,
                Err(_) => found.get_attr(name)?,
            };
        }
        match found.kind() {
            ValueKind::Undefined => Ok(Key::Undefined),
            ValueKind::None => Ok(Key::None),
            ValueKind::String => {
                let text = found.as_str().unwrap_or_default();
                Ok(Key::Text(if case_sensitive { text.to_owned() } else { text.to_lowercase() }))
            }
            ValueKind::Bool => {
                let truth = u8::from(found.is_true());
                Ok(Key::Number(truth.into(), truth.into()))
            }
            ValueKind::Number => {
                let number = f64::try_from(found.clone())?;
                let whole = i128::try_from(found).unwrap_or(number as i128);
                // Both zeros are one number.
                Ok(Key::Number(number + 0.0, whole))
            }
            kind => Err(Error::new(ErrorKind::InvalidOperation, format!("cannot sort {kind}"))),
        }
    }

    fn check_comparable(&self, other: &Self) -> Result<(), Error> {
        if std::mem::discriminant(self) == std::mem::discriminant(other) {
            return Ok(());
        }
        let (one, other) = (self.kind(), other.kind());
        Err(Error::new(ErrorKind::InvalidOperation, format!("cannot sort {one} and {other}")))
    }

    fn kind(&self) -> &'static str {
        match self {
            Key::Number(..) => "a number",
            Key::Text(_) => "a text",
            Key::None => "none",
            Key::Undefined => "what is undefined",
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::Number(one, whole), Key::Number(other, other_whole)) => {
                one.total_cmp(other).then(whole.cmp(other_whole))
            }
            (Key::Text(one), Key::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        }
    }
}
