//! What a run came to: for a person, and as an exit status.

use ::eval::counted;
use std::fmt::Write;
use std::path::Path;

use ::synth::{Made, Obstacle, Report};

use crate::failure::{Failure, Outcome};

/// What was done.
pub(super) fn text(report: &Report, out: &Path) -> String {
    let chunks = counted(report.chunks, "chunk");
    let mut text = format!(
        "{}: {} from {chunks} of {}\n\n",
        out.display(),
        counted(report.rows, "row"),
        counted(report.documents, "document")
    );
    for (side, rows) in &report.sides {
        let _ = writeln!(text, "  {:<7} {rows:>7}", side.as_str());
    }
    if !report.sides.is_empty() {
        text.push('\n');
    }
    questions(&mut text, report, out);
    if report.failed_chunks > 0 {
        let _ = writeln!(text, "  {} of {chunks} without questions:", report.failed_chunks);
        for (obstacle, count) in &report.obstacles {
            let _ = writeln!(text, "  {count:>7}  {}", obstacle.in_words());
        }
        let _ = writeln!(text, "  each with its reason: {}", out.join("failed.jsonl").display());
    }
    if let Some(longest) = report.longest.filter(|longest| longest.questions > 0) {
        let percent = 100.0 * longest.accuracy;
        let _ = writeln!(
            text,
            "\n  Taking the longest option is right in {percent:.1} % (25 % gives nothing away)."
        );
    }
    replies(&mut text, report);
    if report.rows > 0 {
        let sides = out.join("messages/*.jsonl");
        let _ = writeln!(
            text,
            "\nNext: medtune prepare {} --out prepared/\n      which keeps every row on the side of its document",
            sides.display()
        );
    }
    text
}

/// What the model proposed, and what became of it.
fn questions(text: &mut String, report: &Report, out: &Path) {
    let asked = report.chunks - report.failed_chunks - report.chunks_left;
    let _ = write!(text, "  {} proposed for {}", counted(report.drafts, "question"), counted(asked, "chunk"));
    let _ = match report.silent_chunks {
        0 => writeln!(text),
        silent => writeln!(text, ", none for {silent} of them"),
    };
    if report.drafts == report.rows {
        return;
    }
    let _ = writeln!(text, "  {} left out:", report.drafts - report.rows);
    for (reason, count) in &report.rejected {
        let _ = writeln!(text, "  {count:>7}  {}", reason.as_str());
    }
    let _ = writeln!(text, "  each with its reason: {}", out.join("rejected.jsonl").display());
}

/// What it took.
fn replies(text: &mut String, report: &Report) {
    let replies = &report.replies;
    let _ = write!(
        text,
        "\n  {}, {} of them there from before; {}",
        counted(replies.total, "reply"),
        replies.kept,
        counted(replies.tokens as usize, "token")
    );
    if replies.repaired > 0 {
        let _ = write!(text, "; {} asked for a second time", replies.repaired);
    }
    if replies.cut_off > 0 {
        let _ = write!(text, "; {} cut off, with what was whole of them taken", replies.cut_off);
    }
    if replies.cost > 0.0 {
        let _ = write!(text, "; cost {:.4}", replies.cost);
    }
    if replies.without_price > 0 {
        let _ = write!(text, "; what {} of them cost is not known", replies.without_price);
    }
    text.push('\n');
}

/// A gate that held chunks back is a no, and nothing to train with is a failure.
pub(super) fn judged(made: &Made, out: &Path) -> Outcome<()> {
    let report = &made.report;
    let chunks = counted(report.chunks, "chunk");
    if let Some(held) = report.obstacles.get(&Obstacle::NotSent) {
        return Err(Failure::gate(format!("the PHI gate held back {held} of {chunks}")).hint(
            "failed.jsonl says which and why; mask it with `ingest --phi mask`, ask a model on this machine, or say \
             --allow-phi",
        ));
    }
    if report.rows > 0 {
        return Ok(());
    }
    let larger = "a larger model may do better";
    Err(match made.failed.first() {
        Some(first) if made.failed.len() == report.chunks => Failure::input(format!(
            "no question to train with: {chunks} failed; the first, {}: {}",
            first.chunk, first.reason
        )),
        _ if report.drafts == 0 => {
            Failure::input(format!("no question to train with: the model proposed none for {chunks}"))
                .hint(larger)
        }
        _ => {
            let proposed = counted(report.drafts, "proposed question");
            let rejected = out.join("rejected.jsonl");
            Failure::input(format!("no question to train with: {proposed}, and none passed the checks"))
                .hint(format!("{larger}; why each was left out: {}", rejected.display()))
        }
    })
}
