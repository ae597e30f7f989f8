//! The logits of the token after some ids: a model's answer in numbers, to compare with another program's.

use std::fmt::Write;

use ::model::Tokenizer;
use serde_json::json;

use crate::args::ModelArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::base;

/// Tokens that a person is shown.
const SHOWN: usize = 10;

pub(super) fn run(args: &ModelArgs, ids: &[u32], json: bool) -> Outcome<()> {
    let base = formats::hub::resolve(&args.model)?;
    // Numbers need weights alone: a base without a vocabulary will do.
    let decoder = base::decoder_of(args, &base)?;
    let (vocabulary, positions) = (decoder.config().vocab_size, decoder.positions());
    if ids.is_empty() {
        return Err(Failure::input("--ids: no id is given").hint("for example --ids 1,2,3"));
    }
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
        return Err(Failure::input(format!(
            "--ids: {id} is no token; the model has 0 to {}",
            vocabulary - 1
        )));
    }
    if ids.len() > positions {
        return Err(Failure::input(format!("--ids: {} ids, the model has {positions} positions", ids.len())));
    }
    let logits = decoder.next_logits(ids, args.adapter.is_some())?;
    match json {
        true => output::print_json(&json!({"logits": logits})),
        false => output::print(&page(base::tokenizer(&base).ok().as_ref(), &logits)),
    }
}

/// The likeliest tokens.
fn page(tokenizer: Option<&Tokenizer>, logits: &[f32]) -> String {
    let mut order: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let highest = order.first().map_or(0.0, |first| f64::from(first.1));
    let total: f64 = logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
    let mut page = format!("{:>7} {:>9} {:>8}  token\n", "id", "logit", "share");
    for &(id, logit) in order.iter().take(SHOWN) {
        let share = 100.0 * (f64::from(logit) - highest).exp() / total;
        let text = tokenizer.and_then(|t| t.id_to_token(id)).unwrap_or_default();
        let _ = writeln!(page, "{id:>7} {logit:>9.4} {share:>6.2} %  {text}");
    }
    page
}
