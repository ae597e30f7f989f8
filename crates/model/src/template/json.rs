//! The filter `tojson` as transformers define it: Python's `json.dumps` without escaping for HTML.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::budget::{VALUE_LIMIT, charge_text};

/// How deep values may be nested.
const DEPTH_LIMIT: usize = 64;

/// `json.dumps(value, ensure_ascii=, indent=, separators=, sort_keys=)`.
pub(super) fn to_json(
    state: &mut State,
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<String, Error> {
    let indent = match indent.or(options.get::<Option<Value>>("indent")?).filter(|indent| !indent.is_none()) {
        Some(indent) => Some(indentation(&indent)?),
        None => None,
    };
    let separators = match options.get::<Option<Vec<String>>>("separators")?.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators must be a pair")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let ensure_ascii = match ensure_ascii {
        Some(given) => given,
        None => options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut writer = Writer { output: String::new(), indent, separators, ensure_ascii, sort_keys };
    writer.value(value, 0)?;
    charge_text(state, writer.output.len() as u64)?;
    Ok(writer.output)
}

/// One level of indentation: that many spaces, or the text itself.
fn indentation(indent: &Value) -> Result<String, Error> {
    match indent.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(" ".repeat(usize::try_from(indent.clone())?.min(16))),
    }
}

struct Writer {
    output: String,
    indent: Option<String>,
    separators: (String, String),
    ensure_ascii: bool,
    sort_keys: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_LIMIT {
            return Err(Error::new(ErrorKind::InvalidOperation, "nested too deep for JSON"));
        }
        match value.kind() {
            ValueKind::None => self.output.push_str("null"),
            ValueKind::Bool => self.output.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.number(value)?,
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.container('[', ']', &items, depth, |writer, item| writer.value(item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.container('{', '}', &keys, depth, |writer, key| {
                    writer.key(key)?;
                    writer.expect_room(writer.separators.1.len())?;
                    writer.output.push_str(&writer.separators.1);
                    writer.value(&value.get_item(key)?, depth + 1)
                })?;
            }
            kind => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("{kind} is not JSON serializable"),
                ));
            }
        }
        Ok(())
    }

    fn container(
        &mut self,
        open: char,
        close: char,
        items: &[Value],
        depth: usize,
        mut write: impl FnMut(&mut Self, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.output.push(open);
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                self.expect_room(self.separators.0.len())?;
                self.output.push_str(&self.separators.0);
            }
            self.new_line(depth + 1)?;
            write(self, item)?;
        }
        if !items.is_empty() {
            self.new_line(depth)?;
        }
        self.output.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) -> Result<(), Error> {
        if let Some(indent) = &self.indent {
            self.expect_room(indent.len() * depth)?;
            self.output.push('\n');
            (0..depth).for_each(|_| self.output.push_str(indent));
        }
        Ok(())
    }

    /// Separators and indentation may be any text, so the limit is kept before they are written.
    fn expect_room(&self, more: usize) -> Result<(), Error> {
        if (self.output.len() + more) as u64 > VALUE_LIMIT {
            let reason = format!("makes JSON of more than {} MiB", VALUE_LIMIT >> 20);
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<(), Error> {
        match key.kind() {
            ValueKind::String => self.string(key.as_str().unwrap_or_default()),
            ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                self.output.push('"');
                self.value(key, 0)?;
                self.output.push('"');
            }
            kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("a key cannot be {kind}"))),
        }
        Ok(())
    }

    fn number(&mut self, value: &Value) -> Result<(), Error> {
        if value.is_integer() {
            self.output.push_str(&value.to_string());
            return Ok(());
        }
        let number = f64::try_from(value.clone())?;
        let text = match number {
            number if number.is_nan() => "NaN".to_owned(),
            f64::INFINITY => "Infinity".to_owned(),
            f64::NEG_INFINITY => "-Infinity".to_owned(),
            number if number != 0.0 && !(1e-4..1e16).contains(&number.abs()) => exponential(number),
            number => format!("{number:?}"),
        };
        self.output.push_str(&text);
        Ok(())
    }

    fn string(&mut self, text: &str) {
        self.output.push('"');
        for c in text.chars() {
            match c {
                '"' => self.output.push_str("\\\""),
                '\\' => self.output.push_str("\\\\"),
                '\n' => self.output.push_str("\\n"),
                '\r' => self.output.push_str("\\r"),
                '\t' => self.output.push_str("\\t"),
                '\u{8}' => self.output.push_str("\\b"),
                '\u{c}' => self.output.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.output.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.output.push(c),
            }
        }
        self.output.push('"');
    }
}

/// Python's form: a sign and at least two digits in the exponent.
fn exponential(number: f64) -> String {
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}
