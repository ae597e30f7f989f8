//! Customary layers of BERTScore and the scores of unrelated texts.
//!
//! From bert_score 0.3.13 (MIT), `utils.py` and `rescale_baseline/en`, for the encoders that run here.

use super::PrecisionRecall;
use crate::{Error, Result};

/// Model, layer with the best correlation to human judgement on WMT16.
const LAYERS: &[(&str, usize)] = &[
    ("bert-base-uncased", 9),
    ("bert-large-uncased", 18),
    ("bert-base-cased-finetuned-mrpc", 9),
    ("bert-base-multilingual-cased", 9),
    ("bert-base-chinese", 8),
    ("roberta-base", 10),
    ("roberta-large", 17),
    ("roberta-large-mnli", 19),
    ("roberta-base-openai-detector", 7),
    ("roberta-large-openai-detector", 15),
    ("distilroberta-base", 5),
    ("xlm-roberta-base", 9),
    ("xlm-roberta-large", 17),
    ("allenai/scibert_scivocab_uncased", 8),
    ("allenai/scibert_scivocab_cased", 9),
    ("nfliu/scibert_basevocab_uncased", 9),
    ("SpanBERT/spanbert-base-cased", 8),
    ("SpanBERT/spanbert-large-cased", 17),
    ("ProsusAI/finbert", 10),
    ("princeton-nlp/unsup-simcse-bert-base-uncased", 10),
    ("princeton-nlp/sup-simcse-bert-base-uncased", 10),
    ("princeton-nlp/unsup-simcse-roberta-large", 13),
    ("princeton-nlp/sup-simcse-roberta-large", 16),
];

/// Model, and precision, recall and F1 of unrelated English texts at its customary layer.
const BASELINES: &[(&str, [f64; 3])] = &[
    ("bert-base-uncased", [0.35375935, 0.3537393, 0.35219112]),
    ("bert-large-uncased", [0.4278576, 0.42786714, 0.42646673]),
    ("bert-base-cased-finetuned-mrpc", [0.55345184, 0.55342007, 0.5525519]),
    ("bert-base-multilingual-cased", [0.6320527, 0.6320019, 0.63146895]),
    ("roberta-base", [0.8146725, 0.8146619, 0.814463]),
    ("roberta-large", [0.83150584, 0.8314941, 0.83122575]),
    ("roberta-large-mnli", [0.6901594, 0.69018, 0.6896288]),
    ("distilroberta-base", [0.84732, 0.84759504, 0.8473319]),
    ("xlm-roberta-base", [0.81658614, 0.8165717, 0.81639785]),
    ("xlm-roberta-large", [0.85291016, 0.8529066, 0.8525485]),
];

/// The layer that is customary for a model of Hugging Face, by its name with or without the owner
/// (`FacebookAI/roberta-large`). A model that is not in the table has none: choose one and say so.
pub fn default_layer(model: &str) -> Option<usize> {
    find(LAYERS, model)
}

/// Scores of unrelated English texts with a model at its [`default_layer`].
pub fn default_baseline(model: &str) -> Option<PrecisionRecall> {
    find(BASELINES, model).map(|[precision, recall, f1]| PrecisionRecall { precision, recall, f1 })
}

fn find<T: Copy>(table: &[(&str, T)], model: &str) -> Option<T> {
    let name = |model: &str| model.rsplit('/').next().unwrap_or_default().to_string();
    table.iter().find(|(known, _)| name(known) == name(model)).map(|(_, value)| *value)
}

/// The baseline of a layer from the text of one of bert_score's files: `LAYER,P,R,F`, a line a layer.
///
/// # Errors
///
/// [`Error::Baseline`] when there is no such layer, or its line is not four numbers.
pub fn read_baseline(text: &str, layer: usize) -> Result<PrecisionRecall> {
    let mut lines = text.lines().skip(1).map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    let line = lines.find(|cells| cells[0].parse() == Ok(layer));
    let wrong = |reason: &str| Error::Baseline { layer, reason: reason.to_string() };
    let cells = line.ok_or_else(|| wrong("no line begins with it"))?;
    let numbers: Vec<f64> = cells[1..].iter().filter_map(|cell| cell.parse().ok()).collect();
    match (numbers.as_slice(), cells.len()) {
        ([precision, recall, f1], 4) if numbers.iter().all(|number| *number < 1.0) => {
            Ok(PrecisionRecall { precision: *precision, recall: *recall, f1: *f1 })
        }
        _ => Err(wrong("expected three numbers below 1 behind it")),
    }
}
