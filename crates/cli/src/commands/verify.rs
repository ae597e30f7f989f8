//! `medtune verify`: is what is served what was trained?

use ::eval::counted;

use super::verify_card;
use crate::args::VerifyArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::evaluation::write_json;
use crate::pipeline::verification::{self, Form, Verification};

pub(crate) fn run(args: &VerifyArgs) -> Outcome<()> {
    if let Some(card) = verify_card::card(&args.model) {
        return verify_card::run(&card, args);
    }
    let verification = verification::verify(args)?;
    let report = args.out(&args.model);
    write_json(&report, &verification)?;
    match args.json {
        true => output::print_json(&serde_json::json!(verification))?,
        false => output::print(&page(&verification, &report.display().to_string()))?,
    }
    refuse(&verification)
}

/// Nothing for what passed; otherwise the first form that did not, and why.
pub(super) fn refuse(verification: &Verification) -> Outcome<()> {
    match verification.forms.iter().find(|form| !form.passed) {
        Some(form) => Err(Failure::gate(format!("{}: {}", form.name, form.reasons.join("; "))).hint(
            "do not serve this form; `medtune verify --max-kl --max-loss` moves the limits, and nothing moves the ids",
        )),
        None => Ok(()),
    }
}

fn page(v: &Verification, report: &str) -> String {
    let origin = if v.golden_from_training { "from training" } else { "made now: training left none" };
    let mut lines = vec![
        format!("trained    {}", v.reference),
        format!("golden     {}, {origin}", counted(v.golden_conversations, "conversation")),
    ];
    lines.extend(v.forms.iter().map(line));
    if let Some(first) = v.left_out.first() {
        lines.push(format!(
            "{} could not be asked; the first: {first}",
            counted(v.left_out.len(), "question")
        ));
    }
    lines.push(format!("{}, written to {report}", if v.passed { "passed" } else { "NOT PASSED" }));
    lines.join("\n")
}

pub(super) fn line(form: &Form) -> String {
    let mut text = format!("{:<10} {}", if form.passed { "same" } else { "DIFFERENT" }, form.name);
    if let Some(f) = &form.fidelity {
        let interval = f
            .loss_difference_interval
            .map_or_else(String::new, |[low, high]| format!(" [{low:+.5}, {high:+.5}]"));
        text.push_str(&format!(
            "\n           loss {:.4} -> {:.4}, {:+.5}{interval} on {} tokens of {} answers; KL {:.2e} on average, {:.2e} at \
             most; likeliest token the same at {} of {} places",
            f.loss_before,
            f.loss_after,
            f.loss_difference,
            f.tokens,
            f.questions,
            f.kl_mean,
            f.kl_max,
            f.same_likeliest_token,
            f.positions
        ));
    }
    for reason in &form.reasons {
        text.push_str(&format!("\n           {reason}"));
    }
    text
}
