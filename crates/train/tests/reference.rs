//! The reference in `docs/` is the one that the types give.

use std::path::Path;

#[test]
fn the_recipe_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipe.md");
    let expected = train::recipe_reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/recipe.md is stale: UPDATE_DOCS=1 cargo test -p train --test reference");
}

#[test]
fn every_key_is_explained() {
    let text = train::recipe_reference();
    let empty: Vec<&str> = text.lines().filter(|l| l.starts_with("| `") && l.contains("|  |")).collect();
    assert!(empty.is_empty(), "{empty:?}");
}
