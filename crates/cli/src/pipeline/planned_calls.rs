//! What the calls of a plan take, before any is made.

use std::fmt::Write;
use std::path::Path;

use ::chat::{ChatRequest, Usage};
use endpoint::ReplyStore;
use serde::Serialize;

use super::question_writer::{Named, REPLIES};
use super::remote;
use crate::args::{AccessArgs, SpendingArgs};
use crate::failure::{Outcome, io};

/// The replies in the folder of a run. A dry run makes neither the folder nor the file.
pub(crate) fn replies(out: Option<&Path>, dry_run: bool) -> Outcome<Option<ReplyStore>> {
    let Some(out) = out else { return Ok(None) };
    let file = out.join(REPLIES);
    if dry_run && !file.is_file() {
        return Ok(None);
    }
    std::fs::create_dir_all(out).map_err(io(out))?;
    Ok(Some(ReplyStore::open(&file)?))
}

/// Says of a request whether its reply is there.
pub(crate) fn is_kept(
    store: Option<&ReplyStore>,
    identity: &str,
) -> impl Fn(&ChatRequest) -> ::chat::Result<bool> {
    move |request| match store {
        None => Ok(false),
        Some(store) => Ok(store.get(identity, request)?.is_some()),
    }
}

/// Calls that are to be made, with tokens as they usually are and at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedCalls {
    /// What a call is called: `calls`, `requests`.
    pub(crate) what: &'static str,
    /// Those whose reply is not there yet.
    pub(crate) calls: usize,
    /// Those whose reply is there.
    pub(crate) kept: usize,
    pub(crate) prompt_tokens: usize,
    pub(crate) most_prompt_tokens: usize,
    pub(crate) reply_tokens: usize,
    pub(crate) most_reply_tokens: usize,
}

/// Money, in the currency of the prices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Cost {
    usual: f64,
    most: f64,
}

impl PlannedCalls {
    /// What it costs, where the price of the model is known.
    pub(crate) fn cost(&self, access: &AccessArgs, spending: &SpendingArgs) -> Outcome<Option<Cost>> {
        let prices = remote::prices(spending.prices.as_deref())?;
        let price = access.remote.model_name.as_deref().and_then(|name| prices.of(name));
        let of = |prompts: usize, replies: usize| {
            let (prompt_tokens, completion_tokens) = (prompts as u64, replies as u64);
            price.map(|price| price.cost(&Usage { prompt_tokens, completion_tokens, estimated: true }))
        };
        let usual = of(self.prompt_tokens, self.reply_tokens);
        let most = of(self.most_prompt_tokens, self.most_reply_tokens);
        Ok(usual.zip(most).map(|(usual, most)| Cost { usual, most }))
    }

    /// All of it, a line each.
    pub(crate) fn lines(&self, cost: Option<Cost>, named: &Named) -> String {
        let PlannedCalls { what, calls, kept, prompt_tokens, reply_tokens, most_reply_tokens, .. } = self;
        let mut text = String::new();
        let _ = writeln!(text, "  {what:<13}  {calls:>10}   ({kept} more are answered already)");
        let _ = writeln!(text, "  prompt tokens  {prompt_tokens:>10}");
        let _ = writeln!(text, "  reply tokens   {reply_tokens:>10}   (at most {most_reply_tokens})");
        match cost {
            Some(Cost { usual, most }) => {
                let _ = writeln!(text, "  cost           {usual:>10.4}   (at most {most:.4})");
            }
            None if matches!(named, Named::Remote(_)) => {
                let _ = writeln!(text, "  cost: no price of this model is known; --prices FILE names it");
            }
            None => {}
        }
        text
    }
}
