//! The tasks that have a name in lm-evaluation-harness, and where their files may lie.

use std::path::{Path, PathBuf};

use dataset::Input;

use super::{Prompt, Question, Task, source};
use crate::{Error, Result};

/// The subjects of MMLU that are medicine, as MedPaLM and MIRAGE take them.
pub const MMLU_SUBJECTS: [&str; 6] = [
    "anatomy",
    "clinical_knowledge",
    "college_biology",
    "college_medicine",
    "medical_genetics",
    "professional_medicine",
];

/// The task whose options its prompt does not list.
const PUBMEDQA: &str = "pubmedqa";

/// The group of all of [`MMLU_SUBJECTS`].
const MMLU_GROUP: &str = "mmlu_medical";

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    /// What is asked.
    Test,
    /// What few-shot examples are taken from.
    Examples,
}

/// The names of all tasks.
pub fn names() -> Vec<String> {
    let fixed = ["medqa_4options", "medmcqa", PUBMEDQA].map(String::from);
    fixed.into_iter().chain(MMLU_SUBJECTS.map(|subject| format!("mmlu_{subject}"))).collect()
}

/// `mmlu_medical` becomes its subjects; every other name stays.
pub fn expand(name: &str) -> Vec<String> {
    match name {
        MMLU_GROUP => MMLU_SUBJECTS.map(|subject| format!("mmlu_{subject}")).to_vec(),
        name => vec![name.to_owned()],
    }
}

/// What the answers to PubMedQA are.
const YES_NO_MAYBE: [&str; 3] = ["yes", "no", "maybe"];

/// The words that name the options of a task whose prompt does not list them, so that no outcome does.
pub(crate) fn words(task: &str) -> Option<[&'static str; 3]> {
    (task == PUBMEDQA).then_some(YES_NO_MAYBE)
}

/// A task that lm-evaluation-harness knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    name: String,
    prompt: Prompt,
    /// Files without their endings, as Hugging Face or the authors have them, for what is asked.
    test: Vec<String>,
    /// As `test`, for the few-shot split.
    examples: Vec<String>,
}

impl Known {
    /// The task with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = |prompt, test: &[&str], examples: &[&str]| {
            let owned = |stems: &[&str]| stems.iter().map(|stem| stem.to_string()).collect();
            Some(Known { name: name.into(), prompt, test: owned(test), examples: owned(examples) })
        };
        match name {
            "medqa_4options" => known(
                Prompt::MedQa,
                &[
                    "medqa_4options/test",
                    "medqa_4options/data/test",
                    "medqa_4options/phrases_no_exclude_test",
                    "medqa_4options",
                    "medqa/data_clean/questions/US/4_options/phrases_no_exclude_test",
                ],
                &[
                    "medqa_4options/train",
                    "medqa_4options/data/train",
                    "medqa_4options/phrases_no_exclude_train",
                    "medqa/data_clean/questions/US/4_options/phrases_no_exclude_train",
                ],
            ),
            "medmcqa" => known(
                Prompt::MedMcqa,
                &["medmcqa/validation", "medmcqa/data/validation", "medmcqa", "medmcqa/data/dev"],
                &["medmcqa/train", "medmcqa/data/train"],
            ),
            PUBMEDQA => known(
                Prompt::PubMedQa,
                &["pubmedqa/test", "pubmedqa/data/test", "pubmedqa", "pubmedqa/data/test_set"],
                &["pubmedqa/train", "pubmedqa/data/train"],
            ),
            _ => Self::mmlu(name.strip_prefix("mmlu_")?),
        }
    }

    fn mmlu(subject: &str) -> Option<Self> {
        let subject = MMLU_SUBJECTS.into_iter().find(|known| *known == subject)?;
        let places = |split: &str| {
            let name = format!("mmlu_{subject}");
            vec![
                format!("{name}/{split}"),
                format!("mmlu/{subject}/{split}"),
                format!("{subject}/{split}"),
                format!("mmlu/data/{split}/{subject}_{split}"),
            ]
        };
        let name = format!("mmlu_{subject}");
        let test = [places("test"), vec![name.clone()]].concat();
        Some(Known { name, prompt: Prompt::Mmlu { subject }, test, examples: places("dev") })
    }

    /// Reads it from the files under `data`.
    pub(super) fn open(self, data: Option<&Path>, examples: bool) -> Result<Task> {
        let mut task = Task::empty(self.name.clone(), self.prompt);
        let Some(data) = data else {
            let reason = "its files are read from a folder, and none is named".to_owned();
            return Err(Error::Task { name: self.name, reason });
        };
        let files = source::find(data, &self.test);
        if files.is_empty() && self.prompt == Prompt::PubMedQa && self.labelled(data).is_some() {
            self.pqa_labelled(data, &mut task)?;
        } else {
            task.questions = self.read(&mut task, &files, data, Split::Test)?;
            if examples {
                let files = source::find(data, &self.examples);
                task.examples = self.read(&mut task, &files, data, Split::Examples)?;
            }
        }
        match task.questions.is_empty() {
            true => Err(Error::Task { name: self.name, reason: task.without_questions() }),
            false => Ok(task),
        }
    }

    fn read(&self, task: &mut Task, files: &[PathBuf], data: &Path, split: Split) -> Result<Vec<Question>> {
        if files.is_empty() {
            let (what, stems) = match split {
                Split::Test => ("questions", &self.test),
                Split::Examples => ("few-shot examples", &self.examples),
            };
            let reason = format!(
                "no file of its {what} under {}: looked for {} (.jsonl, .json, .parquet or .csv, also gzipped)",
                data.display(),
                stems.join(", ")
            );
            return Err(Error::Task { name: self.name.clone(), reason });
        }
        let mut questions = Vec::new();
        for file in files {
            questions.extend(task.read(&Input::new(file))?);
        }
        if self.prompt == Prompt::PubMedQa {
            questions.iter_mut().for_each(label_by_text);
        }
        Ok(questions)
    }

    /// PubMedQA as its authors publish it: all labelled items, and which of them are the test.
    fn labelled(&self, data: &Path) -> Option<[PathBuf; 2]> {
        let files = ["pubmedqa/ori_pqal.json", "pubmedqa/test_ground_truth.json"].map(|file| data.join(file));
        files.iter().all(|file| file.is_file()).then_some(files)
    }

    fn pqa_labelled(&self, data: &Path, task: &mut Task) -> Result<()> {
        let Some([items, keys]) = self.labelled(data) else { return Ok(()) };
        let keys = source::keys(&keys).map_err(|reason| Error::Task { name: self.name.clone(), reason })?;
        let all = self.read(task, &[items], data, Split::Test)?;
        let is_test =
            |question: &Question| question.id.rsplit('/').next().is_some_and(|key| keys.contains(key));
        (task.questions, task.examples) = all.into_iter().partition(is_test);
        Ok(())
    }
}

/// The options are the words `yes`, `no` and `maybe`, and are called so.
fn label_by_text(question: &mut Question) {
    question.options.iter_mut().for_each(|option| option.letter.clone_from(&option.text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_lm_evaluation_harness() {
        let names = names();
        assert_eq!(names.len(), 9);
        assert!(names.iter().all(|name| Known::named(name).is_some_and(|known| known.name == *name)));
        assert_eq!(expand("mmlu_medical").len(), 6);
        assert_eq!(expand("medmcqa"), ["medmcqa"]);
        assert!(Known::named("mmlu_astronomy").is_none());
    }
}
