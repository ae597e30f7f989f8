//! The card of an evaluation: what was measured and how it came out, sealed to the items that it was computed from.

use super::rescore::rescored_outcomes;
use super::{
    CARD, Closeness, Evaluation, EvaluationError, ITEMS, PublicKey, Results, Settings, SigningKey, read_json,
    write_json,
};
use crate::Result;
use formats::atomic::write_atomic;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use track::FileHash;

/// Name and version of the format.
const FORMAT: &str = "medtune-card/1";

/// What was measured and how it came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// `medtune-card/1`.
    pub format: String,
    /// What made the outcomes.
    pub settings: Settings,
    /// The items, by a path beside the card.
    pub items: FileHash,
    /// All numbers.
    pub results: Results,
    /// The public key of whoever signed, as 64 hexadecimal digits; `None` for a card without a signature.
    pub signed_by: Option<String>,
}

/// Whether a card is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signed {
    /// By the key that it names.
    Yes,
    /// It names no key.
    No,
    /// It names a key whose signature is absent, or is not that of these bytes.
    Broken,
}

/// What a check of a card found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardCheck {
    /// Whether nothing speaks against the card.
    pub passed: bool,
    /// Whether it is signed.
    pub signed: Signed,
    /// The key that it names.
    pub signed_by: Option<String>,
    /// Numbers that were computed again.
    pub numbers: usize,
    /// Items behind them.
    pub items: usize,
    /// What speaks against it.
    pub reasons: Vec<String>,
}

impl Card {
    /// The card of a folder whose items are written.
    pub(super) fn of(folder: &Path, settings: Settings, results: Results) -> Result<Self> {
        let hash =
            FileHash::of(folder.join(ITEMS)).map_err(|error| EvaluationError::malformed(folder, error))?;
        let items = FileHash { path: ITEMS.to_string(), ..hash };
        Ok(Self { format: FORMAT.to_string(), settings, items, results, signed_by: None })
    }

    /// Writes the card and its signature; without a key a signature that was there is removed.
    pub(super) fn write(mut self, folder: &Path, key: Option<&SigningKey>) -> Result<()> {
        let path = folder.join(CARD);
        self.signed_by = key.map(|key| key.public().to_string());
        write_json(&path, &self)?;
        let signature = signature_of(&path);
        match key {
            Some(key) => {
                let bytes = std::fs::read(&path).map_err(EvaluationError::io(&path))?;
                write_atomic(&signature, &key.sign(&bytes)).map_err(EvaluationError::from)?;
            }
            None if signature.exists() => {
                std::fs::remove_file(&signature).map_err(EvaluationError::io(&signature))?;
            }
            None => {}
        }
        Ok(())
    }

    /// Checks a card: its signature, the hash of its items, and that every number comes out again, those of the items
    /// from their texts and those of the card from the items. A signature says that nothing was changed since; whose it
    /// is says only `trusted`, which came by another way than the card.
    ///
    /// # Errors
    /// [`EvaluationError`] where the card or its items cannot be read at all.
    pub fn check(path: &Path, trusted: Option<&PublicKey>) -> Result<CardCheck> {
        let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
        let card: Self = read_json(path, "the card of an evaluation")?;
        let mut reasons = Vec::new();
        let signed = card.check_signature(&bytes, path, trusted, &mut reasons);
        if card.format != FORMAT {
            reasons.push(format!("the card's format is `{}`, known is `{FORMAT}`", card.format));
        }
        let file = path.with_file_name(ITEMS);
        let hash = FileHash::of(&file).map_err(|error| EvaluationError::malformed(&file, error))?;
        if hash.blake3 != card.items.blake3 {
            reasons
                .push(format!("{ITEMS} is not the file that the card was computed from: its hash differs"));
        }
        let evaluation = match Evaluation::read(path) {
            Ok(evaluation) => evaluation,
            Err(error) if !reasons.is_empty() => {
                reasons.push(error.to_string());
                return Ok(card.verdict(signed, 0, reasons));
            }
            Err(error) => return Err(error),
        };
        let (_, per_item) = rescored_outcomes(&evaluation.outcomes, Closeness::AcrossMachines);
        reasons.extend(per_item.iter().map(|difference| format!("an item: {difference}")));
        let now = Results::of(&evaluation.outcomes, &card.results.resampling)?;
        reasons.extend(Results::differences(&card.results, &now, Closeness::AcrossMachines));
        Ok(card.verdict(signed, evaluation.outcomes.len(), reasons))
    }

    fn verdict(&self, signed: Signed, items: usize, reasons: Vec<String>) -> CardCheck {
        let numbers = self.results.tasks.values().map(|task| task.metrics.len()).sum();
        let passed = reasons.is_empty();
        CardCheck { passed, signed, signed_by: self.signed_by.clone(), numbers, items, reasons }
    }

    fn check_signature(
        &self,
        bytes: &[u8],
        path: &Path,
        trusted: Option<&PublicKey>,
        reasons: &mut Vec<String>,
    ) -> Signed {
        let Some(named) = &self.signed_by else {
            if trusted.is_some() {
                reasons.push("the card is not signed".to_string());
            }
            return Signed::No;
        };
        let key = PublicKey::from_hex(named);
        if trusted.is_some() && key.as_ref() != trusted {
            reasons.push(format!("the card names the key {named}, which is not the trusted one"));
        }
        let signature = std::fs::read(signature_of(path)).ok();
        match (key, signature) {
            (Some(key), Some(signature)) if key.verifies(bytes, &signature) => Signed::Yes,
            (None, _) => {
                reasons.push(format!("`{named}` is no key"));
                Signed::Broken
            }
            (_, None) => {
                reasons.push(format!("{} is not there", signature_of(path).display()));
                Signed::Broken
            }
            _ => {
                reasons.push(
                    "the signature is not that of this card: it was changed, or signed by another key".into(),
                );
                Signed::Broken
            }
        }
    }
}

/// `card.json.sig` beside `card.json`.
fn signature_of(card: &Path) -> PathBuf {
    let mut name = card.file_name().unwrap_or_default().to_os_string();
    name.push(".sig");
    card.with_file_name(name)
}
