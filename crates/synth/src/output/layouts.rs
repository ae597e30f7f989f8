//! A row as other programs write it. What is known of its origin goes along in fields that they pass over.

use serde_json::{Value, json};

use crate::Row;

/// Turns a row into a line.
type Layout = fn(&Row) -> Value;

/// The layouts by the names of their folders.
pub(super) const LAYOUTS: [(&str, Layout); 3] =
    [("alpaca", alpaca), ("sharegpt", sharegpt), ("messages", messages)];

/// Alpaca: `instruction`, `input`, `output`.
fn alpaca(row: &Row) -> Value {
    json!({ "instruction": row.prompt(), "input": "", "output": row.completion(), "id": row.id, "document": row.provenance.document, "split": row.provenance.split })
}

/// ShareGPT: `conversations` of `from` and `value`.
fn sharegpt(row: &Row) -> Value {
    let turn = |from: &str, value: String| json!({ "from": from, "value": value });
    let turns = [turn("human", row.prompt()), turn("gpt", row.completion())];
    json!({ "conversations": turns, "id": row.id, "document": row.provenance.document, "split": row.provenance.split })
}

/// OpenAI: `messages` of `role` and `content`.
fn messages(row: &Row) -> Value {
    let turn = |role: &str, content: String| json!({ "role": role, "content": content });
    let turns = [turn("user", row.prompt()), turn("assistant", row.completion())];
    json!({ "messages": turns, "id": row.id, "document": row.provenance.document, "split": row.provenance.split })
}
