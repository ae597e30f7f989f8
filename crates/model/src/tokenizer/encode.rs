//! The way from text to ids.

use tokenizers::{
    Model, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Result as LibraryResult,
};

use super::cut::{added_pieces, cut, cut_at};
use super::{Piece, Tokenizer};
use crate::Result;

/// How often text that reads as a control token is cut, before it is refused.
const ATTEMPTS: usize = 4;

impl Tokenizer {
    /// Ids of ordinary text: control tokens written in it stay text, and nothing is added.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) when the vocabulary has no tokens for the text.
    pub fn encode_ordinary(&self, text: &str) -> Result<Vec<u32>> {
        let split = || Ok(self.ordinary.extract_and_normalize(self.inner.get_normalizer(), text));
        Ok(ids(self.text_pieces(text, &[], &[], split)?))
    }

    /// Ids of text in which control tokens count, such as a rendered template; nothing is added.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) when the vocabulary has no tokens for the text.
    pub fn encode_with_control(&self, text: &str) -> Result<Vec<u32>> {
        Ok(ids(self.pieces_with_control(text, &[])?))
    }

    /// As [`Tokenizer::encode_with_control`], with the bytes of each token. What the vocabulary's rules see as one
    /// word ends at every byte of `cuts`, so that the tokens before a cut do not depend on the text after it (but for
    /// vocabularies that put a blank before every part of a text, which are left as they are).
    pub(crate) fn pieces_with_control(&self, text: &str, cuts: &[usize]) -> Result<Vec<Piece>> {
        let added = self.inner.get_added_vocabulary();
        self.pieces(cuts, || Ok(added.extract_and_normalize(self.inner.get_normalizer(), text)))
    }

    /// Control tokens exactly where `control` says (in order), ordinary text everywhere else; `cuts` as above.
    pub(crate) fn pieces_with_control_at(
        &self,
        text: &str,
        control: &[Piece],
        cuts: &[usize],
    ) -> Result<Vec<Piece>> {
        self.text_pieces(text, control, cuts, || {
            let mut split = PreTokenizedString::from(text);
            split.split(|_, whole| Ok(cut(&whole, control)))?;
            let no_normalizer: Option<&tokenizers::NormalizerWrapper> = None;
            split.split(|_, part| {
                let added = self.ordinary.extract_and_normalize(no_normalizer, part.get());
                Ok(cut(&part, &added_pieces(&added)))
            })?;
            if let Some(normalizer) = self.inner.get_normalizer() {
                split.normalize(|part| normalizer.normalize(part))?;
            }
            Ok(split)
        })
    }

    /// The pieces of a text in which only the pieces of `control` may be control tokens. Some models (unigram ones)
    /// find a control token like any other when its name is written in the text; there the text is cut within it.
    fn text_pieces(
        &self,
        text: &str,
        control: &[Piece],
        cuts: &[usize],
        split: impl Fn() -> LibraryResult<PreTokenizedString>,
    ) -> Result<Vec<Piece>> {
        let mut cuts = cuts.to_vec();
        for _ in 0..ATTEMPTS {
            let pieces = self.pieces(&cuts, &split)?;
            let mistaken = pieces.iter().filter_map(|piece| {
                let at = self.cut_within(text, piece)?;
                (!control.contains(piece)).then_some(at)
            });
            let mistaken: Vec<usize> = mistaken.collect();
            if mistaken.is_empty() {
                return Ok(pieces);
            }
            cuts.extend(mistaken);
            cuts.sort_unstable();
        }
        Err(self.failed("the name of a control token in a text cannot be told from the token".into()))
    }

    /// Where to cut a piece that is a control token, or a byte, only because the text reads like its name.
    fn cut_within(&self, text: &str, piece: &Piece) -> Option<usize> {
        let name = text.get(piece.bytes.clone())?;
        let is_byte = || name.len() == 6 && name.starts_with("<0x") && name.ends_with('>');
        if !(self.is_special(piece.id) || is_byte()) || self.id_to_token(piece.id)? != name {
            return None;
        }
        let (second, _) = name.char_indices().nth(1)?;
        Some(piece.bytes.start + second)
    }

    /// The library's pipeline, with no post-processor.
    fn pieces(
        &self,
        cuts: &[usize],
        split: impl FnOnce() -> LibraryResult<PreTokenizedString>,
    ) -> Result<Vec<Piece>> {
        let encoding = self.guarded(|| {
            let mut split = split()?;
            // After the normalizer, which would put a blank of its own (as Llama 2's does) before each part.
            if self.cuttable && !cuts.is_empty() {
                split.split(|_, part| Ok(cut_at(part, cuts)))?;
            }
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut split)?;
            }
            self.inner.get_model().tokenize_in_pretokenized(&mut split, None)?;
            nothing_is_lost(&split)?;
            split.into_encoding(None, 0, OffsetType::Byte)
        })?;
        let pieces = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(pieces.map(|(id, (start, end))| Piece { id: *id, bytes: *start..*end }).collect())
    }
}

fn ids(pieces: Vec<Piece>) -> Vec<u32> {
    pieces.into_iter().map(|piece| piece.id).collect()
}

/// Refuses a text of which the model has left out characters: those that it has no token for.
fn nothing_is_lost(split: &PreTokenizedString) -> LibraryResult<()> {
    for (part, _, tokens) in split.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
        let ends = tokens.iter().flatten().map(|token| token.offsets);
        let covered = ends.fold(0, |done, (start, end)| if start <= done { done.max(end) } else { done });
        if covered < part.len() {
            let excerpt: String = part.chars().take(40).collect();
            return Err(format!("the vocabulary has no token for a character of {excerpt:?}").into());
        }
    }
    Ok(())
}
