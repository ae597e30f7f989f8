//! What is served must be what was trained, as far as anybody has looked.

use std::path::{Path, PathBuf};

use model::Golden;
use serde::Deserialize;

use super::Target;
use crate::args::ServeArgs;
use crate::failure::{Failure, Outcome, io};
use crate::pipeline::base::{Model, folder_of};

/// What `medtune verify` leaves, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Report {
    forms: Vec<Form>,
}

#[derive(Debug, Deserialize)]
struct Form {
    name: String,
    passed: bool,
    #[serde(default)]
    reasons: Vec<String>,
}

/// Refuses a model of which the golden conversations of its training have other ids now, or that a `verify.json` of its
/// folder or run speaks against.
pub(super) fn check(target: &Target, args: &ServeArgs, model: &Model) -> Outcome<()> {
    let folder = target.adapters.first().map_or(model.base.as_path(), PathBuf::as_path);
    if let Some(golden) = Golden::read(folder_of(folder))?
        && let Some(first) = golden.check(&model.tokenizer, &model.template).first()
    {
        let (number, what, at) = (first.conversation, first.what, first.at);
        return Err(refused(format!(
            "golden conversation {number}: {what} {at} is {}, expected {}: this is not the vocabulary and template that \
             were trained",
            first.got, first.expected
        )));
    }
    let place = Path::new(&args.model);
    let report = folder_of(place).join("verify.json");
    if !report.is_file() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&report).map_err(io(&report))?;
    let found: Report =
        serde_json::from_str(&text).map_err(|e| Failure::input(format!("{}: {e}", report.display())))?;
    match spoken_against(&found, place) {
        Some(form) => {
            Err(refused(format!("{}: {}: {}", report.display(), form.name, form.reasons.join("; "))))
        }
        None => Ok(()),
    }
}

fn refused(message: String) -> Failure {
    Failure::gate(message).hint("`medtune verify` tells all; --allow-unverified serves it anyway")
}

/// The form that is served, if it did not pass: of a file the one of its name, of a run the one that was trained.
fn spoken_against<'r>(report: &'r Report, place: &Path) -> Option<&'r Form> {
    let served = |form: &&Form| match place.is_file() {
        true => Path::new(&form.name).file_name() == place.file_name(),
        false => form.name == "as trained" || Path::new(&form.name) == place,
    };
    report.forms.iter().filter(served).find(|form| !form.passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_that_is_served_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model-Q4_K_M.gguf");
        std::fs::write(&file, "").unwrap();
        let report = |trained: bool, file: bool| -> Report {
            serde_json::from_value(serde_json::json!({ "passed": false, "forms": [
                { "name": "as trained", "passed": trained, "reasons": [] },
                { "name": "elsewhere/model-Q4_K_M.gguf", "passed": file, "reasons": ["mean KL divergence"] },
            ] }))
            .unwrap()
        };
        assert!(spoken_against(&report(true, false), folder.path()).is_none());
        assert!(spoken_against(&report(false, true), folder.path()).is_some());
        assert!(spoken_against(&report(false, true), &file).is_none());
        assert!(spoken_against(&report(true, false), &file).is_some());
    }
}
