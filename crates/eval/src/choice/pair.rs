//! A context and what follows it as tokens, as lm-evaluation-harness cuts them (`TemplateLM._encode_pair`).

use model::Tokenizer;

use super::asked::Context;

/// The ids of a context and of each continuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pairs {
    pub(super) context: Vec<u32>,
    pub(super) continuations: Vec<Vec<u32>>,
}

/// The ids of `text`, the whole `context` or more or less of it. A token that the vocabulary puts before every text (BOS)
/// stands there once.
///
/// # Errors
/// When the vocabulary has no tokens for the text.
pub(super) fn ids(tokenizer: &Tokenizer, context: &Context, text: &str) -> model::Result<Vec<u32>> {
    let ids = match context.control {
        true => tokenizer.encode_with_control(text)?,
        false => tokenizer.encode_ordinary(text)?,
    };
    let missing = tokenizer.text_start().filter(|start| ids.first() != Some(start));
    Ok(missing.into_iter().chain(ids).collect())
}

/// Encodes `context` and the `answers` after it.
///
/// White space at the end of the context belongs to the continuation. Context and continuation are encoded as one text,
/// and the continuation is what is left behind as many tokens as the context has by itself: where a word reaches over
/// the boundary, that is how the harness cuts it.
///
/// # Errors
/// As [`ids`].
pub(super) fn encode(tokenizer: &Tokenizer, context: &Context, answers: &[String]) -> model::Result<Pairs> {
    let bare = context.text.trim_end();
    let blanks = &context.text[bare.len()..];
    let given = ids(tokenizer, context, bare)?;
    let continuation = |answer: &String| -> model::Result<Vec<u32>> {
        let whole = format!("{bare}{blanks}{}{answer}", context.delimiter);
        let whole = ids(tokenizer, context, &whole)?;
        Ok(whole.get(given.len()..).unwrap_or_default().to_vec())
    };
    let continuations = answers.iter().map(continuation).collect::<model::Result<_>>()?;
    Ok(Pairs { context: given, continuations })
}
