//! `medtune export`: a model as files that other programs run.

use super::verify;
use crate::args::ExportArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::exporting::{self, Exported};

pub(crate) fn run(args: &ExportArgs) -> Outcome<()> {
    let exported = exporting::export(args)?;
    if args.json {
        let document = serde_json::to_value(&exported).map_err(|e| Failure::unexpected(e.to_string()))?;
        output::print_json(&document)?;
    } else {
        output::print(&page(&exported))?;
    }
    exported.verification.as_ref().map_or(Ok(()), verify::refuse)
}

fn page(exported: &Exported) -> String {
    let mut lines = vec![exported.out.display().to_string()];
    lines.extend(exported.files.iter().map(|file| format!("  {}  {}", file.name, output::bytes(file.bytes))));
    if !exported.formats.is_empty() {
        let counts: Vec<String> =
            exported.formats.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        lines.push(format!("Tensors    {}", counts.join(", ")));
    }
    if let Some(tokens) = exported.importance_tokens {
        lines.push(format!("Importance collected on {tokens} tokens of the training side"));
    }
    let forms = exported.verification.iter().flat_map(|v| &v.forms);
    lines.extend(forms.filter(|form| form.fidelity.is_some()).map(verify::line));
    lines.extend(exported.notes.iter().map(|note| format!("Note       {note}")));
    lines.join("\n")
}
