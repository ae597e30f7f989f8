//! Multiple choice: each option is read as the answer to the question, and the likeliest one is the model's choice.

use chat::Message;
use compute::{Backend, Segment};

use crate::{
    Activations, ChatTemplate, Decoder, Encoded, Labels, Result, Tokenizer, Tokens, TrainOn,
    encode_conversation,
};

/// The options of a question in one batch, in which the question is computed once for all of them.
#[derive(Debug, Clone, Default)]
pub struct Options {
    ids: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    rows: Vec<u32>,
    labels: Vec<u32>,
    /// For each label, the option that it belongs to.
    owners: Vec<usize>,
    /// Length of each option's text.
    bytes: Vec<usize>,
    longest: usize,
}

/// How likely the model holds an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionScore {
    /// Natural log of the probability that the model answers with this text, its end of turn left out.
    pub log_likelihood: f64,
    /// Length of the text.
    pub bytes: usize,
}

impl OptionScore {
    /// Log-likelihood per byte of the text, by which options are compared (`acc_norm` of lm-evaluation-harness).
    pub fn per_byte(&self) -> f64 {
        self.log_likelihood / self.bytes.max(1) as f64
    }
}

impl Options {
    /// The conversation `question` with each of `options` as its answer, through the model's own template.
    ///
    /// # Errors
    /// Those of [`encode_conversation`].
    pub fn encode(
        tokenizer: &Tokenizer,
        template: &ChatTemplate,
        question: &[Message],
        options: &[&str],
    ) -> Result<Self> {
        let encode = |text: &&str| -> Result<Encoded> {
            let messages: Vec<Message> =
                question.iter().cloned().chain([Message::assistant(*text)]).collect();
            let mut encoded = encode_conversation(tokenizer, template, &messages, TrainOn::Answers)?;
            // Of the last answer only, and how surely a model stops says nothing about the option.
            if let Some(end) = encoded.labels.iter().rposition(|label| *label) {
                let start = encoded.labels[..end].iter().rposition(|label| !label).map_or(0, |at| at + 1);
                encoded.labels[..start].fill(false);
                encoded.labels[end] = false;
            }
            Ok(encoded)
        };
        let encoded = options.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let mut batch = Self::of(&encoded);
        batch.bytes = options.iter().map(|text| text.len()).collect();
        Ok(batch)
    }

    /// One batch in which the tokens that all options have in common are a prefix segment.
    fn of(options: &[Encoded]) -> Self {
        let first = options.first().map_or(&[][..], |o| &o.ids);
        let common =
            (0..first.len()).take_while(|&i| options.iter().all(|o| o.ids.get(i) == Some(&first[i]))).count();
        // The last common token stands in every option: it predicts the first token that differs.
        let labelled =
            options.iter().filter_map(|o| o.labels.iter().position(|l| *l)).min().unwrap_or(common);
        let shared = common.min(labelled).saturating_sub(1);
        let longest = options.iter().map(|o| o.ids.len()).max().unwrap_or(0);
        let mut batch = Options { longest, ..Options::default() };
        if shared > 0 {
            batch.segments.push(Segment::whole(0, shared));
            batch.ids.extend(&first[..shared]);
            batch.positions.extend(0..shared as u32);
        }
        for (owner, option) in options.iter().enumerate() {
            let start = batch.ids.len();
            let prefix = (shared > 0).then_some(0);
            batch.segments.push(Segment { start, len: option.ids.len() - shared, prefix });
            batch.ids.extend(&option.ids[shared..]);
            batch.positions.extend(shared as u32..option.ids.len() as u32);
            for i in shared + 1..option.ids.len() {
                if option.labels[i] {
                    batch.rows.push((start + i - shared - 1) as u32);
                    batch.labels.push(option.ids[i]);
                    batch.owners.push(owner);
                }
            }
        }
        batch
    }

    /// Tokens of the batch.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens whose likelihood is read.
    pub fn labels(&self) -> usize {
        self.labels.len()
    }

    /// Tokens of the question with its longest option, which the decoder must have positions for.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The options of several questions in one batch; every question has a segment of its own.
    fn joined(questions: &[Self]) -> Self {
        let mut batch = Options::default();
        for question in questions {
            let (start, segments) = (batch.ids.len(), batch.segments.len());
            let moved = question.segments.iter().map(|segment| Segment {
                start: start + segment.start,
                len: segment.len,
                prefix: segment.prefix.map(|prefix| segments + prefix),
            });
            batch.segments.extend(moved);
            batch.rows.extend(question.rows.iter().map(|row| row + start as u32));
            batch.owners.extend(question.owners.iter().map(|owner| owner + batch.bytes.len()));
            batch.ids.extend(&question.ids);
            batch.positions.extend(&question.positions);
            batch.labels.extend(&question.labels);
            batch.bytes.extend(&question.bytes);
            batch.longest = batch.longest.max(question.longest);
        }
        batch
    }

    /// Reads the options of several questions in one pass, to the bits that each question has alone.
    ///
    /// # Panics
    /// As [`Options::read`], with all tokens together.
    pub fn read_all<B: Backend>(
        questions: &[Self],
        decoder: &Decoder<B>,
        activations: &mut Activations<B>,
        adapter: bool,
    ) -> Vec<Vec<OptionScore>> {
        let mut scores = Self::joined(questions).read(decoder, activations, adapter).into_iter();
        questions.iter().map(|question| scores.by_ref().take(question.bytes.len()).collect()).collect()
    }

    /// Reads the options; their scores have the order of the texts.
    ///
    /// # Panics
    /// When `activations` has room for fewer than [`Options::tokens`], or [`Options::longest`] exceeds the decoder's
    /// positions.
    pub fn read<B: Backend>(
        &self,
        decoder: &Decoder<B>,
        activations: &mut Activations<B>,
        adapter: bool,
    ) -> Vec<OptionScore> {
        let tokens = Tokens { ids: &self.ids, positions: &self.positions };
        let weights = vec![0.0; self.rows.len()];
        let labels = Labels { rows: &self.rows, labels: &self.labels, weights: &weights };
        let judged = decoder.judge(tokens, &self.segments, labels, activations, adapter);
        let score = |bytes: &usize| OptionScore { log_likelihood: 0.0, bytes: *bytes };
        let mut scores: Vec<OptionScore> = self.bytes.iter().map(score).collect();
        for (&owner, &log_prob) in self.owners.iter().zip(&judged.log_probs) {
            scores[owner].log_likelihood += f64::from(log_prob);
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(ids: &[u32], first_label: usize) -> Encoded {
        let labels = (0..ids.len()).map(|i| i >= first_label).collect();
        Encoded { ids: ids.to_vec(), labels }
    }

    #[test]
    fn options_share_their_question_and_keep_their_labels() {
        let batch = Options::of(&[option(&[1, 2, 3, 7, 8], 3), option(&[1, 2, 3, 7, 9, 4], 3)]);
        assert_eq!(batch.ids, [1, 2, 3, 7, 8, 3, 7, 9, 4]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 4, 2, 3, 4, 5]);
        assert_eq!(batch.segments[2], Segment { start: 5, len: 4, prefix: Some(0) });
        assert_eq!((batch.rows, batch.labels), (vec![2, 3, 5, 6, 7], vec![7, 8, 7, 9, 4]));
        assert_eq!(batch.owners, [0, 0, 1, 1, 1]);
        assert_eq!(batch.longest, 6);
    }

    #[test]
    fn questions_beside_each_other_keep_what_is_theirs() {
        let question = |ids: [&[u32]; 2]| {
            let mut options = Options::of(&ids.map(|ids| option(ids, 2)));
            options.bytes = vec![1, 2];
            options
        };
        let questions = [question([&[1, 2, 7], &[1, 2, 8, 9]]), question([&[3, 4, 5], &[3, 4, 6]])];
        let batch = Options::joined(&questions);
        assert_eq!(batch.ids, [1, 2, 7, 2, 8, 9, 3, 4, 5, 4, 6]);
        assert_eq!(batch.positions, [0, 1, 2, 1, 2, 3, 0, 1, 2, 1, 2]);
        assert_eq!(batch.segments[4], Segment { start: 7, len: 2, prefix: Some(3) });
        assert_eq!((batch.rows, batch.labels), (vec![1, 3, 4, 7, 9], vec![7, 8, 9, 5, 6]));
        assert_eq!(batch.owners, [0, 1, 1, 2, 3]);
        assert_eq!((batch.bytes, batch.longest), (vec![1, 2, 1, 2], 4));
    }
}
