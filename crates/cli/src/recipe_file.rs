//! Recipes from YAML files, with changes from the command line.

use std::path::Path;

use serde_json::{Map, Value};
use train::Recipe;

use crate::failure::{Failure, Outcome, io};

/// Reads the recipe `path` and applies `changes` of the form `key=value` or `key.inner=value`.
pub(crate) fn load(path: &Path, changes: &[String]) -> Outcome<Recipe> {
    let text = std::fs::read_to_string(path).map_err(io(path))?;
    let origin = path.display().to_string();
    let mut value: Value =
        serde_saphyr::from_str(&text).map_err(|e| Failure::input(format!("{origin}: {e}")))?;
    match value {
        Value::Object(_) => {}
        Value::Null => value = Value::Object(Map::new()),
        other => {
            let failure = Failure::input(format!("{origin}: {} instead of `key: value` lines", kind(&other)));
            return Err(failure.hint(KEYS));
        }
    }
    for change in changes {
        apply(&mut value, change)?;
    }
    let recipe = parse(value, &origin)?;
    recipe.validate()?;
    Ok(recipe)
}

/// The recipe in a document, refused with the nearest name where a key is unknown.
pub(crate) fn parse(value: Value, origin: &str) -> Outcome<Recipe> {
    let mut known =
        serde_json::to_value(Recipe::default()).map_err(|e| Failure::unexpected(e.to_string()))?;
    for (alias, key) in train::ALIASES {
        known[alias] = known[key].clone();
    }
    known["datasets"] = serde_json::json!([train::DatasetFile::default()]);
    check_keys(&value, &known, "", origin)?;
    serde_json::from_value(value.clone()).map_err(|error| {
        let (message, words) = (error.to_string(), in_words(&error.to_string()));
        let place = place_of(&value, &message, &|inner| inner);
        let place = if place.is_empty() { String::new() } else { format!("`{}`: ", place.join(".")) };
        Failure::input(format!("{origin}: {place}{words}")).hint(KEYS)
    })
}

/// The path to the value that gives `message`: the smallest part of the recipe that still does. `within` puts a part back
/// where it stands.
fn place_of(value: &Value, message: &str, within: &dyn Fn(Value) -> Value) -> Vec<String> {
    let below = |step: String, part: &Value, around: &dyn Fn(Value) -> Value| {
        let within = |inner| within(around(inner));
        let says = serde_json::from_value::<Recipe>(within(part.clone())).err().map(|e| e.to_string());
        (says.as_deref() == Some(message))
            .then(|| std::iter::once(step).chain(place_of(part, message, &within)).collect())
    };
    let found = match value {
        Value::Object(map) => {
            let around = |key: &str, inner| Value::Object([(key.to_owned(), inner)].into_iter().collect());
            map.iter().find_map(|(key, part)| below(key.clone(), part, &|inner| around(key, inner)))
        }
        Value::Array(items) => {
            let numbered = items.iter().enumerate();
            numbered
                .map(|(i, part)| below(i.to_string(), part, &|inner| Value::Array(vec![inner])))
                .find_map(|p| p)
        }
        _ => None,
    };
    found.unwrap_or_default()
}

const KEYS: &str = "docs/recipe.md lists the keys and what they take";

/// A message of serde with the names of a recipe's types instead of Rust's.
fn in_words(message: &str) -> String {
    let (head, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let expected = match expected {
        "" => return message.to_owned(),
        "f32" | "f64" => "a number",
        "u32" | "u64" | "usize" => "a whole number, not below 0",
        "a sequence" => "a list",
        "a map" => "keys with values",
        other => other,
    };
    format!("{head}, expected {expected}")
}

/// What a value is, as a message begins.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "keys",
    }
}

fn check_keys(value: &Value, known: &Value, path: &str, origin: &str) -> Outcome<()> {
    match (value, known) {
        (Value::Object(given), Value::Object(known)) if !OPEN.iter().any(|open| matches(open, path)) => {
            for (key, inner) in given {
                let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let Some(expected) = known.get(key) else {
                    let failure = Failure::input(format!("{origin}: unknown key `{full}`"));
                    let nearest = known
                        .keys()
                        .min_by_key(|k| strsim::damerau_levenshtein(k, key))
                        .filter(|k| strsim::normalized_damerau_levenshtein(k, key) > 0.4);
                    return Err(match nearest {
                        Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
                        None => failure.hint(KEYS),
                    });
                };
                check_keys(inner, expected, &full, origin)?;
            }
            Ok(())
        }
        (Value::Array(given), Value::Array(known)) if known.first().is_some_and(Value::is_object) => {
            let item = |(i, item)| check_keys(item, &known[0], &format!("{path}.{i}"), origin);
            given.iter().enumerate().try_for_each(item)
        }
        // serde would take a list for the values of the keys, one after the other.
        (given, Value::Object(known)) if !OPEN.iter().any(|open| matches(open, path)) => {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            Err(Failure::input(format!("{origin}: `{path}` is {}, expected keys", kind(given)))
                .hint(format!("its keys: {}", names.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Keys whose inner names are the user's own; `*` stands for an item's number.
const OPEN: &[&str] = &["datasets.*.columns", "rank_pattern", "alpha_pattern"];

fn matches(pattern: &str, path: &str) -> bool {
    let same = |(wanted, part): (&str, &str)| wanted == "*" || wanted == part;
    pattern.split('.').count() == path.split('.').count() && pattern.split('.').zip(path.split('.')).all(same)
}

/// Applies one `a.b=value`; the value is YAML, a number in the path counts the items of a list.
fn apply(value: &mut Value, change: &str) -> Outcome<()> {
    let (path, text) = change
        .split_once('=')
        .ok_or_else(|| Failure::input(format!("--set {change}: expected key=value")))?;
    let new: Value =
        serde_saphyr::from_str(text).map_err(|e| Failure::input(format!("--set {change}: {e}")))?;
    let mut place = value;
    for part in path.split('.') {
        place = match part.parse::<usize>() {
            Ok(index) if place.is_array() => place
                .get_mut(index)
                .ok_or_else(|| Failure::input(format!("--set {change}: there is no item {index}")))?,
            _ => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                &mut place[part]
            }
        };
    }
    *place = new;
    Ok(())
}

/// A recipe as YAML: what a run folder keeps.
pub(crate) fn to_yaml(recipe: &Recipe) -> Outcome<String> {
    serde_saphyr::to_string(recipe).map_err(|e| Failure::unexpected(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(yaml: &str, changes: &[&str]) -> Outcome<Recipe> {
        let mut value: Value = serde_saphyr::from_str(yaml).unwrap();
        for change in changes {
            apply(&mut value, change)?;
        }
        parse(value, "test.yaml")
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let failure = parsed("learning_rat: 1e-4", &[]).unwrap_err();
        assert_eq!(failure.message, "test.yaml: unknown key `learning_rat`");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `learning_rate`?"));
    }

    #[test]
    fn an_unknown_inner_key_is_named_with_its_path() {
        let failure = parsed("split: {tset: 0.2}", &[]).unwrap_err();
        assert_eq!(failure.message, "test.yaml: unknown key `split.tset`");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `test`?"));
        assert!(parsed("datasets: [{pth: a.csv}]", &[]).unwrap_err().message.contains("datasets.0.pth"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_key() {
        for (yaml, message) in [
            ("learning_rate: fast", "`learning_rate`: invalid type: string \"fast\", expected a number"),
            ("lora_r: -1", "`lora_r`: invalid value: integer `-1`, expected a whole number, not below 0"),
            ("split: {test: x}", "`split.test`: invalid type: string \"x\", expected a number"),
            ("datasets: rows.csv", "`datasets`: invalid type: string \"rows.csv\", expected a list"),
            ("datasets: [rows.csv]", "`datasets.0` is a text, expected keys"),
            ("datasets: [[rows.csv]]", "`datasets.0` is a list, expected keys"),
            ("split:", "`split` is nothing, expected keys"),
            ("adapter: lore", "`adapter`: unknown variant `lore`, expected one of `lora`, `qlora`, `full`"),
        ] {
            let failure = parsed(yaml, &[]).unwrap_err();
            assert_eq!(failure.message, format!("test.yaml: {message}"));
            assert!(failure.hint.is_some(), "{message}");
        }
    }

    #[test]
    fn what_is_no_recipe_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.yaml");
        for (text, is) in [("- a\n- b", "a list"), ("just text", "a text")] {
            std::fs::write(&path, text).unwrap();
            let failure = load(&path, &[]).unwrap_err();
            assert!(
                failure.message.ends_with(&format!("{is} instead of `key: value` lines")),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn changes_reach_inner_values_and_list_items() {
        let recipe = parsed(
            "datasets: [{path: a.csv, columns: {question: Frage}}]\nlearning_rate: 1e-3",
            &["split.test=0.3", "datasets.0.path=b.csv", "adapter=full", "learning_rate=5e-5"],
        )
        .unwrap();
        assert_eq!((recipe.split.test, recipe.datasets[0].path.as_str()), (0.3, "b.csv"));
        assert_eq!((recipe.adapter, recipe.learning_rate), (train::Adapter::Full, 5e-5));
    }

    #[test]
    fn a_resolved_recipe_reads_back_equal() {
        let recipe = Recipe { base_model: Some("base".into()), ..Recipe::default() };
        let value: Value = serde_saphyr::from_str(&to_yaml(&recipe).unwrap()).unwrap();
        assert_eq!(parse(value, "again.yaml").unwrap(), recipe);
    }
}
