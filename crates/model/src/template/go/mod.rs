//! Go templates as Ollama renders them: the part of `text/template` that chat templates are written in.
//!
//! Sources: Go's `text/template/parse` (lexer and grammar) and Ollama's `template/template.go` (what a template is given).
//! It is here so that a Modelfile can be compared with the template that a model was trained on before anyone serves it.

mod generate;
mod lexer;
mod parse;
mod render;

use chat::{Message, Role};

use crate::{Error, Result};
pub use generate::OllamaTemplate;
use parse::Node;
use render::Value;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct GoTemplate {
    nodes: Vec<Node>,
    /// Whether it writes the messages itself; others are called once a turn with `.System`, `.Prompt` and `.Response`.
    whole: bool,
}

impl GoTemplate {
    /// Parses a template: text, `range`, `if`, `else`, `end`, variables, pipelines, `{{-` and `-}}`, and the functions
    /// `and or not eq ne lt le gt ge len index slice`.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] with what is not understood.
    pub fn parse(source: &str) -> Result<Self> {
        let nodes = lexer::pieces(source).and_then(|pieces| parse::parse(&pieces)).map_err(wrong)?;
        Ok(GoTemplate { whole: parse::mentions(&nodes, "Messages"), nodes })
    }

    /// The text that Ollama makes of a conversation, with the beginning of the next answer.
    ///
    /// Successive messages of one role become one message, two line ends between them; `.System` is all system messages.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when a value is of the wrong kind for what is done with it, or the text has no end.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        let (system, messages) = collate(messages);
        if self.whole {
            let list = messages.iter().map(|(role, content)| Value::message(role, content)).collect();
            let given = [("System", Value::Text(system)), ("Messages", Value::List(list))];
            return render::render(&self.nodes, given.into(), None).map_err(wrong);
        }
        self.render_turns(&messages)
    }

    /// Templates that know one turn: they are called again for every answer that has been given.
    fn render_turns(&self, messages: &[(&'static str, String)]) -> Result<String> {
        let mut text = String::new();
        let mut turn = ["System", "Prompt", "Response"].map(|name| (name, String::new()));
        let mut call = |turn: &mut [(&'static str, String); 3], until| -> Result<()> {
            let given = turn.iter_mut().map(|(name, value)| (*name, Value::Text(std::mem::take(value))));
            text += &render::render(&self.nodes, given.collect(), until).map_err(wrong)?;
            Ok(())
        };
        for (role, content) in messages {
            let (place, over) = match *role {
                "system" => (0, !turn[1].1.is_empty() || !turn[2].1.is_empty()),
                "user" => (1, !turn[2].1.is_empty()),
                _ => (2, false),
            };
            if over {
                call(&mut turn, None)?;
            }
            turn[place].1.clone_from(content);
        }
        call(&mut turn, Some("Response"))?;
        Ok(text)
    }
}

/// All system messages in one text, and the messages with those of one role in a row joined.
fn collate(messages: &[Message]) -> (String, Vec<(&'static str, String)>) {
    let mut collated: Vec<(&'static str, String)> = Vec::with_capacity(messages.len());
    let mut system = Vec::new();
    for message in messages {
        let role = message.role.as_str();
        if message.role == Role::System {
            system.push(message.content.as_str());
        }
        match collated.last_mut() {
            Some((last, content)) if *last == role => {
                content.push_str("\n\n");
                content.push_str(&message.content);
            }
            _ => collated.push((role, message.content.clone())),
        }
    }
    (system.join("\n\n"), collated)
}

fn wrong(reason: String) -> Error {
    Error::Template { origin: "Go template".to_owned(), reason }
}
