//! An index with the models that search in it, as the command line names them.

use std::path::Path;

use chat::Role;
use compute::Cpu;
use dataset::{ChoiceItem, Example};
use eval::comparison::Outcome as Item;
use eval::task::Task;
use eval::{EvidenceRead, Subject, counted};
use rag::{
    CrossReranker, Embedder, Index, Method, Passage, Reranker, Retrieval, Retriever, Settings, TextEncoder,
};

use super::base::device;
use crate::args::FindingArgs;
use crate::failure::{Failure, Outcome};
use crate::progress::Counted;

/// An index that is searched.
#[derive(Debug)]
pub(crate) struct Library {
    index: Index,
    settings: Settings,
    encoder: Option<TextEncoder<Cpu>>,
    reranker: Option<CrossReranker<Cpu>>,
}

impl Library {
    /// Opens an index, with its encoder where vectors are looked for.
    pub(crate) fn open(path: &Path, args: &FindingArgs) -> Outcome<Self> {
        let (index, settings) = (Index::open(path)?, args.settings());
        let made_by = index.encoder()?;
        let by_vectors = match settings.method {
            Method::Words => false,
            Method::Auto => made_by.is_some(),
            Method::Vectors | Method::Hybrid => true,
        };
        let encoder = match (by_vectors, made_by) {
            (false, _) if args.encoder.is_some() => {
                let message = format!("--encoder: no vectors of {} are looked for", path.display());
                return Err(Failure::input(message).hint(
                    "leave --retrieval words out; an index without vectors gets them from `medtune index … --encoder DIR`",
                ));
            }
            (false, _) => None,
            (true, None) => return Err(rag::Error::NoVectors { path: path.to_owned() }.into()),
            (true, Some(made_by)) => {
                let folder = match &args.encoder {
                    Some(named) => formats::hub::resolve(named)?,
                    None => made_by.place,
                };
                let encoder = TextEncoder::from_dir(device(), &folder).map_err(|error| {
                    Failure::from(error).hint(format!(
                        "the vectors of the index were made by {}: say where it lies with --encoder, or leave them out with \
                         --retrieval words",
                        made_by.name
                    ))
                })?;
                Some(encoder)
            }
        };
        let reranker = |named: &String| -> Outcome<_> {
            Ok(CrossReranker::from_dir(device(), &formats::hub::resolve(named)?)?)
        };
        Ok(Library { reranker: args.reranker.as_ref().map(reranker).transpose()?, index, settings, encoder })
    }

    /// Searches in it, giving back at least `passages`.
    pub(crate) fn retriever(&self, passages: usize) -> Outcome<Retriever<'_>> {
        let settings = Settings { passages: self.settings.passages.max(passages), ..self.settings };
        let encoder = self.encoder.as_ref().map(|encoder| encoder as &dyn Embedder);
        let reranker = self.reranker.as_ref().map(|reranker| reranker as &dyn Reranker);
        Ok(Retriever::new(&self.index, settings, encoder, reranker)?)
    }

    /// What it holds, on one line.
    pub(crate) fn describe(&self) -> Outcome<String> {
        let contents = self.index.contents()?;
        Ok(format!(
            "{} of {}",
            counted(contents.passages, "passage"),
            counted(contents.documents, "document")
        ))
    }
}

/// Finds passages for every question of `tasks`; how, as it stands in the settings of an evaluation.
pub(crate) fn find_for(tasks: &mut [Task], path: &Path, args: &FindingArgs) -> Outcome<Retrieval> {
    let library = Library::open(path, args)?;
    let retriever = library.retriever(0)?;
    for task in tasks {
        let mut progress = Counted::new(task.questions.len() as u64, &format!("{}: searching", task.name));
        for (at, question) in task.questions.iter_mut().enumerate() {
            question.passages = Some(passages(&retriever, &question.question)?);
            progress.at(at as u64 + 1);
        }
    }
    Ok(retriever.retrieval()?)
}

/// Finds passages for held-out questions and puts them before these; what was read, and how it was found.
pub(crate) fn put_before(
    (examples, items): (&mut [Example], &mut [ChoiceItem]),
    (path, args): (&Path, &FindingArgs),
    subject: Option<(&Subject<'_, Cpu>, usize)>,
) -> Outcome<(EvidenceRead, Retrieval)> {
    let library = Library::open(path, args)?;
    let retriever = library.retriever(0)?;
    let mut progress = Counted::new((examples.len() + items.len()) as u64, "searching");
    let (mut read, mut done) = (EvidenceRead::default(), 0);
    for example in examples {
        let question = example.messages.iter().rfind(|turn| turn.role == Role::User);
        let question = question.map_or(String::new(), |turn| turn.content.clone());
        read.put_before(example, &passages(&retriever, &question)?, subject);
        done += 1;
        progress.at(done);
    }
    for item in items {
        if let Some((subject, _)) = subject {
            read.put_before_item(item, &passages(&retriever, &item.question)?, subject);
        }
        done += 1;
        progress.at(done);
    }
    Ok((read, retriever.retrieval()?))
}

fn passages(retriever: &Retriever<'_>, question: &str) -> Outcome<Vec<Passage>> {
    Ok(retriever.search(question)?.into_iter().map(|hit| hit.passage).collect())
}

/// How many passages were read, for people.
pub(crate) fn describe(retrieval: &Retrieval, outcomes: &[Item]) -> String {
    let read = outcomes.iter().filter_map(|outcome| outcome.evidence.as_ref());
    let (mut all, mut none, mut unread, mut cut) = (0, 0, 0, 0);
    for evidence in read {
        all += evidence.passages.len();
        none += usize::from(evidence.passages.is_empty());
        unread += evidence.left_out as usize;
        cut += usize::from(evidence.cut);
    }
    let each = all as f64 / outcomes.len().max(1) as f64;
    format!(
        "before the questions {retrieval}; {each:.1} read on average, none before {none}, {unread} left out for room, {cut} cut"
    )
}
