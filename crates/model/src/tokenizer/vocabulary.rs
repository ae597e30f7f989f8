//! A vocabulary as the files of sentencepiece and GGUF list it: tokens in the order of their ids.

use std::collections::HashMap;

use tokenizers::AddedToken;
use tokenizers::models::bpe;

/// The most tokens of a vocabulary.
pub(super) const MOST_TOKENS: usize = 4 << 20;
/// The most work that is done to find the merges of a vocabulary: the sum of the squared lengths of its tokens.
const MERGE_WORK: usize = 1 << 30;

/// What a token is for. The numbers are those of sentencepiece's `ModelProto.SentencePiece.Type`, which GGUF shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    pub(super) fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return None,
        })
    }

    pub(super) fn number(self) -> i32 {
        match self {
            Kind::Normal => 1,
            Kind::Unknown => 2,
            Kind::Control => 3,
            Kind::UserDefined => 4,
            Kind::Unused => 5,
            Kind::Byte => 6,
        }
    }

    /// Whether text may be cut into such tokens. Unused and user-defined ones are as others are, as transformers and
    /// llama.cpp have it: Gemma's runs of blanks are user-defined.
    fn is_text(self) -> bool {
        matches!(self, Kind::Normal | Kind::Unused | Kind::UserDefined)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// Tokens by id: none empty, none twice, no score that is no number.
#[derive(Debug)]
pub(super) struct Vocabulary(Vec<Entry>);

impl Vocabulary {
    pub(super) fn new(entries: Vec<Entry>) -> Result<Self, String> {
        if entries.is_empty() || entries.len() > MOST_TOKENS {
            return Err(format!("{} tokens, expected 1 to {MOST_TOKENS}", entries.len()));
        }
        let mut seen = HashMap::with_capacity(entries.len());
        for (id, entry) in entries.iter().enumerate() {
            if entry.text.is_empty() {
                return Err(format!("token {id} is empty"));
            }
            if entry.score.is_nan() {
                return Err(format!("the score of token {id} ({:?}) is not a number", entry.text));
            }
            if let Some(first) = seen.insert(entry.text.as_str(), id) {
                return Err(format!("tokens {first} and {id} are the same: {:?}", entry.text));
            }
        }
        Ok(Vocabulary(entries))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn get(&self, id: u64) -> Option<&Entry> {
        self.0.get(usize::try_from(id).ok()?)
    }

    pub(super) fn has_bytes(&self) -> bool {
        self.0.iter().any(|entry| entry.kind == Kind::Byte)
    }

    pub(super) fn ids(&self) -> bpe::Vocab {
        self.0.iter().zip(0..).map(|(entry, id)| (entry.text.clone(), id)).collect()
    }

    /// What stands apart from text: control and unknown tokens as special, user-defined ones as ordinary tokens.
    pub(super) fn added_tokens(&self) -> Vec<AddedToken> {
        let added = |entry: &Entry| match entry.kind {
            Kind::Control | Kind::Unknown => Some(AddedToken::from(&entry.text, true).normalized(false)),
            Kind::UserDefined => Some(AddedToken::from(&entry.text, false).normalized(false)),
            Kind::Normal | Kind::Unused | Kind::Byte => None,
        };
        self.0.iter().filter_map(added).collect()
    }

    /// With which score each token is found by the unigram model. The library knows no kinds, so what is no text is
    /// made too dear to be chosen.
    pub(super) fn unigram_scores(&self) -> Vec<(String, f64)> {
        const NEVER: f64 = -1e6;
        let score = |entry: &Entry| if entry.kind.is_text() { f64::from(entry.score) } else { NEVER };
        self.0.iter().map(|entry| (entry.text.clone(), score(entry))).collect()
    }

    /// The pairs whose union is a token, the highest score first: what sentencepiece's BPE does with scores, as a
    /// list of merges (transformers' `generate_merges`).
    pub(super) fn merges(&self) -> Result<Vec<(String, String)>, String> {
        let texts = self.0.iter().filter(|entry| entry.kind.is_text());
        let work = texts
            .clone()
            .try_fold(0usize, |sum, entry| sum.checked_add(entry.text.len().checked_mul(entry.text.len())?));
        if work.is_none_or(|work| work > MERGE_WORK) {
            return Err("tokens too long to find the merges that make them".to_owned());
        }
        let ids: HashMap<&str, usize> = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.kind.is_text())
            .map(|(id, entry)| (entry.text.as_str(), id))
            .collect();
        let mut merges: Vec<(&Entry, usize)> = Vec::new();
        for entry in texts {
            let mut splits: Vec<(usize, usize, usize)> = entry
                .text
                .char_indices()
                .skip(1)
                .filter_map(|(at, _)| {
                    let (left, right) = entry.text.split_at(at);
                    Some((*ids.get(left)?, *ids.get(right)?, at))
                })
                .collect();
            splits.sort_unstable();
            merges.extend(splits.into_iter().map(|(_, _, at)| (entry, at)));
        }
        merges.sort_by(|(one, at), (other, other_at)| {
            other.score.total_cmp(&one.score).then_with(|| other_at.cmp(at))
        });
        let pair = |(entry, at): (&Entry, usize)| {
            let (left, right) = entry.text.split_at(at);
            (left.to_owned(), right.to_owned())
        };
        Ok(merges.into_iter().map(pair).collect())
    }
}
