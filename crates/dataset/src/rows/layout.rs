//! From a record to a row, one function for each layout.

use std::collections::BTreeMap;

use chat::{Message, Role};
use serde_json::{Map, Value};

use super::{AnswerOption, Choice, Item, Layout, Origin, ReadOptions, Record, Row};
use crate::dropped::{Fault, Rule};
use crate::normalise::fold_whitespace;

/// Columns that a layout takes where they are there.
pub(super) const OPTIONAL: [&str; 17] = [
    "id",
    "qid",
    "document",
    "filename",
    "topic",
    "focus_area",
    "subject_name",
    "source",
    "split",
    "system",
    "input",
    "history",
    "context",
    "explanation",
    "exp",
    "LONG_ANSWER",
    "pubid",
];

/// How the records of one file become rows.
pub(super) struct Plan {
    pub(super) layout: Layout,
    pub(super) first_key: i64,
    columns: BTreeMap<String, String>,
    system: Option<String>,
}

impl Plan {
    pub(super) fn new(layout: Layout, options: &ReadOptions) -> Self {
        Plan { layout, first_key: 1, columns: options.columns.clone(), system: options.system.clone() }
    }

    /// Understands one record.
    pub(super) fn row(&self, record: Record, origin: Origin, stem: &str) -> Result<Row, Fault> {
        let fields = Fields { fields: &record.fields, columns: &self.columns };
        let source = fields.optional("source");
        let qid = fields.optional("qid").map(|qid| match &source {
            Some(source) => format!("{source}/{qid}"),
            None => qid,
        });
        let own_id = fields.optional("id").or(qid).or_else(|| fields.optional("pubid"));
        let item = match self.layout {
            Layout::Messages => self.messages(fields.list("messages")?, "role", "content")?,
            Layout::ShareGpt => self.messages(fields.list("conversations")?, "from", "value")?,
            Layout::Alpaca => self.alpaca(&fields)?,
            Layout::PromptCompletion => self.prompt_completion(&fields)?,
            Layout::QuestionAnswer => {
                self.conversation(&fields, Vec::new(), fields.question("question")?, fields.text("answer")?)?
            }
            Layout::MedQa => med_qa(&fields)?,
            Layout::MedMcqa => med_mcqa(&fields, self.first_key)?,
            Layout::MedQaSentences => med_qa_sentences(&fields)?,
            Layout::PubMedQa => pub_med_qa(&fields)?,
            Layout::Mmlu => mmlu(&fields)?,
            Layout::Options => with_options(&fields)?,
        };
        Ok(Row {
            document: document(&fields, source.as_deref()),
            topic: ["topic", "focus_area", "subject_name"].iter().find_map(|name| fields.optional(name)),
            split: fields.optional("split"),
            source,
            item,
            id: own_id.or(record.key).unwrap_or_else(|| format!("{stem}-{}", origin.row)),
            origin,
        })
    }

    fn conversation(
        &self,
        fields: &Fields,
        history: Vec<Message>,
        question: String,
        answer: String,
    ) -> Result<Item, Fault> {
        let system = fields.optional("system").or_else(|| self.system.clone());
        let mut messages: Vec<_> = system.map(|text| Message::new(Role::System, text)).into_iter().collect();
        messages.extend(history);
        messages.extend([Message::user(question), Message::assistant(answer)]);
        checked(messages)
    }

    fn alpaca(&self, fields: &Fields) -> Result<Item, Fault> {
        let mut question = fields.question("instruction")?;
        if let Some(input) = fields.optional("input") {
            question = format!("{question}\n{input}");
        }
        let mut history = Vec::new();
        for turn in fields.get("history").and_then(Value::as_array).into_iter().flatten() {
            let [Some(user), Some(assistant)] = [0, 1].map(|at| turn.get(at).and_then(Value::as_str)) else {
                return Err(Fault::new(Rule::Conversation, "`history` is not a list of question and answer"));
            };
            history.extend([Message::user(user), Message::assistant(assistant)]);
        }
        self.conversation(fields, history, question, fields.text("output")?)
    }

    fn prompt_completion(&self, fields: &Fields) -> Result<Item, Fault> {
        let (prompt, completion) = (fields.get("prompt"), fields.get("completion"));
        if let (Some(Value::Array(prompt)), Some(Value::Array(completion))) = (prompt, completion) {
            let turns: Vec<Value> = prompt.iter().chain(completion).cloned().collect();
            return self.messages(&turns, "role", "content");
        }
        self.conversation(fields, Vec::new(), fields.question("prompt")?, fields.text("completion")?)
    }

    fn messages(&self, turns: &[Value], role: &str, content: &str) -> Result<Item, Fault> {
        let mut messages = Vec::with_capacity(turns.len() + 1);
        for turn in turns {
            let [Some(role), Some(content)] =
                [role, content].map(|name| turn.get(name).and_then(Value::as_str))
            else {
                return Err(Fault::new(
                    Rule::Conversation,
                    format!("a turn without `{role}` or `{content}`"),
                ));
            };
            let role = match role {
                "system" => Role::System,
                "user" | "human" => Role::User,
                "assistant" | "gpt" | "model" => Role::Assistant,
                other => return Err(Fault::new(Rule::Conversation, format!("a turn of `{other}`"))),
            };
            messages.push(Message::new(role, content));
        }
        if let Some(system) = &self.system
            && messages.first().is_some_and(|message| message.role != Role::System)
        {
            messages.insert(0, Message::new(Role::System, system));
        }
        checked(messages)
    }
}

/// A conversation alternates between person and model, from a question to an answer, after at most one system turn.
fn checked(messages: Vec<Message>) -> Result<Item, Fault> {
    let fault = |rule, detail| Err(Fault::new(rule, detail));
    let turns = match messages.first() {
        Some(message) if message.role == Role::System => &messages[1..],
        _ => &messages[..],
    };
    if turns.is_empty() || !turns.len().is_multiple_of(2) {
        return fault(Rule::Conversation, "the turns are not questions, each with its answer");
    }
    for (at, turn) in turns.iter().enumerate() {
        let expected = if at % 2 == 0 { Role::User } else { Role::Assistant };
        if turn.role != expected {
            return fault(Rule::Conversation, "the turns do not alternate between user and assistant");
        }
        if turn.content.trim().is_empty() {
            let rule = if at % 2 == 0 { Rule::EmptyQuestion } else { Rule::EmptyAnswer };
            return fault(rule, "a turn without text");
        }
    }
    Ok(Item::Conversation(messages))
}

/// `document`, or MedQuAD's qid up to the dash (one page of its source), or source and focus area, or the file that
/// the row was made from.
fn document(fields: &Fields, source: Option<&str>) -> Option<String> {
    if let Some(document) = fields.optional("document") {
        return Some(document);
    }
    let page = fields.optional("qid").and_then(|qid| qid.rsplit_once('-').map(|(page, _)| page.to_string()));
    match (source, page.or_else(|| fields.optional("focus_area"))) {
        (Some(source), Some(page)) => Some(format!("{source}/{page}")),
        _ => fields.optional("filename"),
    }
}

fn med_qa(fields: &Fields) -> Result<Item, Fault> {
    let Some(options) = fields.get("options").and_then(mapped) else {
        return Err(Fault::new(Rule::MissingField, "`options` is not a map from letters to texts"));
    };
    let key = fields.text("answer_idx")?;
    let Some(answer) = options.iter().position(|option| option.letter == key.trim()) else {
        return Err(Fault::new(Rule::AnswerKey, format!("`answer_idx` is `{key}`, which is no option")));
    };
    choice(fields, "question", options, answer)
}

/// The letter of the answer, or its text; letters count as letters first.
fn with_options(fields: &Fields) -> Result<Item, Fault> {
    let listed = |value: &Value| match value {
        Value::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let parsed;
    let options = match fields.get("options") {
        Some(Value::String(text)) => {
            parsed = serde_json::from_str(text).unwrap_or_default();
            Some(&parsed)
        }
        other => other,
    };
    let options = match options {
        Some(value) => mapped(value).or_else(|| listed(value).map(lettered)),
        None => {
            let columns = (b'A'..=b'Z').map(|letter| char::from(letter).to_string());
            Some(lettered(columns.map_while(|letter| fields.optional(&letter)).collect()))
        }
    };
    let options = options.filter(|options| !options.is_empty()).ok_or_else(|| {
        let detail = "no options: neither a list or map `options` nor columns `A`, `B`, …";
        Fault::new(Rule::MissingField, detail)
    })?;
    let key = fields.text("answer")?;
    let key = fold_whitespace(&key);
    let is_letter = |option: &AnswerOption| option.letter.eq_ignore_ascii_case(&key);
    let is_text = |option: &AnswerOption| fold_whitespace(&option.text).eq_ignore_ascii_case(&key);
    let answer = options.iter().position(is_letter).or_else(|| options.iter().position(is_text));
    let Some(answer) = answer else {
        let letters: Vec<&str> = options.iter().map(|option| option.letter.as_str()).collect();
        let detail =
            format!("`answer` is `{key}`, no letter ({}) and no text of an option", letters.join(", "));
        return Err(Fault::new(Rule::AnswerKey, detail));
    };
    choice(fields, "question", options, answer)
}

/// A map from letters to texts: as such, as `[{"key": "A", "value": "…"}]`, or kept as a string, as CSV files have it.
fn mapped(options: &Value) -> Option<Vec<AnswerOption>> {
    match options {
        Value::Object(map) => options_of(map),
        Value::Array(pairs) if !pairs.is_empty() && pairs.iter().all(Value::is_object) => {
            let pairs =
                pairs.iter().filter_map(|pair| Some((pair.get("key")?.as_str()?, pair.get("value")?)));
            options_of(&pairs.map(|(key, value)| (key.to_string(), value.clone())).collect())
        }
        Value::String(text) => serde_json::from_str(text).ok().and_then(|map| options_of(&map)),
        _ => None,
    }
}

fn options_of(map: &Map<String, Value>) -> Option<Vec<AnswerOption>> {
    let mut options = Vec::with_capacity(map.len());
    for (letter, text) in map {
        options.push(AnswerOption { letter: letter.clone(), text: text.as_str()?.to_string() });
    }
    options.sort_by(|a, b| a.letter.cmp(&b.letter));
    Some(options)
}

fn med_mcqa(fields: &Fields, first_key: i64) -> Result<Item, Fault> {
    let texts: Result<Vec<_>, _> =
        ["opa", "opb", "opc", "opd"].iter().map(|name| fields.text(name)).collect();
    let options = lettered(texts?);
    let answer = numbered(fields, "cop", first_key, options.len())?;
    choice(fields, "question", options, answer)
}

fn med_qa_sentences(fields: &Fields) -> Result<Item, Fault> {
    let texts = (0..26).map_while(|at| fields.text(&format!("ending{at}")).ok()).collect();
    let options = lettered(texts);
    let answer = numbered(fields, "label", 0, options.len())?;
    let mut question = fields.question("sent1")?;
    if let Some(rest) = fields.optional("sent2") {
        question = format!("{question} {rest}");
    }
    finished(fields, question, None, options, answer)
}

/// `choices` as Hugging Face has them, or the four columns of the authors' files; `answer` is a letter there and
/// counts from 0 here.
fn mmlu(fields: &Fields) -> Result<Item, Fault> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let choices: Option<Vec<String>> = match fields.get("choices") {
        Some(Value::Array(choices)) => choices.iter().map(text).collect(),
        Some(Value::String(list)) => serde_json::from_str(list).ok(),
        _ => None,
    };
    let Some(choices) = choices else {
        return Err(Fault::new(Rule::MissingField, "`choices` is not a list of texts"));
    };
    let options = lettered(choices);
    let letter = fields.optional("answer").unwrap_or_default();
    let answer = match options.iter().position(|option| option.letter == letter) {
        Some(answer) => answer,
        None => numbered(fields, "answer", 0, options.len())?,
    };
    choice(fields, "question", options, answer)
}

fn pub_med_qa(fields: &Fields) -> Result<Item, Fault> {
    let options = ["yes", "no", "maybe"];
    let decision = fields.text("final_decision")?;
    let Some(answer) = options.iter().position(|option| *option == decision.trim()) else {
        let detail = format!("`final_decision` is `{decision}`, not yes, no or maybe");
        return Err(Fault::new(Rule::AnswerKey, detail));
    };
    let passages: Vec<_> = fields.list("CONTEXTS")?.iter().filter_map(Value::as_str).collect();
    let question = fields.question("QUESTION")?;
    let options = lettered(options.iter().map(|option| option.to_string()).collect());
    finished(fields, question, Some(passages.join("\n")), options, answer)
}

fn choice(fields: &Fields, question: &str, options: Vec<AnswerOption>, answer: usize) -> Result<Item, Fault> {
    finished(fields, fields.question(question)?, fields.optional("context"), options, answer)
}

fn finished(
    fields: &Fields,
    question: String,
    context: Option<String>,
    options: Vec<AnswerOption>,
    answer: usize,
) -> Result<Item, Fault> {
    let right =
        options.get(answer).map(|option| fold_whitespace(&option.text).to_lowercase()).unwrap_or_default();
    if options.len() < 2 || right.is_empty() {
        return Err(Fault::new(Rule::AnswerKey, "fewer than two options, or an empty right one"));
    }
    let same = |option: &AnswerOption| fold_whitespace(&option.text).to_lowercase() == right;
    if options.iter().filter(|option| same(option)).count() > 1 {
        return Err(Fault::new(Rule::DuplicateOptions, "a wrong option has the text of the right one"));
    }
    let explanation = ["explanation", "exp", "LONG_ANSWER"].iter().find_map(|name| fields.optional(name));
    Ok(Item::Choice(Choice { question, context, options, answer, explanation }))
}

fn lettered(texts: Vec<String>) -> Vec<AnswerOption> {
    let letters = (b'A'..=b'Z').map(|letter| char::from(letter).to_string());
    letters.zip(texts).map(|(letter, text)| AnswerOption { letter, text }).collect()
}

fn numbered(fields: &Fields, name: &str, first: i64, count: usize) -> Result<usize, Fault> {
    let key = fields.get(name).and_then(whole_number);
    let index =
        key.and_then(|key| usize::try_from(key.checked_sub(first)?).ok()).filter(|index| *index < count);
    index.ok_or_else(|| {
        let found = fields.get(name).map_or(String::from("missing"), Value::to_string);
        Fault::new(Rule::AnswerKey, format!("`{name}` is {found}; {count} options, counted from {first}"))
    })
}

/// A whole number, also one written as text.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

/// The fields of a record by our names.
struct Fields<'a> {
    fields: &'a Map<String, Value>,
    columns: &'a BTreeMap<String, String>,
}

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        let theirs = self.columns.get(name).map_or(name, String::as_str);
        self.fields.get(theirs).filter(|value| !value.is_null())
    }

    /// The text of a field; `None` when it is missing, blank or not text.
    fn optional(&self, name: &str) -> Option<String> {
        let text = match self.get(name)? {
            Value::String(text) => text.trim().to_string(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// The text of a field that has to be there; it may be blank.
    fn text(&self, name: &str) -> Result<String, Fault> {
        match self.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(Fault::new(Rule::MissingField, format!("`{name}` is not text"))),
            None if self.fields.contains_key(name) && name == "answer" => {
                Err(Fault::new(Rule::EmptyAnswer, "`answer` is null"))
            }
            None => Err(Fault::new(Rule::MissingField, format!("`{name}` is missing"))),
        }
    }

    /// The text of a field that has to be there and to say something.
    fn question(&self, name: &str) -> Result<String, Fault> {
        let text = self.text(name)?;
        if text.trim().is_empty() {
            return Err(Fault::new(Rule::EmptyQuestion, format!("`{name}` is empty")));
        }
        Ok(text)
    }

    fn list(&self, name: &str) -> Result<&[Value], Fault> {
        match self.get(name) {
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(Fault::new(Rule::MissingField, format!("`{name}` is not a list"))),
            None => Err(Fault::new(Rule::MissingField, format!("`{name}` is missing"))),
        }
    }
}
