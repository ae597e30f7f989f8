//! The head of a sequence classifier: from the first token's state to a logit for each label.

use compute::EncoderBackend;

use super::forward::States;
use super::load::Source;
use super::{Dense, Encoder, EncoderConfig};
use crate::{Error, Result};

/// `out(tanh(dense(x)))`. BERT's is the pooler of its pretraining and a classifier (`BertForSequenceClassification`),
/// RoBERTa's a head of its own (`RobertaClassificationHead`); transformers 5.23.
#[derive(Debug)]
pub(super) struct Head<B: EncoderBackend> {
    /// `[H, H]`.
    dense: Dense<B>,
    /// `[labels, H]`.
    out: Dense<B>,
    /// 1 or 2.
    labels: usize,
}

impl<B: EncoderBackend> Head<B> {
    /// Reads the head of the kind that the checkpoint has.
    pub(super) fn read(source: &mut Source<'_, B>, config: &EncoderConfig) -> Result<Self> {
        let unsupported = |source: &Source<'_, B>, reason| Error::Unsupported {
            path: source.checkpoint.path().into(),
            reason,
        };
        let prefix = std::mem::take(&mut source.prefix);
        let kinds = [
            ("classifier.dense".to_owned(), "classifier.out_proj"),
            (format!("{prefix}pooler.dense"), "classifier"),
        ];
        let weight = |out: &str| format!("{out}.weight");
        let Some((dense, out)) = kinds.into_iter().find(|(_, out)| source.checkpoint.contains(&weight(out)))
        else {
            let reason = "an encoder without a head, not a cross-encoder: it has neither classifier.weight nor \
                          classifier.out_proj.weight";
            return Err(unsupported(source, reason.to_owned()));
        };
        let width = config.hidden_size;
        let (_, shape) = source.checkpoint.info(&weight(out))?;
        let labels = match *shape {
            [labels, cols] if cols == width => labels,
            _ => {
                let (tensor, got) = (weight(out), shape.to_vec());
                return Err(Error::TensorShape {
                    origin: source.origin(),
                    tensor,
                    expected: vec![1, width],
                    got,
                });
            }
        };
        if !matches!(labels, 1 | 2) {
            let reason =
                format!("a classifier of {labels} labels; a cross-encoder has one, or two (no and yes)");
            return Err(unsupported(source, reason));
        }
        let dense = source.dense(&[dense], [width, width])?;
        let out = source.dense(&[out.to_owned()], [labels, width])?;
        Ok(Head { dense, out, labels })
    }

    /// A score for each sequence of a batch, whose first tokens `states` has: the logit, or that of the second label less that of the first.
    pub(super) fn scores(&self, encoder: &Encoder<B>, states: States<B>) -> Result<Vec<f32>> {
        let (backend, width) = (&*encoder.backend, encoder.config.hidden_size);
        let (x, count) = (states.x, states.segments.len());
        let mut pooled = backend.zeros("states of a head", count * width)?;
        encoder.dense(&mut pooled, &x, &self.dense, count);
        let mut values = vec![0.0; count * width];
        backend.read(&pooled, 0, &mut values);
        for value in &mut values {
            // The libraries of systems differ in the last bit of a tanh; in f64 it is rounded away.
            *value = f64::from(*value).tanh() as f32;
        }
        backend.write(&mut pooled, 0, &values);
        let mut logits = backend.zeros("logits of a head", count * self.labels)?;
        encoder.dense(&mut logits, &pooled, &self.out, count);
        let mut values = vec![0.0; count * self.labels];
        backend.read(&logits, 0, &mut values);
        let score = |logits: &[f32]| match *logits {
            [no, yes] => yes - no,
            _ => logits[0],
        };
        Ok(values.chunks_exact(self.labels).map(score).collect())
    }
}
