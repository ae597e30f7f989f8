//! From drafts to rows: checks, duplicates, a second look, and the order of options.

use std::collections::{BTreeMap, HashMap};

use chat::Calls;
use dataset::Side;
use dataset::near_duplicate::{Index, Shingles, Signature};

use crate::checks::{self, Objection, Source, longest_share};
use crate::generate::{Generated, Progress};
use crate::report::{Longest, Report};
use crate::second_look::{self, Candidate};
use crate::{Draft, FailedChunk, Kind, Plan, Provenance, Reason, Rejected, Result, Row, Task};

/// Letters of options.
const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// Everything that was made.
#[derive(Debug)]
pub struct Made {
    /// Rows that stood the checks, in the order of the corpus.
    pub rows: Vec<Row>,
    /// Those that did not.
    pub rejected: Vec<Rejected>,
    /// Chunks that the model could not do.
    pub failed: Vec<FailedChunk>,
    /// The numbers.
    pub report: Report,
    /// Why it ended before the end, if a model or an account ended it.
    pub ended_by: Option<chat::Error>,
}

/// A draft and what became of it.
struct Judged<'a> {
    task: usize,
    number: usize,
    draft: &'a Draft,
    objection: Option<Objection>,
}

/// Checks what was generated and makes rows of what stands. Questions of test and validation go before those of train
/// where two ask the same.
///
/// # Errors
/// When the prompt of the second look cannot be used.
pub fn assemble(
    plan: &Plan,
    generated: Generated,
    calls: Calls<'_>,
    observe: &mut dyn FnMut(Progress),
) -> Result<Made> {
    let mut judged = judge(plan, &generated);
    find_duplicates(plan, &mut judged);
    let options = order_options(plan, &judged);
    let mut replies = generated.replies;
    let (mut ended_by, mut unseen) = (generated.ended_by.clone(), 0);
    if plan.settings.checks.model && ended_by.is_none() {
        let standing: Vec<usize> = (0..judged.len()).filter(|&at| judged[at].objection.is_none()).collect();
        let candidate = |&at: &usize| {
            let (options, right) = options[at].clone();
            Candidate { task: judged[at].task, draft: judged[at].draft, options, right }
        };
        let candidates: Vec<_> = standing.iter().map(candidate).collect();
        let look = second_look::look(plan, &candidates, calls, observe)?;
        for (at, disagreement) in standing.into_iter().zip(look.disagreements) {
            judged[at].objection = disagreement.map(|said| (Reason::ModelDisagrees, said));
        }
        replies.join(&look.replies);
        (ended_by, unseen) = (look.ended_by, look.unseen);
    }

    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    for (judged, (options, right)) in judged.iter().zip(options) {
        let id = format!("{}-q{:02}", plan.tasks[judged.task].chunk.id, judged.number + 1);
        let provenance = provenance(plan, judged, calls.model.name());
        let draft = judged.draft.clone();
        match &judged.objection {
            Some((reason, detail)) => {
                rejected.push(Rejected { id, reason: *reason, detail: detail.clone(), draft, provenance });
            }
            None => {
                let Draft { question, answer, .. } = draft;
                let kind = plan.settings.kind;
                rows.push(Row { id, kind, question, answer, options, answer_idx: right, provenance });
            }
        }
    }
    let left = generated.left();
    let report = Report {
        kind: plan.settings.kind,
        complete: left == 0 && unseen == 0,
        documents: plan.documents(),
        chunks: plan.tasks.len(),
        failed_chunks: generated.failed.len(),
        obstacles: counted(generated.failed.iter().map(|failed| failed.obstacle)),
        silent_chunks: generated.drafts.iter().flatten().filter(|drafts| drafts.is_empty()).count(),
        chunks_left: left,
        drafts: rows.len() + rejected.len(),
        rows: rows.len(),
        sides: counted(rows.iter().map(|row| row.provenance.split)),
        rejected: counted(rejected.iter().map(|row| row.reason)),
        positions: counted(rows.iter().filter_map(|row| row.answer_idx.clone())),
        longest: (plan.settings.kind == Kind::Mc).then(|| longest(&rows)),
        replies,
        prompt: plan.prompt.to_string(),
        model: calls.model.name().to_owned(),
        settings: plan.settings.clone(),
    };
    Ok(Made { rows, rejected, failed: generated.failed, report, ended_by })
}

fn judge<'a>(plan: &Plan, generated: &'a Generated) -> Vec<Judged<'a>> {
    let mut judged = Vec::new();
    for (task, drafts) in generated.drafts.iter().enumerate() {
        let Some(drafts) = drafts else { continue };
        let chunk = &plan.tasks[task].chunk;
        let source = Source::new(&chunk.text, &chunk.headings);
        for (number, draft) in drafts.iter().enumerate() {
            let objection = checks::objection(draft, plan.settings.kind, &source, &plan.settings.checks);
            judged.push(Judged { task, number, draft, objection });
        }
    }
    judged
}

/// Marks questions that ask what an earlier one asks; those of test come first, then those of validation.
fn find_duplicates(plan: &Plan, judged: &mut [Judged<'_>]) {
    let threshold = plan.settings.checks.near_duplicates;
    let mut order: Vec<usize> = (0..judged.len()).filter(|&at| judged[at].objection.is_none()).collect();
    let rank = |side: Side| match side {
        Side::Test => 0,
        Side::Val => 1,
        Side::Train => 2,
    };
    order.sort_by_key(|&at| rank(plan.tasks[judged[at].task].side));
    let mut index = Index::new(threshold);
    let mut earlier: HashMap<usize, Shingles> = HashMap::new();
    for at in order {
        let shingles = Shingles::of_question(&judged[at].draft.question);
        let signature = Signature::of(&shingles);
        let near = index.candidates(&signature).into_iter().find_map(|candidate| {
            let similarity = earlier[&candidate].jaccard(&shingles);
            (similarity >= threshold).then_some((candidate, similarity))
        });
        if let Some((twin, similarity)) = near {
            let chunk = &plan.tasks[judged[twin].task].chunk.id;
            let detail = format!("{similarity:.2} to {chunk}-q{:02}", judged[twin].number + 1);
            judged[at].objection = Some((Reason::NearDuplicate, detail));
            continue;
        }
        index.insert(at, &signature);
        earlier.insert(at, shingles);
    }
}

/// Options by letter, and the letter of the right one; nothing for questions without.
type Ordered = (BTreeMap<String, String>, Option<String>);

/// Puts options in an order drawn with the seed. Of every four questions of one side, each letter is right once.
fn order_options(plan: &Plan, judged: &[Judged<'_>]) -> Vec<Ordered> {
    let seed = plan.settings.seed;
    let draw = |parts: &[&[u8]]| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    };
    let mut counted: BTreeMap<Side, usize> = BTreeMap::new();
    let order = |judged: &Judged<'_>| {
        if plan.settings.kind == Kind::Qa || judged.objection.is_some() {
            return Ordered::default();
        }
        let Task { side, chunk, .. } = &plan.tasks[judged.task];
        let count = counted.entry(*side).or_default();
        let (block, place) = (*count / LETTERS.len(), *count % LETTERS.len());
        *count += 1;
        let mut positions: Vec<usize> = (0..LETTERS.len()).collect();
        let block = block.to_le_bytes();
        positions.sort_by_key(|position| draw(&[side.as_str().as_bytes(), &block, &position.to_le_bytes()]));
        let right = positions[place];
        let mut texts: Vec<&String> = judged.draft.distractors.iter().collect();
        texts.sort_by_key(|text| draw(&[chunk.id.as_bytes(), &judged.number.to_le_bytes(), text.as_bytes()]));
        texts.insert(right.min(texts.len()), &judged.draft.answer);
        let lettered =
            LETTERS.iter().zip(texts).map(|(letter, text)| ((*letter).to_owned(), text.trim().to_owned()));
        (lettered.collect(), Some(LETTERS[right].to_owned()))
    };
    judged.iter().map(order).collect()
}

fn provenance(plan: &Plan, judged: &Judged<'_>, model: &str) -> Provenance {
    let task = &plan.tasks[judged.task];
    let blocks = &plan.documents[task.document].blocks;
    let of_chunk =
        task.chunk.blocks.iter().filter_map(|&index| blocks.get(index).map(|block| (index, block)));
    let evidence = checks::evidence(judged.draft, of_chunk);
    let boxes = match evidence.and_then(|index| blocks.get(index)) {
        Some(block) => block.places.clone(),
        None => task.chunk.places(blocks),
    };
    let mut pages: Vec<u32> = boxes.iter().map(|place| place.page).collect();
    pages.sort_unstable();
    pages.dedup();
    Provenance {
        document: task.chunk.document.to_string(),
        chunk: task.chunk.id.clone(),
        headings: task.chunk.headings.clone(),
        blocks: task.chunk.blocks.clone(),
        evidence,
        pages,
        boxes,
        prompt: plan.prompt.to_string(),
        model: model.to_owned(),
        split: task.side,
    }
}

fn longest(rows: &[Row]) -> Longest {
    let share = |row: &Row| {
        row.answer_idx
            .as_ref()
            .and_then(|right| row.options.get(right))
            .map_or(0.0, |right| longest_share(right, row.options.values()))
    };
    let sum: f64 = rows.iter().map(share).sum();
    Longest { questions: rows.len(), accuracy: sum / rows.len().max(1) as f64 }
}

fn counted<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}
