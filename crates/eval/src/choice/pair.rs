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
    Ok(begun(ids, tokenizer.text_start()))
}

/// The ids with the token before them that every text begins with.
fn begun(ids: Vec<u32>, start: Option<u32>) -> Vec<u32> {
    match start.filter(|start| ids.first() != Some(start)) {
        Some(start) => std::iter::once(start).chain(ids).collect(),
        None => ids,
    }
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
    let endings: Vec<String> =
        answers.iter().map(|answer| format!("{blanks}{}{answer}", context.delimiter)).collect();
    let (given, wholes) = tokenizer.encode_endings(bare, &endings, context.control)?;
    let start = tokenizer.text_start();
    let given = begun(given, start);
    let continuation = |whole| begun(whole, start).get(given.len()..).unwrap_or_default().to_vec();
    let continuations = wholes.into_iter().map(continuation).collect();
    Ok(Pairs { context: given, continuations })
}
