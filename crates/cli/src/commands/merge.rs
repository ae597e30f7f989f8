//! `medtune merge`: a base and its adapter as one model.

use ::eval::counted;
use serde_json::json;

use crate::args::MergeArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::merging::{self, Merged};

pub(crate) fn run(args: &MergeArgs) -> Outcome<()> {
    let merged = merging::merge(args)?;
    if args.json {
        return output::print_json(&document(args, &merged));
    }
    output::print(&page(args, &merged))
}

fn document(args: &MergeArgs, merged: &Merged) -> serde_json::Value {
    json!({
        "model": args.model,
        "adapter": args.adapter,
        "out": args.out,
        "dtype": merged.dtype,
        "base_quantized": merged.base_quantized,
        "parameters": merged.parameters,
        "bytes": merged.bytes,
        "quality": merged.quality,
        "left_out": merged.left_out,
    })
}

fn page(args: &MergeArgs, merged: &Merged) -> String {
    let size = output::bytes(merged.bytes);
    let mut lines =
        vec![format!("{}: {} parameters in {}, {size}", args.out.display(), merged.parameters, merged.dtype)];
    if merged.base_quantized {
        lines.push(
            "The base is quantized: merged into its decoded weights, those that the adapter learned on."
                .into(),
        );
    }
    match &merged.quality {
        Some(q) => lines.push(format!(
            "Quality    loss {:.6} unmerged, {:.6} merged ({:+.6}) on {} tokens of {} answers\n           logits \
             differ by {:.3e} on average, {:.3e} at most (largest logit {:.2}); the likeliest token is the same at \
             {} of {} places",
            q.loss_before,
            q.loss_after,
            q.loss_difference,
            q.tokens,
            q.questions,
            q.logits_mean_difference,
            q.logits_max_difference,
            q.logits_largest,
            q.same_likeliest_token,
            q.positions,
        )),
        None => lines.push("Quality    not measured: the model can be asked none of the questions".into()),
    }
    if !merged.left_out.is_empty() {
        let (count, first) = (merged.left_out.len(), &merged.left_out[0]);
        lines.push(format!("{} could not be asked; the first: {first}", counted(count, "question")));
    }
    lines.join("\n")
}
