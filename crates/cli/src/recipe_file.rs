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
    if value.is_null() {
        value = Value::Object(Map::new());
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
    serde_json::from_value(value).map_err(|e| Failure::input(format!("{origin}: {e}")))
}

fn check_keys(value: &Value, known: &Value, path: &str, origin: &str) -> Outcome<()> {
    match (value, known) {
        (Value::Object(given), Value::Object(known)) if !OPEN.contains(&path) => {
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
                        None => failure.hint("docs/recipe.md lists the keys"),
                    });
                };
                check_keys(inner, expected, &full, origin)?;
            }
            Ok(())
        }
        (Value::Array(given), Value::Array(known)) if known.first().is_some_and(Value::is_object) => {
            given.iter().try_for_each(|item| check_keys(item, &known[0], path, origin))
        }
        _ => Ok(()),
    }
}

/// Keys whose inner names are the user's own.
const OPEN: &[&str] = &["datasets.columns", "rank_pattern", "alpha_pattern"];

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
        assert!(parsed("datasets: [{pth: a.csv}]", &[]).unwrap_err().message.contains("datasets.pth"));
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
