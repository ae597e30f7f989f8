//! BERTScore of answers, as the command line asks for it.

use std::path::Path;

use eval::counted;
use eval::evaluation::{Evaluation, measure_bertscore};
use eval::text::{BertScore, default_baseline, default_layer, read_baseline};
use model::Encoder;

use super::base::device;
use crate::args::BertScoreArgs;
use crate::failure::{Failure, Outcome, io};

/// Measures BERTScore of every answer with a reference, where an encoder is named, and notes its signature.
pub(crate) fn measure(args: &BertScoreArgs, evaluation: &mut Evaluation) -> Outcome<()> {
    let Some(named) = &args.bertscore else { return Ok(()) };
    let folder = formats::hub::resolve(named)?;
    let name = name(named);
    let layer = args.bertscore_layer.or_else(|| default_layer(&name)).ok_or_else(|| {
        Failure::input(format!("{named}: no layer is customary for an encoder of this name"))
            .hint("name one: --bertscore-layer")
    })?;
    let score = BertScore { layer, idf: args.bertscore_idf, baseline: None };
    let baseline = match &args.bertscore_baseline {
        None => None,
        Some(file) if file.as_os_str() == "table" => {
            let known = default_baseline(&name).filter(|_| default_layer(&name) == Some(layer));
            Some(known.ok_or_else(|| {
                Failure::input(format!("no baseline of `{name}` at layer {layer} is known"))
                    .hint("bert_score has files of them: --bertscore-baseline rescale_baseline/en/MODEL.tsv")
            })?)
        }
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(io(file))?;
            let baseline = read_baseline(&text, layer);
            Some(baseline.map_err(|error| Failure::input(format!("{}: {error}", file.display())))?)
        }
    };
    let score = BertScore { baseline, ..score };
    let encoder = Encoder::from_dir(device(), &folder)?;
    let cut = measure_bertscore(&mut evaluation.outcomes, &encoder, &score)?;
    if cut > 0 {
        eprintln!(
            "in no BERTScore: {}, as the texts are longer than the encoder reads",
            counted(cut, "token")
        );
    }
    evaluation.settings.metrics.insert("bertscore".into(), score.signature(&name));
    Ok(())
}

/// What an encoder is called: a name on the hub without its revision, or that of its folder.
fn name(named: &str) -> String {
    match Path::new(named) {
        folder if folder.is_dir() => {
            folder.file_name().map_or_else(|| named.to_owned(), |name| name.to_string_lossy().into_owned())
        }
        _ => named.split('@').next().unwrap_or(named).to_owned(),
    }
}
