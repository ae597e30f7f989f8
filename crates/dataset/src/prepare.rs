//! The whole way from files to a prepared folder.

mod folder;

use std::collections::BTreeMap;
use std::path::Path;

use corpus::phi;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::certificate::{Certificate, Leak, Part, RowSplitLeak, row_split_leak};
use crate::cleaning::{Cleaned, Cleaning, clean};
use crate::contamination::{Contamination, contamination};
use crate::dropped::{Dropped, Fault, Rule, count_by_rule};
use crate::examples::{ChoiceItem, Example};
use crate::gate;
use crate::given;
use crate::groups::{By, Fingerprint, components};
use crate::near_duplicate::{ANSWER_SIMILARITY, QUESTION_SIMILARITY};
use crate::rows::{Input, Item, Layout, Row, read};
use crate::split::{Side, Split, SplitOptions, split};

/// How often rows that the certificate finds to be alike are joined and split anew. MinHash misses one pair in a
/// thousand, so that one time is enough.
const REPAIRS: usize = 8;

/// How to prepare.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrepareOptions {
    /// The cleaning rules.
    pub cleaning: Cleaning,
    /// The split.
    pub split: SplitOptions,
    /// What to do about what identifies a person; nothing: it is not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phi: Option<phi::Mode>,
}

/// Prepared rows, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Conversations to train on.
    pub train: Vec<Example>,
    /// Conversations to choose by.
    pub val: Vec<Example>,
    /// Conversations to report on.
    pub test: Vec<Example>,
    /// Multiple-choice items; never trained on.
    pub choices: Vec<ChoiceItem>,
    /// Rows that were left out.
    pub dropped: Vec<Dropped>,
    /// What the PHI gate found, if it was asked.
    pub phi: Option<Vec<phi::Entry>>,
    /// The numbers.
    pub report: Report,
    /// The proof that the sides are apart.
    pub certificate: Certificate,
    /// What rows had in common with tests, where these were given.
    pub contamination: Option<Against>,
}

/// What rows had in common with tests: `contamination.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// The files of the tests.
    pub files: Vec<FileRecord>,
    /// Items in them.
    pub items: usize,
    /// Rows that hold one, which were left out.
    pub pairs: Vec<Contamination>,
}

/// Number of rows on each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    /// Rows to train on.
    pub train: usize,
    /// Rows to choose by.
    pub val: usize,
    /// Rows to report on.
    pub test: usize,
}

/// A file that was read or written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The path, or the name in the folder.
    pub path: String,
    /// BLAKE3 of its bytes.
    pub blake3: String,
    /// Its rows, the broken ones too.
    pub rows: usize,
    /// Its layout, for a file that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// What was done: `report.json`. `rows = kept + dropped`, and `kept` = the splits and the choice items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What wrote the folder.
    pub written_by: String,
    /// Rows in the files, the broken ones too.
    pub rows: usize,
    /// Rows that were kept.
    pub kept: usize,
    /// Rows that were left out, by rule.
    pub dropped: BTreeMap<Rule, usize>,
    /// Rows whose id stood for an earlier row and got a number.
    pub renamed_ids: usize,
    /// Groups of rows that belong together.
    pub groups: usize,
    /// Rows of the largest group.
    pub largest_group: usize,
    /// Rows by side.
    pub splits: Splits,
    /// Multiple-choice items.
    pub choices: usize,
    /// What the PHI gate found, by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phi: BTreeMap<phi::Class, usize>,
    /// What the sides have in common: all zero.
    pub leak: Leak,
    /// What a plain split by rows would have leaked.
    pub row_split_leak: RowSplitLeak,
    /// The options, as used.
    pub options: PrepareOptions,
    /// The files that were read.
    pub inputs: Vec<FileRecord>,
    /// The files that were written.
    pub outputs: Vec<FileRecord>,
}

/// Reads, cleans, splits and writes `train.jsonl`, `val.jsonl`, `test.jsonl`, `choices.jsonl` (where there are
/// multiple-choice items), `phi.jsonl` (where the gate was asked), `dropped.jsonl`, `certificate.json` and `report.json`
/// into the folder `out`.
///
/// The folder is made beside its place and renamed when it is complete. A folder that an earlier call wrote is
/// replaced; any other is left alone.
///
/// # Errors
/// A file that cannot be read as a whole, options without sense, too few rows, or an output folder of someone else.
pub fn prepare(inputs: &[Input], out: &Path, options: &PrepareOptions) -> Result<Prepared, Error> {
    prepare_against(inputs, &[], out, options)
}

/// As [`prepare`], without the conversations that hold an item of the tests `against`; which, and of what, is written to
/// `contamination.json`.
///
/// # Errors
/// As [`prepare`], also for a test that cannot be read.
pub fn prepare_against(
    inputs: &[Input],
    against: &[Input],
    out: &Path,
    options: &PrepareOptions,
) -> Result<Prepared, Error> {
    folder::check_free(out)?;
    let WhatWasRead { mut rows, mut dropped, files } = read_all(inputs)?;
    // First of all, so that no later file quotes what the gate masks.
    let phi = options.phi.map(|mode| {
        let passed = gate::pass(std::mem::take(&mut rows), phi::Gate::new(mode));
        rows = passed.rows;
        dropped.extend(passed.dropped);
        passed.found
    });
    let mut found = None;
    if !against.is_empty() {
        // A broken item of a test is counted with its file, and nothing can hold it.
        let WhatWasRead { rows: tests, files, .. } = read_all(against)?;
        let pairs = leave_out_contaminated(&mut rows, &tests, &mut dropped);
        found = Some(Against { files, items: tests.len(), pairs });
    }
    let mut prepared = prepare_rows(rows, dropped, options)?;
    for entry in phi.iter().flatten() {
        *prepared.report.phi.entry(entry.finding.class).or_default() += 1;
    }
    prepared.phi = phi;
    prepared.report.inputs = files;
    prepared.contamination = found;
    folder::write(out, &mut prepared)?;
    Ok(prepared)
}

/// The rows of files, those that are broken, and the files.
struct WhatWasRead {
    rows: Vec<Row>,
    dropped: Vec<Dropped>,
    files: Vec<FileRecord>,
}

fn read_all(inputs: &[Input]) -> Result<WhatWasRead, Error> {
    let (mut rows, mut dropped, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        let before = rows.len() + dropped.len();
        let mut reader = read(input)?;
        for row in &mut reader {
            match row? {
                Ok(row) => rows.push(row),
                Err(broken) => dropped.push(broken),
            }
        }
        let read = rows.len() + dropped.len() - before;
        let (path, blake3) = (input.path.display().to_string(), folder::hash_file(&input.path)?);
        files.push(FileRecord { path, blake3, rows: read, layout: reader.layout() });
    }
    Ok(WhatWasRead { rows, dropped, files })
}

/// Takes the conversations out that hold an item of a test. Items of our own are never trained on.
fn leave_out_contaminated(
    rows: &mut Vec<Row>,
    tests: &[Row],
    dropped: &mut Vec<Dropped>,
) -> Vec<Contamination> {
    let found = contamination(rows, tests);
    let mut pairs = Vec::new();
    let mut kept = Vec::with_capacity(rows.len());
    for (row, found) in rows.drain(..).zip(found) {
        match found.filter(|_| matches!(row.item, Item::Conversation(_))) {
            None => kept.push(row),
            Some(found) => {
                let detail = format!("holds `{}` of {} ({:.2})", found.test, found.file, found.similarity);
                dropped.push(Dropped::new(Some(row.id), row.origin, Fault::new(Rule::Contaminated, detail)));
                pairs.push(found);
            }
        }
    }
    *rows = kept;
    pairs
}

/// Cleans and splits rows in memory. `broken` are rows that could not be read; they are counted in.
///
/// # Errors
/// Options without sense, or too few rows.
pub fn prepare_rows(
    rows: Vec<Row>,
    broken: Vec<Dropped>,
    options: &PrepareOptions,
) -> Result<Prepared, Error> {
    validate(options)?;
    let read = rows.len() + broken.len();
    let Cleaned { rows, prints, dropped: cleaned, renamed } = clean(rows, &options.cleaning);
    let mut dropped: Vec<_> = broken.into_iter().chain(cleaned).collect();
    let is_choice = |row: &Row| matches!(row.item, Item::Choice(_));
    let (choices, talks): (Vec<_>, Vec<_>) = rows.iter().zip(&prints).partition(|(row, _)| is_choice(row));
    let (talks, talk_prints): (Vec<_>, Vec<_>) = talks.into_iter().unzip();
    let (choices, choice_prints) = choices.into_iter().unzip();
    let choices = Part { rows: choices, prints: choice_prints };
    if talks.is_empty() && choices.rows.is_empty() {
        let rules = count_by_rule(&dropped);
        return Err(Error::NoRows { read, rules, first: dropped.into_iter().next().map(Box::new) });
    }
    let talks = Part { rows: talks, prints: talk_prints };
    let (Part { rows: talks, prints: talk_prints }, conflicts) =
        given::without_conflicts(talks, &options.split);
    dropped.extend(conflicts);
    let (split, certificate) = certified_split(&talks, &talk_prints, &choices, &options.split)?;

    let mut sides: BTreeMap<Side, Vec<Example>> = BTreeMap::new();
    for (at, row) in talks.iter().enumerate() {
        let Item::Conversation(messages) = &row.item else { continue };
        sides.entry(split.sides[at]).or_default().push(Example {
            messages: messages.clone(),
            id: row.id.clone(),
            document: row.document.clone(),
            topic: row.topic.clone(),
            source: row.source.clone(),
            group: split.groups[split.group_of[at]].name.clone(),
        });
    }
    let [train, val, test] = Side::ALL.map(|side| sides.remove(&side).unwrap_or_default());
    let choices: Vec<_> = choices.rows.iter().filter_map(|row| ChoiceItem::of(row)).collect();
    let report = Report {
        written_by: folder::WRITTEN_BY.into(),
        rows: read,
        kept: read - dropped.len(),
        dropped: count_by_rule(&dropped),
        renamed_ids: renamed,
        groups: split.groups.len(),
        largest_group: split.groups.iter().map(|group| group.rows.len()).max().unwrap_or(0),
        splits: Splits { train: train.len(), val: val.len(), test: test.len() },
        choices: choices.len(),
        phi: BTreeMap::new(),
        leak: certificate.leak,
        row_split_leak: certificate.row_split_leak,
        options: options.clone(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    Ok(Prepared { train, val, test, choices, dropped, phi: None, report, certificate, contamination: None })
}

fn validate(options: &PrepareOptions) -> Result<(), Error> {
    options.split.validate()?;
    match options.cleaning.near_duplicates {
        Some(threshold) if !(threshold > 0.0 && threshold <= 1.0) => {
            let reason = format!("{threshold} is not a similarity above 0 and up to 1");
            Err(Error::Option { field: "near_duplicates", reason })
        }
        _ => Ok(()),
    }
}

/// Splits, and checks the sides against each other by exact search.
fn certified_split(
    rows: &[&Row],
    prints: &[&Fingerprint],
    choices: &Part,
    options: &SplitOptions,
) -> Result<(Split, Certificate), Error> {
    let mut components = components(rows, prints, &options.by);
    for _ in 0..REPAIRS {
        let split = if rows.is_empty() {
            Split { sides: Vec::new(), group_of: Vec::new(), groups: Vec::new() }
        } else {
            split(rows, prints, &mut components, options)?
        };
        let places = |side| (0..rows.len()).filter(|&at| split.sides[at] == side).collect::<Vec<_>>();
        let places: BTreeMap<Side, Vec<usize>> =
            Side::ALL.into_iter().map(|side| (side, places(side))).collect();
        let part = |side| Part::new(rows, prints, places[&side].iter().copied());
        let parts: BTreeMap<Side, Part> = Side::ALL.into_iter().map(|side| (side, part(side))).collect();

        let (mut leak, mut alike) = (Leak::default(), Vec::new());
        for (side, other) in [(Side::Val, Side::Train), (Side::Test, Side::Train), (Side::Test, Side::Val)] {
            let found = parts[&side].near_duplicates(&parts[&other], options.by.contains(&By::Answer));
            leak += parts[&side].leak(&parts[&other], &found);
            alike.extend(found.into_iter().map(|(own, theirs)| (places[&side][own], places[&other][theirs])));
        }
        if options.by.contains(&By::Question) && !alike.is_empty() {
            alike.into_iter().for_each(|(a, b)| components.join(a, b));
            continue;
        }
        let groups = |side| split.groups.iter().filter(|group| group.side == side).count();
        let certificate = Certificate {
            by: options.by.clone(),
            seed: options.seed,
            given: rows.iter().filter(|row| given::side(row, options).is_some()).count(),
            question_similarity: QUESTION_SIMILARITY,
            answer_similarity: ANSWER_SIMILARITY,
            sides: Side::ALL.into_iter().map(|side| (side, parts[&side].count(groups(side)))).collect(),
            leak,
            near_answers: parts[&Side::Test].near_answers(&parts[&Side::Train]),
            choices: choices.choice_leak(&parts[&Side::Train]),
            nearest_pairs: parts[&Side::Test].nearest_pairs(&parts[&Side::Train]),
            row_split_leak: row_split_leak(rows, prints, options.test, options.seed),
        };
        return Ok((split, certificate));
    }
    Err(Error::Option { field: "by", reason: "the rows cannot be parted without near-duplicates".into() })
}
