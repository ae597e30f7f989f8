//! `medtune verify card.json`: is an evaluation what its card says?

use std::path::{Path, PathBuf};

use ::eval::Error;
use ::eval::counted;
use ::eval::evaluation::{Card, CardCheck, PublicKey, Signed};
use serde_json::json;

use crate::args::VerifyArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::evaluation::write_json;

/// Reasons that are shown; `--json` has all.
const SHOWN: usize = 10;

/// The card that is meant: a file whose name ends with `.json`.
pub(crate) fn card(place: &str) -> Option<PathBuf> {
    let place = PathBuf::from(place);
    (place.is_file() && place.extension().is_some_and(|extension| extension == "json")).then_some(place)
}

pub(crate) fn run(card: &Path, args: &VerifyArgs) -> Outcome<()> {
    let trusted = args.key.as_deref().map(PublicKey::read).transpose().map_err(Error::from)?;
    let check = Card::check(card, trusted.as_ref())?;
    if let Some(out) = &args.out {
        write_json(out, &check)?;
    }
    match args.json {
        true => output::print_json(&json!(check))?,
        false => output::print(&page(&check, trusted.is_some()))?,
    }
    match check.passed {
        true => Ok(()),
        false => Err(Failure::gate(format!("{}: {}", card.display(), check.reasons[0]))
            .hint("`medtune rescore` computes the numbers that the items give")),
    }
}

fn page(check: &CardCheck, trusted: bool) -> String {
    let key = check.signed_by.as_deref().unwrap_or_default();
    let signed = match check.signed {
        Signed::Yes if trusted => format!("by the trusted key {key}"),
        Signed::Yes => format!("by {key}; whose that is only --key can say"),
        Signed::No => "no".to_owned(),
        Signed::Broken => format!("BROKEN, names {key}"),
    };
    let mut lines = vec![
        format!("signed     {signed}"),
        format!(
            "computed   {} again from {}",
            counted(check.numbers, "number"),
            counted(check.items, "item")
        ),
    ];
    lines.extend(check.reasons.iter().take(SHOWN).map(|reason| format!("           {reason}")));
    let more = check.reasons.len().saturating_sub(SHOWN);
    lines.extend((more > 0).then(|| format!("           and {more} more")));
    lines.push(if check.passed { "passed" } else { "NOT PASSED" }.to_owned());
    lines.join("\n")
}
