//! The recipe reference, generated from the types so that it cannot go stale.

use schemars::schema_for;
use serde_json::Value;

use crate::{DatasetFile, Evaluation, NewModel, Recipe};

/// The reference of all recipe keys as Markdown.
pub fn recipe_reference() -> String {
    let defaults = serde_json::to_value(Recipe::default()).unwrap_or(Value::Null);
    let mut text = String::from(
        "# Recipe reference\n\nEvery key of a recipe with its default. A key that is not listed is refused with the \
         nearest name. Generated from the types; `UPDATE_DOCS=1 cargo test -p train --test reference` writes it anew.\n",
    );
    section(&mut text, "A recipe", schema_for!(Recipe).as_value(), &defaults);
    let parts = [
        ("`base_model_config`", schema_for!(NewModel).to_value(), Value::Null),
        ("`datasets`, each item", schema_for!(DatasetFile).to_value(), to_value(&DatasetFile::default())),
        ("`cleaning`", schema_for!(dataset::Cleaning).to_value(), defaults["cleaning"].clone()),
        ("`split`", schema_for!(dataset::SplitOptions).to_value(), defaults["split"].clone()),
        ("`evaluation`", schema_for!(Evaluation).to_value(), defaults["evaluation"].clone()),
    ];
    for (title, schema, defaults) in parts {
        section(&mut text, title, &schema, &defaults);
    }
    text
}

fn to_value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn section(text: &mut String, title: &str, schema: &Value, defaults: &Value) {
    text.push_str(&format!("\n## {title}\n\n| key | default | meaning |\n|---|---|---|\n"));
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, property) in properties {
        let meaning =
            property["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let choices = choices(schema, property);
        let choices =
            if choices.is_empty() { String::new() } else { format!(" One of {}.", choices.join(", ")) };
        text.push_str(&format!("| `{key}` | {} | {meaning}{choices} |\n", shown(&defaults[key])));
    }
}

/// The names of an enumeration, looked up through references.
fn choices(schema: &Value, property: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![property];
    while let Some(value) = open.pop() {
        if let Some(name) = value["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
            open.push(&schema["$defs"][name]);
        }
        for key in ["anyOf", "oneOf"] {
            open.extend(value[key].as_array().into_iter().flatten());
        }
        open.extend(value.get("items"));
        let names = value["enum"].as_array().into_iter().flatten().chain(value.get("const"));
        found.extend(names.filter_map(Value::as_str).map(|n| format!("`{n}`")));
    }
    found.sort();
    found
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => "–".into(),
        Value::Object(entries) if entries.is_empty() => "–".into(),
        Value::Object(_) => "see below".into(),
        Value::Number(n) => format!("`{}`", plain(n)),
        Value::String(s) if s.is_empty() => "empty".into(),
        Value::String(s) => format!("`{s}`"),
        Value::Array(items) if items.is_empty() => "–".into(),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("`[{}]`", items.join(", "))
        }
        other => format!("`{other}`"),
    }
}

/// A number without the digits that f32 adds when it becomes f64.
fn plain(n: &serde_json::Number) -> String {
    match n.as_f64() {
        Some(x) if n.is_f64() && f64::from(x as f32) == x => format!("{}", x as f32),
        _ => n.to_string(),
    }
}
