//! The text that a template makes of a conversation.

use serde_json::json;

use super::Text;
use crate::failure::Outcome;
use crate::output;

pub(super) fn run(text: &Text, json: bool) -> Outcome<()> {
    let rendered = text.template.render(&text.messages, false)?;
    if !json {
        return output::print(&rendered);
    }
    // What stands before an answer: the same text without the last turn, with the beginning of the next.
    let asked = &text.messages[..text.messages.len().saturating_sub(1)];
    output::print_json(&json!({
        "id": text.id,
        "text": rendered,
        "prompt": text.template.render(asked, true)?,
        "template_blake3": text.template.hash(),
    }))
}
