//! `report.html` of an evaluation: one run by itself, or any number of them on the same items.
//!
//! The page needs nothing else and asks nobody: the answers lie in it as data, and the one script that shows them is
//! named in its content security policy by its hash, so no text of a model can ever run.

mod answers;
mod changed;
mod forest;
mod methods;
mod view;

use crate::Result;
use crate::comparison::RunsComparison;
use crate::evaluation::{Evaluation, Results};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};

const TEMPLATE: &str = include_str!("evaluation/evaluation.html.jinja");
const BROWSER: &str = include_str!("evaluation/browser.js");
const BROWSER_STYLE: &str = include_str!("evaluation/browser.css");

/// What goes into the report of an evaluation.
#[derive(Clone, Debug)]
pub struct EvaluationReport {
    title: String,
    created: String,
    runs: Vec<RunOnFile>,
    comparison: Option<RunsComparison>,
    figures: Vec<Figure>,
}

/// A run with its numbers.
#[derive(Clone, Debug)]
struct RunOnFile {
    evaluation: Evaluation,
    results: Results,
}

/// A picture with its heading, such as a reliability diagram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Heading above it.
    pub heading: String,
    /// An `svg` element. It stands in the page as it is: text of others in it must be escaped.
    pub svg: String,
    /// What is seen.
    pub caption: String,
}

impl EvaluationReport {
    /// The report of one evaluation.
    ///
    /// # Errors
    /// As [`Results::of`].
    pub fn of_one(evaluation: Evaluation) -> Result<Self> {
        let results = evaluation.results()?;
        Ok(Self::of_scored(evaluation, results))
    }

    /// The report of an evaluation whose numbers are known.
    pub(crate) fn of_scored(evaluation: Evaluation, results: Results) -> Self {
        let created = evaluation.settings.created.clone();
        let title = evaluation.settings.name.clone();
        let runs = vec![RunOnFile { evaluation, results }];
        Self { title, created, runs, comparison: None, figures: Vec::new() }
    }

    /// The report of several evaluations, whose names are those of the runs in `comparison`.
    ///
    /// # Errors
    /// As [`Results::of`].
    pub fn of_several(evaluations: Vec<Evaluation>, comparison: RunsComparison) -> Result<Self> {
        let created = evaluations.iter().map(|evaluation| evaluation.settings.created.clone()).max();
        let title = comparison.runs.join(", ");
        let on_file = |evaluation: Evaluation| Ok(RunOnFile { results: evaluation.results()?, evaluation });
        let runs = evaluations.into_iter().map(on_file).collect::<Result<_>>()?;
        Ok(Self {
            title,
            created: created.unwrap_or_default(),
            runs,
            comparison: Some(comparison),
            figures: Vec::new(),
        })
    }

    /// Adds a picture behind those of the choices.
    #[must_use]
    pub fn with_figure(mut self, figure: Figure) -> Self {
        self.figures.push(figure);
        self
    }

    /// The page.
    ///
    /// # Errors
    /// [`crate::Error::Template`] is a bug of this crate: the template is part of it.
    pub fn to_html(&self) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("evaluation", TEMPLATE)?;
        Ok(environment.get_template("evaluation")?.render(Serde(view::View::of(self)))?)
    }
}

/// The script's hash as a content security policy names it.
fn script_hash() -> String {
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, BROWSER.as_bytes()))
}
