//! BERTScore of outcomes.

use crate::Result;
use crate::comparison::Outcome;
use crate::text::BertScore;
use compute::EncoderBackend;
use model::Encoder;

/// Measures BERTScore of every answer whose text was measured against a reference. An empty answer scores 0, as
/// bert_score has it: a model that says nothing matches nothing. Returns the number of tokens that the encoder could
/// not read because a text is too long.
///
/// # Errors
/// As [`BertScore::score`].
pub fn measure_bertscore<B: EncoderBackend>(
    outcomes: &mut [Outcome],
    encoder: &Encoder<B>,
    settings: &BertScore,
) -> Result<usize> {
    let is_measured =
        |outcome: &&mut Outcome| outcome.text.as_ref().is_some_and(|text| !text.empty_reference);
    let mut measured: Vec<&mut Outcome> = outcomes.iter_mut().filter(is_measured).collect();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let texts: Vec<(String, String)> =
        measured.iter().map(|outcome| (text(&outcome.answer), text(&outcome.reference))).collect();
    let pairs: Vec<(&str, &str)> =
        texts.iter().map(|(answer, reference)| (answer.as_str(), reference.as_str())).collect();
    let items = settings.score(encoder, &pairs)?;
    let cut = items.iter().map(|item| item.cut).sum();
    for (outcome, item) in measured.iter_mut().zip(items) {
        outcome.bertscore = Some(item.score.unwrap_or_default());
    }
    Ok(cut)
}
