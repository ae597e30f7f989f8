//! Texts that begin alike and end differently, such as a question with each of its answers.
//!
//! Most of a text is encoded once for all of its endings where that can be said of the vocabulary: between a letter and a
//! single blank before a letter every known expression ends a word, whatever comes later, and byte-level vocabularies
//! encode word by word.

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{ModelWrapper, NormalizerWrapper, SplitDelimiterBehavior};

use super::{Tokenizer, words};
use crate::Result;

impl Tokenizer {
    /// The ids of `text` and of `text` with each of `endings` behind it, all as [`Tokenizer::encode_ordinary`] or, with
    /// `control`, [`Tokenizer::encode_with_control`] would give them.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) when the vocabulary has no tokens for one of the texts.
    pub fn encode_endings(
        &self,
        text: &str,
        endings: &[String],
        control: bool,
    ) -> Result<(Vec<u32>, Vec<Vec<u32>>)> {
        let encode = |text: &str| match control {
            true => self.encode_with_control(text),
            false => self.encode_ordinary(text),
        };
        let (settled, rest) = text.split_at(self.settled(text));
        let settled = if settled.is_empty() { Vec::new() } else { encode(settled)? };
        let whole = |ending: &str| -> Result<Vec<u32>> {
            let rest = encode(&format!("{rest}{ending}"))?;
            Ok(settled.iter().copied().chain(rest).collect())
        };
        Ok((whole("")?, endings.iter().map(|ending| whole(ending)).collect::<Result<_>>()?))
    }

    /// Up to where the tokens of `text` are the same whatever stands behind it; 0 where that cannot be said.
    fn settled(&self, text: &str) -> usize {
        let between_words = |three: &[u8]| matches!(three, [a, b' ', b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic());
        match self.settles {
            true => text.as_bytes().windows(3).rposition(between_words).map_or(0, |at| at + 1),
            false => 0,
        }
    }
}

/// Whether the words of a vocabulary end between a letter and a single blank before a letter, whatever comes later, and
/// their tokens depend on nothing else.
pub(super) fn settles(inner: &tokenizers::Tokenizer) -> bool {
    let byte_pairs = matches!(inner.get_model(), ModelWrapper::BPE(model)
        if model.dropout.is_none() && model.continuing_subword_prefix.is_none() && model.end_of_word_suffix.is_none());
    let as_written = matches!(inner.get_normalizer(), None | Some(NormalizerWrapper::NFC(_)));
    // Tokens that are found before words are, or take the blanks beside them.
    let added = inner.get_added_tokens_decoder();
    let apart = added.values().all(|token| {
        let plain = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        let content = &token.content;
        plain(content.chars().next())
            && plain(content.chars().next_back())
            && !content.contains(char::is_whitespace)
    });
    byte_pairs && as_written && apart && inner.get_pre_tokenizer().is_some_and(ends_words_at_blanks)
}

fn ends_words_at_blanks(rule: &PreTokenizerWrapper) -> bool {
    let steps = match rule {
        PreTokenizerWrapper::Sequence(steps) => steps.as_ref(),
        one => std::slice::from_ref(one),
    };
    let mut ends = false;
    for step in steps {
        ends |= match step {
            PreTokenizerWrapper::Digits(_) => false,
            PreTokenizerWrapper::ByteLevel(bytes) if !bytes.add_prefix_space => bytes.use_regex,
            PreTokenizerWrapper::Split(split)
                if !split.invert && split.behavior == SplitDelimiterBehavior::Isolated =>
            {
                match &split.pattern {
                    SplitPattern::Regex(expression) if words::NUMBERS.contains(&expression.as_str()) => false,
                    SplitPattern::Regex(expression)
                        if words::ENDING_AT_BLANKS.contains(&expression.as_str()) =>
                    {
                        true
                    }
                    _ => return false,
                }
            }
            _ => return false,
        };
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::super::super::{SPECIALS, train_bpe};
    use super::*;

    #[test]
    fn a_text_is_settled_at_its_last_blank_between_letters() {
        let json = train_bpe(["a dose of 5 mg"].iter().cycle().take(9), 300, &SPECIALS).expect("it trains");
        let tokenizer = Tokenizer::from_json(&json).expect("it loads");
        for (text, settled) in [
            ("a dose of 5 mg", "a dose"),
            ("Question: what is\nAnswer:", "Question: what"),
            ("two  blanks", ""),
            ("", ""),
            ("café noir", ""),
        ] {
            assert_eq!(&text[..tokenizer.settled(text)], settled, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_settled_where_words_may_hold_blanks() {
        let json = train_bpe(["a dose of 5 mg"].iter().cycle().take(9), 300, &SPECIALS).expect("it trains");
        let settles = |from: &str, to: &str| {
            assert!(json.contains(from), "{from} in {json}");
            Tokenizer::from_json(&json.replace(from, to)).expect("it loads").settles
        };
        assert!(settles("<|im_end|>", "<|turn|>"));
        assert!(!settles("<|im_end|>", "<|im end|>"), "a token with a blank");
        assert!(!settles("<|im_end|>", "end"), "a token of letters");
        assert!(!settles("\"use_regex\": true", "\"use_regex\": false"), "no words");
        assert!(
            !settles("\"add_prefix_space\": false", "\"add_prefix_space\": true"),
            "a blank before every part"
        );
    }
}
