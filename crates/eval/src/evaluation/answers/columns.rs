//! Which column of a file is the question, the reference and the answer.

use crate::evaluation::EvaluationError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Id,
    Task,
    Group,
    Question,
    Reference,
    Answer,
}

impl Role {
    /// In the order in which columns are given away: `answer` is the model's where nothing else is, and the reference
    /// beside a `prediction`.
    const ALL: [Self; 6] = [Self::Answer, Self::Reference, Self::Question, Self::Id, Self::Task, Self::Group];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Task => "task",
            Self::Group => "group",
            Self::Question => "question",
            Self::Reference => "reference",
            Self::Answer => "answer",
        }
    }

    /// Customary names, the surest first; upper and lower case are one.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Id => &["id", "item", "item_id", "qid", "question_id", "uid"],
            Self::Task => &["task", "subset", "benchmark"],
            Self::Group => &["group", "document", "document_id", "doc"],
            Self::Question => &["question", "input", "prompt", "query", "instruction"],
            Self::Reference => &[
                "reference",
                "reference_answer",
                "ground_truth",
                "gold",
                "target",
                "expected",
                "correct_answer",
                "output",
                "answer",
            ],
            Self::Answer => &[
                "model_response",
                "prediction",
                "response",
                "generated_answer",
                "model_answer",
                "model_output",
                "hypothesis",
                "completion",
                "answer",
                "output",
            ],
        }
    }
}

/// The file's own name of each column that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns(BTreeMap<String, String>);

impl Columns {
    /// Finds the columns; `names` says the file's name of a role, and a role that is `needed` must be there.
    pub(crate) fn find(
        path: &Path,
        columns: &[String],
        names: &BTreeMap<String, String>,
        needed: &[Role],
    ) -> Result<Self, EvaluationError> {
        if let Some(role) = names.keys().find(|role| Role::ALL.iter().all(|known| known.name() != **role)) {
            let known = Role::ALL.map(Role::name).join(", ");
            return Err(EvaluationError::malformed(
                path,
                format!("`{role}` is no column: known are {known}"),
            ));
        }
        let missing = |role: Role, expected: Vec<String>| EvaluationError::Column {
            path: path.to_owned(),
            role: role.name(),
            expected,
            columns: columns.to_vec(),
        };
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for role in Role::ALL {
            let free = |name: &&String| !found.values().any(|taken| taken == *name);
            let own = |name: &str| {
                columns.iter().filter(free).find(|column| column.trim().eq_ignore_ascii_case(name))
            };
            let column = match names.get(role.name()) {
                Some(name) => Some(
                    columns
                        .iter()
                        .find(|column| *column == name)
                        .ok_or_else(|| missing(role, vec![name.clone()]))?,
                ),
                None => {
                    let asked_for = |column: &&String| names.values().any(|name| name == *column);
                    role.names().iter().find_map(|name| own(name).filter(|column| !asked_for(column)))
                }
            };
            match column {
                Some(column) => {
                    found.insert(role.name().to_string(), column.clone());
                }
                None if needed.contains(&role) => {
                    return Err(missing(role, role.names().iter().map(ToString::to_string).collect()));
                }
                None => {}
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn name(&self, role: Role) -> Option<&str> {
        self.0.get(role.name()).map(String::as_str)
    }

    /// `answer from model_response, question from input, reference from output`.
    pub fn describe(&self) -> String {
        let parts: Vec<String> =
            self.0.iter().map(|(role, column)| format!("{role} from `{column}`")).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(columns: &[&str]) -> (String, String) {
        let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
        let found = Columns::find(Path::new("answers.csv"), &columns, &BTreeMap::new(), &[]).unwrap();
        (found.name(Role::Reference).unwrap().into(), found.name(Role::Answer).unwrap().into())
    }

    #[test]
    fn an_answer_beside_a_prediction_is_the_reference() {
        assert_eq!(found(&["question", "reference", "answer"]), ("reference".into(), "answer".into()));
        assert_eq!(found(&["question", "answer", "prediction"]), ("answer".into(), "prediction".into()));
        assert_eq!(found(&["input", "output", "model_response"]), ("output".into(), "model_response".into()));
        assert_eq!(found(&["Input", "Output", "Target"]), ("Target".into(), "Output".into()));
    }

    #[test]
    fn a_name_that_was_given_goes_before_what_is_customary() {
        let columns: Vec<String> = ["Frage", "Musterantwort", "answer"].map(String::from).to_vec();
        let names = BTreeMap::from([("reference".to_string(), "Musterantwort".to_string())]);
        let found = Columns::find(Path::new("a.csv"), &columns, &names, &[]).unwrap();
        assert_eq!(found.describe(), "answer from `answer`, reference from `Musterantwort`");
        let wrong = BTreeMap::from([("reference".to_string(), "Muster".to_string())]);
        let error =
            Columns::find(Path::new("a.csv"), &columns, &wrong, &[Role::Reference]).unwrap_err().to_string();
        assert!(
            error.contains("expected one of Muster; the file has Frage, Musterantwort, answer"),
            "{error}"
        );
    }
}
