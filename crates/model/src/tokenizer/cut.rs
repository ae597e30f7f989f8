//! Texts in parts: where control tokens lie, and where words must end.

use std::ops::Range;

use tokenizers::tokenizer::normalizer;
use tokenizers::{NormalizedString, OffsetReferential, OffsetType, PreTokenizedString, Token};

use super::Piece;

/// A part of a text that is not normalised yet, cut into the given tokens and what lies between them.
pub(super) fn cut(part: &NormalizedString, tokens: &[Piece]) -> Vec<(NormalizedString, Option<Vec<Token>>)> {
    let mut parts = Vec::with_capacity(2 * tokens.len() + 1);
    let mut take = |range: Range<usize>, id: Option<u32>| {
        if let Some(slice) = part.slice(normalizer::Range::Normalized(range)) {
            let length = slice.get().len();
            parts.push((
                slice.clone(),
                id.map(|id| vec![Token::new(id, slice.get().to_owned(), (0, length))]),
            ));
        }
    };
    let mut done = 0;
    for token in tokens {
        take(done..token.bytes.start, None);
        take(token.bytes.clone(), Some(token.id));
        done = token.bytes.end;
    }
    take(done..part.get().len(), None);
    parts
}

/// A part of a text, cut where `cuts` (in bytes of the text) say.
pub(super) fn cut_at(part: NormalizedString, cuts: &[usize]) -> Vec<NormalizedString> {
    let (start, end) = part.offsets_original();
    let mut inside: Vec<usize> = cuts.iter().filter(|cut| (start + 1..end).contains(cut)).copied().collect();
    inside.push(end);
    let mut from = start;
    let mut slices = Vec::with_capacity(inside.len());
    for to in inside {
        match part.slice(normalizer::Range::Original(from - start..to - start)) {
            Some(slice) => slices.push(slice),
            // The normalizer has joined what lies on both sides.
            None => return vec![part],
        }
        from = to;
    }
    slices
}

/// The added tokens that were found in a text.
pub(super) fn added_pieces(split: &PreTokenizedString) -> Vec<Piece> {
    let parts = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
    let tokens = parts.into_iter().filter_map(|(_, (start, end), tokens)| {
        tokens
            .as_ref()
            .and_then(|tokens| tokens.first())
            .map(|token| Piece { id: token.id, bytes: start..end })
    });
    tokens.collect()
}
