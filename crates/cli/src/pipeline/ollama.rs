//! A Modelfile for Ollama.
//!
//! Source: Ollama's `docs/modelfile.md` and `parser/parser.go`.

use std::fmt::Write;
use std::path::Path;

use formats::atomic::write_atomic;
use model::OllamaTemplate;

use super::base::Model;
use crate::failure::{Failure, Outcome};

/// Writes `Modelfile` beside the GGUF file `weights`, once its template renders what the model's own renders. Returns
/// what a person should know.
pub(crate) fn write(folder: &Path, model: &Model, weights: &str) -> Outcome<Vec<String>> {
    let template = model.template.to_go(&model.tokenizer).map_err(|error| {
        Failure::from(error).hint("export with `--to gguf`: llama.cpp runs the chat template itself")
    })?;
    let text = modelfile(&template, weights, model.decoder.config().max_positions)?;
    write_atomic(folder.join("Modelfile"), text.as_bytes())?;
    Ok(template.notes)
}

fn modelfile(template: &OllamaTemplate, weights: &str, positions: usize) -> Outcome<String> {
    let mut text = format!("FROM ./{weights}\nTEMPLATE {}\n", quoted(&template.source)?);
    let _ = writeln!(text, "PARAMETER num_ctx {positions}");
    for stop in &template.stops {
        let _ = writeln!(text, "PARAMETER stop {}", quoted(stop)?);
    }
    Ok(text)
}

/// The template in a Modelfile, where it stands between three quotes.
pub(crate) fn template_of(modelfile: &str) -> Option<&str> {
    let (_, rest) = modelfile.split_once("TEMPLATE \"\"\"")?;
    Some(rest.split_once("\"\"\"")?.0)
}

/// A text between three quotes, which Modelfiles take as it is.
fn quoted(text: &str) -> Outcome<String> {
    match text.contains("\"\"\"") || text.ends_with('"') {
        true => Err(Failure::input(format!(
            "{text:?} has no place in a Modelfile: it has three quotes or ends with one"
        ))),
        false => Ok(format!("\"\"\"{text}\"\"\"")),
    }
}
