//! What will be asked: known before the first request.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use chat::{ChatRequest, Message};
use corpus::{Chunk, StoredDocument, chunk, read_blocks};
use dataset::{By, Fingerprint, Item, Origin, Side, components, split};
use serde::Serialize;
use serde_json::json;

use crate::schema::{Wanted, form};
use crate::settings::Settings;
use crate::{Error, Kind, PROMPTS, Prompt, Result};

/// Smaller chunks say nothing that could be asked about.
pub(crate) const LEAST_CHUNK: usize = 16;
/// Tokens of a reply in which a model without measure writes one question.
const LEAST_REPLY: usize = 512;
/// Room for the headings of a chunk.
const HEADING_TOKENS: usize = 64;

/// One chunk and what is asked about it.
#[derive(Debug, Clone)]
pub struct Task {
    /// The chunk.
    pub chunk: Chunk,
    /// Its document's side of the split.
    pub side: Side,
    /// The place of its document in the corpus.
    pub(crate) document: usize,
    /// Questions that are asked for, or about so many if the prompt names no number.
    pub questions: usize,
    /// What the model is asked.
    pub request: ChatRequest,
}

/// All that will be asked about a corpus.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How.
    pub settings: Settings,
    /// With which prompt.
    pub prompt: Prompt,
    /// In the order of the corpus.
    pub tasks: Vec<Task>,
    pub(crate) documents: Vec<StoredDocument>,
}

/// What a plan takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Requests, without those whose replies are there and those of the second look.
    pub requests: usize,
    /// Requests whose replies are there.
    pub kept: usize,
    /// Tokens of the prompts.
    pub prompt_tokens: usize,
    /// Tokens of the replies, as they usually are.
    pub reply_tokens: usize,
    /// Tokens of the replies, at most.
    pub most_reply_tokens: usize,
    /// Questions that are asked for.
    pub questions: usize,
}

impl Plan {
    /// Reads the blocks of a corpus, cuts the documents, parts them and writes the requests. `count` counts the tokens of
    /// a text.
    ///
    /// Near-duplicate chunks keep their documents on one side, as a preprint and its publication.
    ///
    /// # Errors
    /// Settings without sense, a file that is not one of blocks, no text, or fewer documents than sides.
    pub fn new(blocks: &Path, settings: &Settings, count: &dyn Fn(&str) -> usize) -> Result<Self> {
        settings.validate()?;
        let prompt = PROMPTS.find(settings.prompt.as_deref().unwrap_or(settings.kind.default_prompt()))?;
        let documents = read_blocks(blocks)?;
        let cut =
            |document: &StoredDocument| chunk::cut(&document.id, &document.blocks, &settings.chunks, count);
        let chunks: Vec<(usize, Chunk)> = documents
            .iter()
            .enumerate()
            .flat_map(|(at, document)| cut(document).into_iter().map(move |c| (at, c)))
            .collect();
        if chunks.is_empty() {
            return Err(Error::NoText { path: blocks.to_owned(), documents: documents.len() });
        }
        let sides = sides(&chunks, settings)?;
        let task = |((document, chunk), side): ((usize, Chunk), Side)| {
            let questions = match prompt.asks_for("count") {
                true => settings.questions.for_tokens(chunk.tokens),
                false => settings.questions.expected(chunk.tokens),
            };
            let request = request(&chunk, questions, settings, &prompt)?;
            Ok(Task { chunk, side, document, questions, request })
        };
        let tasks = chunks.into_iter().zip(sides).map(task).collect::<Result<Vec<_>>>()?;
        Ok(Plan { settings: settings.clone(), prompt, tasks, documents })
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// Chunks and documents on each side.
    pub fn sides(&self) -> BTreeMap<Side, (usize, usize)> {
        let mut sides: BTreeMap<Side, (usize, usize)> = BTreeMap::new();
        let mut before = None;
        for task in &self.tasks {
            let (chunks, documents) = sides.entry(task.side).or_default();
            *chunks += 1;
            *documents += usize::from(before != Some(task.document));
            before = Some(task.document);
        }
        sides
    }

    /// What it takes to ask everything whose reply is not `kept` yet.
    ///
    /// # Errors
    /// That of `kept`.
    pub fn estimate(
        &self,
        count: &dyn Fn(&str) -> usize,
        kept: impl Fn(&ChatRequest) -> chat::Result<bool>,
    ) -> Result<Estimate> {
        let mut estimate = Estimate::default();
        for twins in self.distinct() {
            let task = &self.tasks[twins[0]];
            estimate.questions += task.questions * twins.len();
            if kept(&task.request)? {
                estimate.kept += 1;
                continue;
            }
            estimate.requests += 1;
            let around = 16 * task.request.messages.len();
            estimate.prompt_tokens +=
                around + task.request.messages.iter().map(|m| count(&m.content)).sum::<usize>();
            estimate.reply_tokens +=
                (task.questions * self.settings.kind.tokens_per_question()).min(task.request.max_tokens);
            estimate.most_reply_tokens += task.request.max_tokens;
        }
        Ok(estimate)
    }

    /// Fits replies into the `context` tokens that a model reads with its prompts, and says what the longest prompt takes
    /// with its reply. `count` counts the tokens of a conversation.
    ///
    /// A reply has no more room than its prompt leaves, and its texts are bounded, so that a model that comes to no end has
    /// written one question before it is cut off. A prompt that leaves no room at all stays as it is; the model will refuse
    /// it, and it alone.
    pub fn keep_within(&mut self, context: usize, count: &dyn Fn(&[Message]) -> usize) -> usize {
        let mut longest = 0;
        for Task { request, questions, .. } in &mut self.tasks {
            let prompt = count(&request.messages);
            if prompt < context {
                let least = if self.settings.max_tokens.is_none() { LEAST_REPLY } else { 1 };
                request.max_tokens = request.max_tokens.max(least).min(context - prompt);
                let wanted = wanted(*questions, &self.settings, &self.prompt);
                let room = Some(request.max_tokens);
                request.form = Some(form(self.settings.kind, Wanted { room, ..wanted }));
            }
            longest = longest.max((prompt + request.max_tokens).min(context));
        }
        longest
    }

    /// The tasks by request, in their order: documents that share a passage share what is asked about it.
    pub(crate) fn distinct(&self) -> Vec<Vec<usize>> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut distinct: Vec<Vec<usize>> = Vec::new();
        for (at, task) in self.tasks.iter().enumerate() {
            let place = *places.entry(json!(task.request).to_string()).or_insert(distinct.len());
            match distinct.get_mut(place) {
                Some(twins) => twins.push(at),
                None => distinct.push(vec![at]),
            }
        }
        distinct
    }
}

impl Settings {
    /// Tokens of the largest chunks whose prompts and replies a model that reads `context` tokens has room for; `count`
    /// counts those of a conversation.
    ///
    /// # Errors
    /// When the prompt cannot be used, or leaves no room for a text and a reply.
    pub fn chunk_tokens_within(&self, context: usize, count: &dyn Fn(&[Message]) -> usize) -> Result<usize> {
        let prompt = PROMPTS.find(self.prompt.as_deref().unwrap_or(self.kind.default_prompt()))?;
        let values = [("text", ""), ("headings", ""), ("count", "10"), ("language", self.language.as_str())];
        let around = count(&prompt.fill(&values)?) + HEADING_TOKENS;
        let of_question = (2 * self.kind.tokens_per_question()) as f64;
        // One question more than by the number of tokens, as that is rounded.
        let least = 64 + (self.questions.least.max(1) as f64 * of_question) as usize;
        let for_token = 1.0 + self.questions.per_1000_tokens / 1000.0 * of_question;
        let by_questions = (context.saturating_sub(around + least) as f64 / for_token) as usize;
        // A recipe may leave less room for replies, or more than there is.
        let by_recipe = self.max_tokens.map_or(0, |reply| context.saturating_sub(around + reply));
        match by_questions.max(by_recipe) {
            tokens if tokens >= LEAST_CHUNK => Ok(tokens),
            _ => Err(Error::NoRoom { prompt: prompt.to_string(), takes: around + least, context }),
        }
    }
}

/// What is wanted of a reply.
fn wanted(questions: usize, settings: &Settings, prompt: &Prompt) -> Wanted {
    let most = prompt.asks_for("count").then_some(questions);
    Wanted { least: settings.questions.required.unwrap_or(0), most, room: None }
}

/// What the model is asked about a chunk.
fn request(chunk: &Chunk, questions: usize, settings: &Settings, prompt: &Prompt) -> Result<ChatRequest> {
    let headings = match chunk.headings.is_empty() {
        true => "(none)".to_owned(),
        false => chunk.headings.join(" > "),
    };
    let values = [
        ("text", chunk.text.as_str()),
        ("headings", &headings),
        ("count", &questions.to_string()),
        ("language", &settings.language),
    ];
    // Twice of what is usual, and room for a reply without a single question.
    let max_tokens = settings.max_tokens.unwrap_or(64 + 2 * questions * settings.kind.tokens_per_question());
    Ok(ChatRequest {
        messages: prompt.fill(&values)?,
        max_tokens,
        temperature: settings.temperature,
        seed: Some(settings.seed),
        stop: Vec::new(),
        form: Some(form(settings.kind, wanted(questions, settings, prompt))),
    })
}

/// The side of each chunk: that of its document, drawn before there is a question.
fn sides(chunks: &[(usize, Chunk)], settings: &Settings) -> Result<Vec<Side>> {
    // A chunk stands for the rows that will be made of it; it takes part as an answer without a question.
    let stand_in = |(_, chunk): &(usize, Chunk)| dataset::Row {
        id: chunk.id.clone(),
        document: Some(chunk.document.to_string()),
        topic: None,
        source: None,
        split: None,
        item: Item::Conversation(vec![Message::assistant(chunk.text.clone())]),
        origin: Origin { file: String::new(), row: 0, line: None },
    };
    let rows: Vec<dataset::Row> = chunks.iter().map(stand_in).collect();
    let prints = Fingerprint::of_all(&rows);
    let (rows, prints): (Vec<_>, Vec<_>) = (rows.iter().collect(), prints.iter().collect());
    let mut joined = components(&rows, &prints, &[By::Document, By::Answer]);
    let split = split(&rows, &prints, &mut joined, &settings.split)?;
    // What the split keeps together it keeps on one side; this says so for every document.
    let mut of_document: HashMap<usize, Side> = HashMap::new();
    for ((document, _), side) in chunks.iter().zip(&split.sides) {
        let known = of_document.entry(*document).or_insert(*side);
        debug_assert_eq!(known, side);
    }
    Ok(split.sides)
}

impl Kind {
    /// The prompt with which a row is looked at again.
    pub(crate) fn second_look(self) -> &'static str {
        match self {
            Kind::Qa => "check-qa",
            Kind::Mc => "check-mc",
        }
    }
}
