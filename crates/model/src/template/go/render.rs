//! What a template makes of its values.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::parse::{Expression, Node};

/// The longest text.
const LONGEST: usize = 1 << 20;
/// The most actions that are carried out: loops inside loops need no text to have no end.
const MOST_ACTIONS: usize = 200_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<&'static str, Value>),
}

impl Value {
    /// A message as Ollama has it. Tools, images and thoughts are not part of what is compared.
    pub(super) fn message(role: &str, content: &str) -> Self {
        let fields = [
            ("Role", Value::Text(role.to_owned())),
            ("Content", Value::Text(content.to_owned())),
            ("Thinking", Value::Text(String::new())),
            ("ToolCalls", Value::List(Vec::new())),
            ("Images", Value::List(Vec::new())),
        ];
        Value::Map(fields.into())
    }

    fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Number(value) => *value != 0,
            Value::Text(value) => !value.is_empty(),
            Value::List(values) => !values.is_empty(),
            Value::Map(fields) => !fields.is_empty(),
        }
    }
}

/// Renders with the fields that the template is given; with `until` only up to where that field is used.
pub(super) fn render(
    nodes: &[Node],
    given: BTreeMap<&'static str, Value>,
    until: Option<&str>,
) -> Result<String, String> {
    let data = Value::Map(given);
    let mut renderer =
        Renderer { variables: vec![(String::new(), data.clone())], text: String::new(), until, actions: 0 };
    renderer.nodes(nodes, &data)?;
    Ok(renderer.text)
}

struct Renderer<'a> {
    /// The innermost last.
    variables: Vec<(String, Value)>,
    text: String,
    until: Option<&'a str>,
    actions: usize,
}

impl Renderer<'_> {
    /// Says whether to go on.
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<bool, String> {
        let scope = self.variables.len();
        for node in nodes {
            if !self.node(node, dot)? {
                return Ok(false);
            }
            self.actions += 1;
            if self.actions > MOST_ACTIONS {
                return Err(format!("needs more than {MOST_ACTIONS} actions"));
            }
            if self.text.len() > LONGEST {
                return Err(format!("renders more than {LONGEST} bytes"));
            }
        }
        self.variables.truncate(scope);
        Ok(true)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<bool, String> {
        match node {
            Node::Text(text) => self.text.push_str(text),
            Node::Output(value) => {
                if self.ends_at(value) {
                    return Ok(false);
                }
                match self.value(value, dot)? {
                    Value::Text(text) => self.text.push_str(&text),
                    Value::Number(number) => self.text.push_str(&number.to_string()),
                    Value::Bool(value) => self.text.push_str(&value.to_string()),
                    Value::Nil => self.text.push_str("<no value>"),
                    Value::List(_) | Value::Map(_) => return Err("a list or an object is written".to_owned()),
                }
            }
            Node::Assign { name, new, value } => {
                let value = self.value(value, dot)?;
                if *new {
                    self.variables.push((name.clone(), value));
                } else {
                    *self.variable(name)? = value;
                }
            }
            Node::If { condition, then, otherwise } => {
                if self.ends_at(condition) {
                    return Ok(false);
                }
                let branch = if self.value(condition, dot)?.is_true() { then } else { otherwise };
                return self.nodes(branch, dot);
            }
            Node::Range { key, element, list, body, otherwise } => {
                let values = match self.value(list, dot)? {
                    Value::List(values) => values,
                    Value::Nil => Vec::new(),
                    _ => return Err("range over what is no list".to_owned()),
                };
                if values.is_empty() {
                    return self.nodes(otherwise, dot);
                }
                for (number, value) in values.iter().enumerate() {
                    let scope = self.variables.len();
                    self.variables.extend(key.iter().map(|key| (key.clone(), Value::Number(number as i64))));
                    self.variables.extend(element.iter().map(|name| (name.clone(), value.clone())));
                    if !self.nodes(body, value)? {
                        return Ok(false);
                    }
                    self.variables.truncate(scope);
                }
            }
        }
        Ok(true)
    }

    fn ends_at(&self, value: &Expression) -> bool {
        self.until.is_some_and(|field| value.mentions(field))
    }

    fn variable(&mut self, name: &str) -> Result<&mut Value, String> {
        let found = self.variables.iter_mut().rev().find(|(own, _)| own == name);
        found.map(|(_, value)| value).ok_or_else(|| format!("no variable ${name}"))
    }

    fn value(&mut self, expression: &Expression, dot: &Value) -> Result<Value, String> {
        Ok(match expression {
            Expression::Dot => dot.clone(),
            Expression::Variable(name) => self.variable(name)?.clone(),
            Expression::Text(text) => Value::Text(text.clone()),
            Expression::Number(number) => Value::Number(*number),
            Expression::Bool(value) => Value::Bool(*value),
            Expression::Nil => Value::Nil,
            Expression::Field(of, name) => match self.value(of, dot)? {
                Value::Map(fields) => fields.get(&**name).cloned().unwrap_or(Value::Nil),
                _ => return Err(format!(".{name} of what has no fields")),
            },
            Expression::Call(name, arguments) => return self.call(name, arguments, dot),
        })
    }

    fn call(&mut self, name: &str, arguments: &[Expression], dot: &Value) -> Result<Value, String> {
        if name == "and" || name == "or" {
            let mut value = Value::Nil;
            for argument in arguments {
                value = self.value(argument, dot)?;
                if value.is_true() == (name == "or") {
                    break;
                }
            }
            return Ok(value);
        }
        let values =
            arguments.iter().map(|argument| self.value(argument, dot)).collect::<Result<Vec<_>, _>>()?;
        apply(name, &values)
    }
}

fn apply(name: &str, values: &[Value]) -> Result<Value, String> {
    let bad = || format!("{name} with {} such values is not supported", values.len());
    Ok(match (name, values) {
        ("not", [value]) => Value::Bool(!value.is_true()),
        ("eq", [value, others @ ..]) if !others.is_empty() => Value::Bool(others.contains(value)),
        ("ne", [one, other]) => Value::Bool(one != other),
        ("lt" | "le" | "gt" | "ge", [one, other]) => {
            let order = match (one, other) {
                (Value::Number(one), Value::Number(other)) => one.cmp(other),
                (Value::Text(one), Value::Text(other)) => one.cmp(other),
                _ => return Err(bad()),
            };
            Value::Bool(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        ("len", [Value::Text(text)]) => Value::Number(text.len() as i64),
        ("len", [Value::List(list)]) => Value::Number(list.len() as i64),
        ("index", [Value::List(list), Value::Number(at)]) => {
            let found = usize::try_from(*at).ok().and_then(|at| list.get(at));
            found.cloned().ok_or_else(|| format!("index {at} of {}", list.len()))?
        }
        ("slice", [Value::List(list), bounds @ ..]) => {
            let bound = |number: usize, default: usize| match bounds.get(number) {
                None => Some(default),
                Some(Value::Number(at)) => usize::try_from(*at).ok(),
                Some(_) => None,
            };
            let range = bound(0, 0).zip(bound(1, list.len()));
            let part = range.filter(|_| bounds.len() < 3).and_then(|(start, end)| list.get(start..end));
            Value::List(part.ok_or_else(bad)?.to_vec())
        }
        _ => return Err(bad()),
    })
}
