//! The grammar of actions.

use super::lexer::{Piece, Token};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Output(Expression),
    /// `$name := value` and `$name = value`.
    Assign {
        name: String,
        new: bool,
        value: Expression,
    },
    If {
        condition: Expression,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// With the names of the variables for number and element, where there are any.
    Range {
        key: Option<String>,
        element: Option<String>,
        list: Expression,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// `.`
    Dot,
    Variable(String),
    Text(String),
    Number(i64),
    Bool(bool),
    Nil,
    Field(Box<Expression>, String),
    Call(String, Vec<Expression>),
}

/// The deepest nesting of actions and parentheses.
const DEEPEST: usize = 64;

pub(super) fn parse(pieces: &[Piece]) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces, depth: 0 };
    let (nodes, end) = parser.body()?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(format!("{end:?} without a beginning")),
    }
}

/// Whether a field of that name is used anywhere.
pub(super) fn mentions(nodes: &[Node], name: &str) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) => false,
        Node::Output(value) | Node::Assign { value, .. } => value.mentions(name),
        Node::If { condition: value, then: body, otherwise }
        | Node::Range { list: value, body, otherwise, .. } => {
            value.mentions(name) || mentions(body, name) || mentions(otherwise, name)
        }
    })
}

impl Expression {
    pub(super) fn mentions(&self, name: &str) -> bool {
        match self {
            Expression::Field(of, own) => own == name || of.mentions(name),
            Expression::Call(_, arguments) => arguments.iter().any(|argument| argument.mentions(name)),
            _ => false,
        }
    }
}

struct Parser<'a> {
    pieces: &'a [Piece],
    depth: usize,
}

/// What ends a body.
#[derive(Debug)]
enum End<'a> {
    End,
    /// With what stands behind the `else`.
    Else(&'a [Token]),
}

impl<'a> Parser<'a> {
    fn body(&mut self) -> Result<(Vec<Node>, Option<End<'a>>), String> {
        let mut nodes = Vec::new();
        while let Some((piece, rest)) = self.pieces.split_first() {
            self.pieces = rest;
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    continue;
                }
                Piece::Action(tokens) => &tokens[..],
            };
            match tokens {
                [Token::Word(word)] if word == "end" => return Ok((nodes, Some(End::End))),
                [Token::Word(word), rest @ ..] if word == "else" => {
                    return Ok((nodes, Some(End::Else(rest))));
                }
                [Token::Word(word), rest @ ..] if word == "if" => nodes.push(self.condition(rest)?),
                [Token::Word(word), rest @ ..] if word == "range" => nodes.push(self.range(rest)?),
                [Token::Variable(name), Token::Sign(sign @ (":=" | "=")), rest @ ..] => {
                    let (name, new) = (name.clone(), *sign == ":=");
                    nodes.push(Node::Assign { name, new, value: pipeline(rest)? });
                }
                _ => nodes.push(Node::Output(pipeline(tokens)?)),
            }
        }
        Ok((nodes, None))
    }

    fn nested(&mut self) -> Result<(Vec<Node>, End<'a>), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} actions inside each other"));
        }
        let (nodes, end) = self.body()?;
        self.depth -= 1;
        Ok((nodes, end.ok_or("an action without its {{ end }}")?))
    }

    fn condition(&mut self, tokens: &'a [Token]) -> Result<Node, String> {
        let condition = pipeline(tokens)?;
        let (then, end) = self.nested()?;
        let otherwise = match end {
            End::End => Vec::new(),
            End::Else([Token::Word(word), rest @ ..]) if word == "if" => vec![self.condition(rest)?],
            End::Else(_) => self.last_body()?,
        };
        Ok(Node::If { condition, then, otherwise })
    }

    fn range(&mut self, tokens: &'a [Token]) -> Result<Node, String> {
        let (key, element, tokens) = match tokens {
            [
                Token::Variable(key),
                Token::Sign(","),
                Token::Variable(element),
                Token::Sign(":="),
                rest @ ..,
            ] => (Some(key.clone()), Some(element.clone()), rest),
            [Token::Variable(element), Token::Sign(":="), rest @ ..] => (None, Some(element.clone()), rest),
            _ => (None, None, tokens),
        };
        let list = pipeline(tokens)?;
        let (body, end) = self.nested()?;
        let otherwise = if matches!(end, End::End) { Vec::new() } else { self.last_body()? };
        Ok(Node::Range { key, element, list, body, otherwise })
    }

    fn last_body(&mut self) -> Result<Vec<Node>, String> {
        match self.nested()? {
            (nodes, End::End) => Ok(nodes),
            _ => Err("a second {{ else }}".to_owned()),
        }
    }
}

/// Commands, each given what the one before it makes as its last argument.
fn pipeline(tokens: &[Token]) -> Result<Expression, String> {
    let mut rest = tokens;
    let value = commands(&mut rest, 0)?;
    match rest.first() {
        None => Ok(value),
        Some(token) => Err(format!("{token:?} is not supported here")),
    }
}

fn commands(tokens: &mut &[Token], depth: usize) -> Result<Expression, String> {
    if depth > DEEPEST {
        return Err(format!("more than {DEEPEST} parentheses inside each other"));
    }
    let mut value = command(tokens, depth)?;
    while let [Token::Sign("|"), rest @ ..] = tokens {
        *tokens = rest;
        value = match command(tokens, depth)? {
            Expression::Call(name, mut arguments) => {
                arguments.push(value);
                Expression::Call(name, arguments)
            }
            _ => return Err("what is behind | is no function".to_owned()),
        };
    }
    Ok(value)
}

fn command(tokens: &mut &[Token], depth: usize) -> Result<Expression, String> {
    if let [Token::Word(name), rest @ ..] = tokens
        && !["true", "false", "nil"].contains(&&**name)
    {
        *tokens = rest;
        let mut arguments = Vec::new();
        while !matches!(tokens.first(), None | Some(Token::Sign(")" | "|"))) {
            arguments.push(operand(tokens, depth)?);
        }
        return Ok(Expression::Call(name.clone(), arguments));
    }
    operand(tokens, depth)
}

fn operand(tokens: &mut &[Token], depth: usize) -> Result<Expression, String> {
    let (first, rest) = tokens.split_first().ok_or("an action without a value")?;
    *tokens = rest;
    let mut value = match first {
        Token::Field(name) if name.is_empty() => Expression::Dot,
        Token::Field(name) => Expression::Field(Box::new(Expression::Dot), name.clone()),
        Token::Variable(name) => Expression::Variable(name.clone()),
        Token::Text(text) => Expression::Text(text.clone()),
        Token::Number(number) => Expression::Number(*number),
        Token::Word(word) if word == "true" || word == "false" => Expression::Bool(word == "true"),
        Token::Word(word) if word == "nil" => Expression::Nil,
        Token::Word(word) => Expression::Call(word.clone(), Vec::new()),
        Token::Sign("(") => {
            let value = commands(tokens, depth + 1)?;
            let [Token::Sign(")"), rest @ ..] = tokens else { return Err("( without )".to_owned()) };
            *tokens = rest;
            value
        }
        Token::Sign(sign) => return Err(format!("{sign:?} is not supported here")),
    };
    while let [Token::Sign("."), Token::Field(name), rest @ ..] = tokens {
        *tokens = rest;
        value = Expression::Field(Box::new(value), name.clone());
    }
    Ok(value)
}
