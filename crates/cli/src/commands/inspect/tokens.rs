//! The tokens of a conversation with the loss mask: which of them the model learns to write.

use std::fmt::Write;

use ::eval::counted;
use ::model::{Encoded, Tokenizer, TrainOn, encode_conversation};
use serde_json::json;

use super::Text;
use crate::failure::Outcome;
use crate::output::{self, Paint, Style};

/// A token for display.
struct Shown {
    id: u32,
    /// The text that it adds; empty while a character is not complete.
    text: String,
    /// As written in the vocabulary.
    entry: String,
    learned: bool,
}

pub(super) fn run(text: &Text, train_on_inputs: bool, json: bool) -> Outcome<()> {
    let train_on = if train_on_inputs { TrainOn::Everything } else { TrainOn::Answers };
    let encoded = encode_conversation(&text.tokenizer, &text.template, &text.messages, train_on)?;
    let shown = shown(&text.tokenizer, &encoded)?;
    if json {
        let tokens: Vec<_> = shown
            .iter()
            .map(|t| json!({"id": t.id, "text": t.text, "token": t.entry, "learned": t.learned}))
            .collect();
        return output::print_json(&json!({
            "id": text.id,
            "count": tokens.len(),
            "learned": encoded.label_count(),
            "tokens": tokens,
        }));
    }
    output::print(&page(&shown, text.id.as_deref(), Paint::for_stdout()))
}

fn shown(tokenizer: &Tokenizer, encoded: &Encoded) -> Outcome<Vec<Shown>> {
    let mut stream = tokenizer.decode_stream(false);
    let mut all = Vec::with_capacity(encoded.ids.len());
    for (&id, &learned) in encoded.ids.iter().zip(&encoded.labels) {
        let entry = tokenizer.id_to_token(id).unwrap_or_default();
        all.push(Shown { id, text: stream.push(id)?, entry, learned });
    }
    Ok(all)
}

/// First the text with what is learned marked, then a line for each token.
fn page(shown: &[Shown], id: Option<&str>, paint: Paint) -> String {
    let learned = shown.iter().filter(|token| token.learned).count();
    let mut page = String::new();
    if let Some(id) = id {
        let _ = writeln!(page, "{}", paint.text(Style::Bold, id));
    }
    let mark = if paint.coloured { "green" } else { "in [[ ]]" };
    let _ = writeln!(page, "{}, {learned} learned ({mark})\n", counted(shown.len(), "token"));
    for run in shown.chunk_by(|a, b| a.learned == b.learned) {
        let text: String = run.iter().map(|token| token.text.as_str()).collect();
        match (run[0].learned, paint.coloured) {
            (false, _) => page.push_str(&text),
            (true, true) => page.push_str(&paint.text(Style::Green, &text)),
            (true, false) => {
                let _ = write!(page, "[[{text}]]");
            }
        }
    }
    let _ = writeln!(page, "\n\n{:>5} {:>7}  learned  token", "place", "id");
    for (place, token) in shown.iter().enumerate() {
        let text = match token.text.is_empty() {
            true => format!("<{}>", token.entry),
            false => visible(&token.text),
        };
        let (mark, text) = match token.learned {
            true => ("yes", paint.text(Style::Green, &text)),
            false => ("-", text),
        };
        let _ = writeln!(page, "{place:>5} {:>7}  {mark:<7}  {text}", token.id);
    }
    page
}

/// White space that can be seen.
fn visible(text: &str) -> String {
    text.replace(' ', "·").replace('\n', "↵").replace('\t', "→").replace('\r', "␍")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, text: &str, learned: bool) -> Shown {
        Shown { id, text: text.into(), entry: format!("entry{id}"), learned }
    }

    #[test]
    fn what_is_learned_is_marked_also_without_colours() {
        let shown =
            [token(5, "Why?\n", false), token(6, " So", true), token(7, "", true), token(8, "ö", true)];
        let page = page(&shown, Some("row-1"), Paint { coloured: false });
        assert!(page.starts_with("row-1\n4 tokens, 3 learned (in [[ ]])\n\nWhy?\n[[ Soö]]\n"), "{page}");
        assert!(page.contains("    0       5  -        Why?↵\n    1       6  yes      ·So\n"), "{page}");
        assert!(page.contains("yes      <entry7>\n"), "{page}");
    }

    #[test]
    fn what_is_learned_is_green_on_a_terminal() {
        let page = page(&[token(1, "a", false), token(2, "b", true)], None, Paint { coloured: true });
        assert!(page.contains("a\u{1b}[32mb\u{1b}[0m"), "{page}");
        assert!(!page.contains("[["), "{page}");
    }
}
