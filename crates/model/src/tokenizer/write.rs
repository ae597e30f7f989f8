//! A vocabulary as files of a Hugging Face folder, wherever it came from.

use std::path::Path;

use formats::atomic::write_atomic;
use serde_json::json;

use super::{CONFIG_FILE, TOKENIZER_FILE, Tokenizer};
use crate::Result;

impl Tokenizer {
    /// Writes `tokenizer.json`, and the roles of special tokens as `tokenizer_config.json` and
    /// `generation_config.json`, so that [`Tokenizer::from_dir`] and transformers read this vocabulary.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Tokenizer`] when the library cannot write it, [`crate::Error::Format`] when the system refuses.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let text = |id: Option<u32>| id.and_then(|id| self.id_to_token(id));
        let roles = json!({
            "bos_token": text(self.bos()),
            "clean_up_tokenization_spaces": false,
            "eos_token": text(self.eos()),
            "pad_token": text(self.pad()),
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        let ids = json!({
            "bos_token_id": self.bos(),
            "eos_token_id": self.eos_ids(),
            "pad_token_id": self.pad(),
        });
        write_atomic(folder.join(TOKENIZER_FILE), self.to_json()?.as_bytes())?;
        write_atomic(folder.join(CONFIG_FILE), format!("{roles:#}\n").as_bytes())?;
        write_atomic(folder.join("generation_config.json"), format!("{ids:#}\n").as_bytes())?;
        Ok(())
    }
}
