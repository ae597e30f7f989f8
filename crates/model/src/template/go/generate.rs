//! A Go template that writes what a chat template writes.
//!
//! It is found, not translated: conversations of marks show what stands between the messages, and a Go template puts the
//! same there. Whether that is the chat template's rule is then seen on other conversations.

use chat::{Message, Role};

use super::GoTemplate;
use crate::template::wrong;
use crate::{ChatTemplate, Golden, Result, Tokenizer};

/// Marks that stand for messages.
const SYSTEM: &str = "SystemMark0";
const QUESTIONS: [&str; 2] = ["QuestionMark0", "QuestionMark1"];
const ANSWER: &str = "AnswerMark0";

/// A chat template for a Modelfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OllamaTemplate {
    /// The Go template. The token before a text is not part of it, as llama.cpp puts it there.
    pub source: String,
    /// Texts at which an answer ends.
    pub stops: Vec<String>,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

impl ChatTemplate {
    /// The Go template that renders what this template renders.
    ///
    /// # Errors
    ///
    /// [`Error::Template`](crate::Error::Template) when none of those that are tried renders the [`Golden`]
    /// conversations to the same text, or the template writes the date.
    pub fn to_go(&self, tokenizer: &Tokenizer) -> Result<OllamaTemplate> {
        if self.source.contains("strftime_now") {
            return Err(wrong(
                &self.origin,
                "writes the date, which Ollama's templates do not write like that",
            ));
        }
        let golden = Golden::record(tokenizer, self)?;
        let (conversations, bos) = (questions(&golden), beginning(&golden, tokenizer));
        let between = Between::of(self, &bos).ok_or_else(|| {
            wrong(&self.origin, "changes messages or their order, which Ollama's templates do not")
        })?;
        let mut difference = None;
        for source in between.candidates() {
            match self.compare(&GoTemplate::parse(&source)?, &bos, &conversations) {
                Ok(notes) => return Ok(OllamaTemplate { stops: stops(tokenizer, &between), source, notes }),
                Err(reason) => difference = difference.or(Some(reason)),
            }
        }
        Err(difference.unwrap_or_else(|| wrong(&self.origin, "renders no conversation")))
    }

    /// Compares with a Go template on the [`Golden`] conversations. Returns what differs and is known to.
    ///
    /// # Errors
    ///
    /// [`Error::Template`](crate::Error::Template) when `source` is no such template, or with the first difference.
    pub fn compare_go(&self, tokenizer: &Tokenizer, source: &str) -> Result<Vec<String>> {
        let golden = Golden::record(tokenizer, self)?;
        self.compare(&GoTemplate::parse(source)?, &beginning(&golden, tokenizer), &questions(&golden))
    }

    /// Compares with a Go template; `bos` stands before what that one renders. Returns what differs and is known to.
    ///
    /// # Errors
    ///
    /// [`Error::Template`](crate::Error::Template) with the first difference.
    fn compare(&self, go: &GoTemplate, bos: &str, conversations: &[Vec<Message>]) -> Result<Vec<String>> {
        let mut trims = false;
        for messages in conversations {
            let same = |messages: &[Message]| -> Result<Option<(String, String)>> {
                // What the chat template refuses is nobody's text.
                let Ok(own) = self.render(messages, true) else { return Ok(None) };
                let other = format!("{bos}{}", go.render(messages)?);
                Ok((own != other).then_some((own, other)))
            };
            if same(messages)?.is_none() {
                continue;
            }
            // Many templates trim messages, and none of Ollama's can: that is said, and nothing else may differ.
            let trimmed: Vec<Message> =
                messages.iter().map(|m| Message::new(m.role, m.content.trim())).collect();
            if let Some((own, other)) = same(&trimmed)? {
                let at = own.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
                let part =
                    |text: &str| text[text.floor_char_boundary(at)..].chars().take(40).collect::<String>();
                return Err(wrong(
                    &self.origin,
                    format!(
                        "no Go template was found that renders the same: at byte {at} expected {:?}, got {:?}",
                        part(&own),
                        part(&other)
                    ),
                ));
            }
            trims = true;
        }
        let note =
            "the chat template trims messages, Ollama does not: send them without blanks at their ends";
        Ok(trims.then(|| note.to_owned()).into_iter().collect())
    }
}

/// The token before every text, which llama.cpp puts there, or nothing.
fn beginning(golden: &Golden, tokenizer: &Tokenizer) -> String {
    let bos = tokenizer.bos().filter(|bos| golden.conversations.iter().all(|c| c.ids.first() == Some(bos)));
    bos.and_then(|bos| tokenizer.id_to_token(bos)).unwrap_or_default()
}

/// The golden conversations up to their last questions, and long ones made of all of them, in which a place that was
/// taken for a role shows.
fn questions(golden: &Golden) -> Vec<Vec<Message>> {
    let asked = golden.conversations.iter().map(|c| c.messages[..c.messages.len() - 1].to_vec());
    let mut long: Vec<Message> = golden
        .conversations
        .iter()
        .filter(|c| c.messages.first().is_some_and(|message| message.role == Role::User))
        .flat_map(|c| c.messages.clone())
        .collect();
    long.push(Message::user(QUESTIONS[0]));
    let with_system = [vec![Message::new(Role::System, SYSTEM)], long.clone()].concat();
    asked.chain([long, with_system]).collect()
}

/// What stands between the messages of a conversation.
#[derive(Debug)]
struct Between {
    /// Before a question that is the first message.
    start: String,
    /// Between question and answer.
    to_answer: String,
    /// Between answer and question.
    to_question: String,
    /// Behind the last question.
    end: String,
    /// Behind the last question where no answer is asked for: the beginning of `end`.
    closed: String,
    /// Before a system message, and between it and the first question.
    system: Option<(String, String)>,
}

impl Between {
    fn of(template: &ChatTemplate, bos: &str) -> Option<Self> {
        let [first, second] = QUESTIONS.map(Message::user);
        let answer = Message::assistant(ANSWER);
        let rendered = |messages: &[Message], asks: bool| {
            let text = template.render(messages, asks).ok()?;
            text.strip_prefix(bos).map(str::to_owned)
        };
        let all = [first.clone(), answer, second];
        let [start, to_answer, to_question, end] =
            parts(&rendered(&all, true)?, [QUESTIONS[0], ANSWER, QUESTIONS[1]])?;
        let [_, closed] = parts(&rendered(&all[..1], false)?, [QUESTIONS[0]])?;
        let system = rendered(&[Message::new(Role::System, SYSTEM), first], true);
        let system = system.and_then(|text| parts(&text, [SYSTEM, QUESTIONS[0]]));
        let system = system.map(|[before, after, _]: [String; 3]| (before, after));
        Some(Between { start, to_answer, to_question, end, closed, system })
    }

    /// Go templates, the plainest first.
    fn candidates(&self) -> Vec<String> {
        self.by_role().into_iter().chain([self.by_place()]).collect()
    }

    /// Each message between two texts of its role's own.
    fn by_role(&self) -> Option<String> {
        let opening = self.end.strip_prefix(&self.closed)?;
        let answer = self.to_answer.strip_prefix(&self.closed)?;
        let after_answer = self.to_question.strip_suffix(&self.start)?;
        let turn = |role: &str, before: &str, after: &str| {
            let (before, after) = (literal(before), literal(after));
            format!("if eq .Role \"{role}\" }}}}{before}{{{{ .Content }}}}{after}{{{{ ")
        };
        let mut turns = Vec::new();
        if let Some((before, after)) = &self.system {
            turns.push(turn("system", before, after.strip_suffix(&self.start)?));
        }
        turns.push(turn("user", &self.start, &self.closed));
        turns.push(turn("assistant", answer, after_answer));
        let turns = turns.join("else ");
        Some(format!("{{{{ range .Messages }}}}{{{{ {turns}end }}}}{{{{ end }}}}{}", literal(opening)))
    }

    /// What stands before a message depends on its place: templates that put the system message into the first question,
    /// or a text of their own before everything.
    fn by_place(&self) -> String {
        let Between { start, to_answer, to_question, end, .. } = self;
        let [start, to_answer, to_question, end] =
            [start, to_answer, to_question, end].map(|text| literal(text));
        let system = self.system.as_ref().map(|(before, after)| {
            let (before, after) = (literal(before), literal(after));
            format!("if eq .Role \"system\" }}}}{before}{{{{ .Content }}}}{after}{{{{ else ")
        });
        let system = system.unwrap_or_default();
        let behind_system = "if not (and $.System (eq $i 1)) }}";
        format!(
            "{{{{ range $i, $_ := .Messages }}}}{{{{ {system}if eq .Role \"user\" }}}}{{{{ if eq $i 0 }}}}{start}{{{{ \
             else {behind_system}{to_question}{{{{ end }}}}{{{{ .Content }}}}{{{{ else if eq .Role \"assistant\" \
             }}}}{to_answer}{{{{ .Content }}}}{{{{ end }}}}{{{{ end }}}}{end}"
        )
    }
}

/// The texts around marks that come once each, in this order.
fn parts<const M: usize, const N: usize>(text: &str, marks: [&str; M]) -> Option<[String; N]> {
    let mut parts = Vec::with_capacity(N);
    let mut rest = text;
    for mark in marks {
        let (before, after) = rest.split_once(mark)?;
        parts.push(before.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    parts.try_into().ok()
}

/// A text as Go's templates write it.
fn literal(text: &str) -> String {
    let text = text.replace("{{", "{{ \"{{\" }}");
    match text.strip_suffix('{') {
        Some(rest) => format!("{rest}{{{{ \"{{\" }}}}"),
        None => text,
    }
}

/// The tokens that end an answer, and the control tokens around messages, which an answer cannot have.
fn stops(tokenizer: &Tokenizer, between: &Between) -> Vec<String> {
    let mut stops: Vec<String> =
        tokenizer.eos_ids().iter().filter_map(|id| tokenizer.id_to_token(*id)).collect();
    let around = format!("{}{}", between.to_question, between.end);
    let control = tokenizer.special_tokens().iter().map(|(text, _)| text);
    for text in control.filter(|text| around.contains(text.as_str())) {
        if !stops.contains(text) {
            stops.push(text.clone());
        }
    }
    stops
}
