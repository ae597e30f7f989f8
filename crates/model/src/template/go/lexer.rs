//! A template's text and actions, and the tokens of an action.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or the name of a function.
    Word(String),
    /// `.Name`; a lone dot is empty.
    Field(String),
    /// `$name`; the data that the template was given is empty.
    Variable(String),
    Text(String),
    Number(i64),
    /// One of `( ) | , = :=`.
    Sign(&'static str),
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts a template at `{{` and `}}`, trimming text where an action says so.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let (mut rest, mut trim) = (source, false);
    loop {
        let start = rest.find("{{");
        let (text, after) = start.map_or((rest, ""), |at| (&rest[..at], &rest[at + 2..]));
        let trim_end = after.strip_prefix('-').filter(|rest| rest.starts_with(BLANKS));
        let text = if trim { text.trim_start_matches(BLANKS) } else { text };
        let text = if trim_end.is_some() { text.trim_end_matches(BLANKS) } else { text };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        if start.is_none() {
            return Ok(pieces);
        }
        let action = trim_end.unwrap_or(after);
        let end = end_of_action(action).ok_or("an action without }}")?;
        (trim, rest) = (false, &action[end + 2..]);
        let mut inside = &action[..end];
        if let Some(trimmed) = inside.strip_suffix('-').filter(|inside| inside.ends_with(BLANKS)) {
            (trim, inside) = (true, trimmed);
        }
        let inside = inside.trim_matches(BLANKS);
        if !(inside.starts_with("/*") && inside.ends_with("*/")) {
            pieces.push(Piece::Action(tokens(inside)?));
        }
    }
}

/// Where `}}` stands outside of quotes and comments.
fn end_of_action(action: &str) -> Option<usize> {
    if action.trim_start_matches(BLANKS).starts_with("/*") {
        let comment = action.find("*/")?;
        return action[comment..].find("}}").map(|end| comment + end);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in action.char_indices() {
        match quote {
            Some(open) => {
                if escaped {
                    escaped = false;
                } else if character == '\\' && open == '"' {
                    escaped = true;
                } else if character == open {
                    quote = None;
                }
            }
            None if matches!(character, '"' | '`') => quote = Some(character),
            None if action[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

fn tokens(action: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = action.trim_start_matches(BLANKS);
    while let Some(first) = rest.chars().next() {
        let name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (token, length) = match first {
            '"' | '`' => quoted(rest, first)?,
            '.' | '$' => {
                let length = 1 + name(&rest[1..]);
                let text = rest[1..length].to_owned();
                (if first == '.' { Token::Field(text) } else { Token::Variable(text) }, length)
            }
            '0'..='9' => {
                let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number = rest[..length].parse().map_err(|_| format!("the number {}", &rest[..length]))?;
                (Token::Number(number), length)
            }
            _ if first.is_alphabetic() || first == '_' => {
                let length = name(rest);
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => {
                let signs = [":=", "(", ")", "|", ",", "="];
                let sign = signs.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| format!("{first:?} in {{{{ {action} }}}} is not supported"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        // A field right behind belongs to what stands before it; apart it is an argument of its own.
        let after = &rest[length..];
        rest = after.trim_start_matches(BLANKS);
        let joined = rest.len() == after.len() && rest.starts_with('.');
        let joins = matches!(tokens.last(), Some(Token::Field(_) | Token::Variable(_) | Token::Sign(")")));
        if joined && joins {
            tokens.push(Token::Sign("."));
        }
    }
    Ok(tokens)
}

/// A text in quotes and how long it is with them.
fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Token::Text(text), at + 1)),
            '\\' if quote == '"' => {
                let escape = characters.next().map(|(_, character)| character);
                text.push(match escape {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(same @ ('"' | '\\' | '\'')) => same,
                    other => return Err(format!("the escape \\{} is not supported", other.unwrap_or(' '))),
                });
            }
            _ => text.push(character),
        }
    }
    Err("a text without its closing quote".to_owned())
}
