//! The download itself, in a build that can.

use std::fmt::Write;
use std::path::Path;

use eval::counted;
use formats::hub::Kind;
use formats::hub::pull::{Plan, PullError, Settings, Wanted, parse_name};
use serde_json::json;

use crate::args::PullArgs;
use crate::failure::{Failure, Outcome};
use crate::progress::TransferProgress;
use crate::{disk, output};

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        let failure = Failure::input(error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

pub(crate) fn run(args: &PullArgs) -> Outcome<()> {
    let kind = if args.dataset { Kind::Dataset } else { Kind::Model };
    let (repository, named) = parse_name(kind, &args.name)?;
    if args.revision.is_some() && named.is_some() {
        return Err(Failure::input(format!("{} names a revision, and --revision another", args.name)));
    }
    let revision = args.revision.clone().or(named).unwrap_or_else(|| "main".to_owned());
    let settings = Settings::from_env()?;
    let wanted =
        Wanted { repository: repository.clone(), revision: revision.clone(), patterns: args.files.clone() };
    let plan = Plan::new(&settings, wanted)?;
    check_room(&settings.cache, plan.missing_bytes())?;
    let (total, missing) = (plan.bytes(), plan.missing_bytes());
    let mut progress = TransferProgress::new(total);
    progress.heading(&format!(
        "{repository} at {revision}: {}, {}{}",
        counted(plan.files.len(), "file"),
        output::bytes(total),
        if missing < total {
            format!(", {} of it not here yet", output::bytes(missing))
        } else {
            String::new()
        },
    ));
    let folder = plan.download(&mut |path, done| progress.at(path, done))?;
    progress.finish();
    if args.json {
        let files: Vec<_> = plan
            .files
            .iter()
            .map(|file| json!({"path": file.path, "bytes": file.bytes, "downloaded": !file.present}))
            .collect();
        return output::print_json(&json!({
            "name": repository.name(),
            "kind": if args.dataset { "dataset" } else { "model" },
            "revision": revision,
            "commit": plan.commit,
            "folder": folder,
            "files": files,
            "bytes": total,
            "downloaded_bytes": missing,
            "left_out": plan.left_out,
        }));
    }
    output::print(&page(args, &plan, repository.name(), &revision, &folder))
}

/// Where everything is, and how to use it.
fn page(args: &PullArgs, plan: &Plan, name: &str, revision: &str, folder: &Path) -> String {
    let mut page = format!("{}\n", folder.display());
    if plan.left_out > 0 && args.files.is_empty() {
        let others = counted(plan.left_out, "other file");
        let _ = writeln!(page, "{others} stayed there (--file 'PATTERN' gets more)");
    }
    let at = if revision == "main" { String::new() } else { format!("@{revision}") };
    if args.dataset {
        page.push_str("In a recipe:\n  datasets:\n");
        let is_text = |path: &str| path.ends_with(".md") || path.starts_with("LICENSE");
        for file in plan.files.iter().filter(|file| !is_text(&file.path)) {
            let at = at.replace('/', "%2F");
            let _ = writeln!(page, "    - path: hf://datasets/{name}{at}/{}", file.path);
        }
    } else {
        let _ = writeln!(page, "Use it as --model {name}{at}, or in a recipe as base_model: {name}{at}");
    }
    page
}

/// What is to come must fit on the cache's disk.
fn check_room(cache: &Path, missing: u64) -> Outcome<()> {
    // The cache may not be there yet.
    let existing = cache.ancestors().find(|folder| folder.is_dir()).unwrap_or(cache);
    match disk::free(existing) {
        Some(free) if free < missing => Err(Failure::input(format!(
            "{}: {} are to come, {} are free",
            cache.display(),
            output::bytes(missing),
            output::bytes(free)
        ))
        .hint("make room, or set HF_HOME to a larger disk")),
        _ => Ok(()),
    }
}
