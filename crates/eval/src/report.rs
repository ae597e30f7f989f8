//! `report.html`: what a run did and whether it helped, in one page that needs nothing else.
//!
//! No script, no network, no font or picture from elsewhere: the page can be kept with the model and opened in ten
//! years. All text from data, models and recipes is escaped by the template engine. The verdict comes first.

mod evaluation;
mod forest;
mod line_chart;
mod loss_curve;
mod parts;
mod reliability;
mod view;

pub use evaluation::{EvaluationReport, Figure};
pub use parts::{Certificate, Cleaning, Example, NearestPair, Split, SplitPart};
pub use reliability::reliability_diagram;

use crate::Result;
use crate::comparison::Comparison;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};

const TEMPLATE: &str = include_str!("report/report.html.jinja");
const STYLE: &str = include_str!("report/style.css");

/// What goes into a report. Every part but the title is optional; a part that is not there is left out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Title of the page.
    pub title: String,
    /// When it was made, as text; see [`track::utc_timestamp`].
    pub created: String,
    /// Name of the base model.
    pub base_name: String,
    /// Name of the tuned model.
    pub tuned_name: String,
    /// The run: loss curve, totals, recipe, manifest.
    pub run: Option<track::Run>,
    /// Base against tuned.
    pub comparison: Option<Comparison>,
    /// How the data were split, with the certificate.
    pub split: Option<Split>,
    /// What cleaning removed.
    pub cleaning: Option<Cleaning>,
    /// Answers of both models side by side.
    pub examples: Vec<Example>,
}

impl Report {
    /// The page.
    ///
    /// # Errors
    /// [`crate::Error::Template`] is a bug of this crate: the template is part of it.
    pub fn to_html(&self) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("report", TEMPLATE)?;
        Ok(environment.get_template("report")?.render(Serde(view::View::of(self, STYLE)))?)
    }
}
