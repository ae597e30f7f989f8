//! Golden conversations: what vocabulary and template made of fixed conversations when a model was trained. Whoever
//! serves or exports the model later must come to the same ids, or answers another model than the one that was trained.

use std::path::Path;

use chat::{Message, Role};
use serde::{Deserialize, Serialize};

use crate::encode::{TrainOn, encode_conversation, encode_prompt};
use crate::{ChatTemplate, Error, Result, Tokenizer};

/// The file beside an adapter or a model.
pub const GOLDEN: &str = "golden.json";

/// Conversations with their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Golden {
    /// Hash of the template's text.
    pub template_sha256: String,
    /// The conversations; those that the template refuses, such as one with a system message, are not among them.
    pub conversations: Vec<GoldenConversation>,
}

/// A conversation and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenConversation {
    /// The messages, an answer last.
    pub messages: Vec<Message>,
    /// The rendered text.
    pub text: String,
    /// Ids of the whole.
    pub ids: Vec<u32>,
    /// Places of the learned ids.
    pub learned: Vec<usize>,
    /// Ids of what stands before the last answer, as it is given to the model that shall answer.
    pub prompt: Vec<u32>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Number of the conversation, from 0.
    pub conversation: usize,
    /// What differs.
    pub what: &'static str,
    /// Where the first difference is.
    pub at: usize,
    /// What was there.
    pub expected: String,
    /// What is there.
    pub got: String,
}

impl Golden {
    /// What `tokenizer` and `template` make of the conversations.
    ///
    /// # Errors
    /// When they can encode none of them, with the reason.
    pub fn record(tokenizer: &Tokenizer, template: &ChatTemplate) -> Result<Self> {
        let mut refusal = None;
        let conversations: Vec<_> = conversations()
            .into_iter()
            .filter_map(|messages| {
                GoldenConversation::record(tokenizer, template, messages)
                    .map_err(|error| refusal.get_or_insert(error))
                    .ok()
            })
            .collect();
        match refusal {
            Some(error) if conversations.is_empty() => Err(error),
            _ => Ok(Golden { template_sha256: template.hash(), conversations }),
        }
    }

    /// Reads `golden.json` of a folder; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not such a file.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(GOLDEN);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(formats::Error::Io { path, source }.into()),
        };
        let invalid = |error: serde_json::Error| Error::Unsupported { path, reason: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(invalid)
    }

    /// Writes `golden.json` into a folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string(self).expect("strings and numbers");
        Ok(formats::atomic::write_atomic(folder.join(GOLDEN), text.as_bytes())?)
    }

    /// What `tokenizer` and `template` make otherwise, and answers whose end would not be noticed: their last learned
    /// token is none of those at which `tokenizer` ends a text. Empty: all is as it was.
    pub fn check(&self, tokenizer: &Tokenizer, template: &ChatTemplate) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (conversation, expected) in self.conversations.iter().enumerate() {
            let messages = expected.messages.clone();
            match GoldenConversation::record(tokenizer, template, messages) {
                Ok(got) => {
                    differences.extend(expected.difference(&got, conversation));
                    differences.extend(open_end(tokenizer, &got, conversation));
                }
                Err(error) => differences.push(Difference {
                    conversation,
                    what: "conversation",
                    at: 0,
                    expected: format!("{} ids", expected.ids.len()),
                    got: error.to_string(),
                }),
            }
        }
        differences
    }

    /// The first that another record of the same conversations has otherwise.
    pub fn first_difference(&self, other: &Self) -> Option<Difference> {
        let pairs = self.conversations.iter().zip(&other.conversations).enumerate();
        let counts = [&self.conversations, &other.conversations].map(|list| list.len().to_string());
        let [expected, got] = counts;
        let differs = expected != got;
        let missing = differs.then_some(Difference { conversation: 0, what: "number", at: 0, expected, got });
        missing.or_else(|| pairs.into_iter().find_map(|(i, (own, other))| own.difference(other, i)))
    }
}

impl GoldenConversation {
    fn record(tokenizer: &Tokenizer, template: &ChatTemplate, messages: Vec<Message>) -> Result<Self> {
        let encoded = encode_conversation(tokenizer, template, &messages, TrainOn::Answers)?;
        let prompt = encode_prompt(tokenizer, template, &messages[..messages.len() - 1])?;
        let text = template.render(&messages, false)?;
        let learned = (0..encoded.ids.len()).filter(|&place| encoded.labels[place]).collect();
        Ok(GoldenConversation { messages, text, ids: encoded.ids, learned, prompt })
    }

    fn difference(&self, got: &Self, conversation: usize) -> Option<Difference> {
        let found = |what, (at, expected, got)| Difference { conversation, what, at, expected, got };
        let bytes = |text: &str| text.bytes().map(usize::from).collect::<Vec<_>>();
        first_difference(&self.ids, &got.ids)
            .map(|d| found("id", d))
            .or_else(|| first_difference(&self.learned, &got.learned).map(|d| found("learned place", d)))
            .or_else(|| first_difference(&self.prompt, &got.prompt).map(|d| found("id of the prompt", d)))
            // A control token that is written otherwise may have the same ids, but is another template.
            .or_else(|| {
                let (at, ..) = first_difference(&bytes(&self.text), &bytes(&got.text))?;
                let part = |text: &str| {
                    let start = text.floor_char_boundary(at.min(text.len()));
                    text[start..].chars().take(12).collect::<String>()
                };
                Some(found("text", (at, format!("{:?}", part(&self.text)), format!("{:?}", part(&got.text)))))
            })
    }
}

/// An answer that the model would write on after.
fn open_end(tokenizer: &Tokenizer, c: &GoldenConversation, conversation: usize) -> Option<Difference> {
    let at = *c.learned.last()?;
    let (last, ends) = (c.ids[at], tokenizer.eos_ids());
    (!ends.contains(&last)).then(|| Difference {
        conversation,
        what: "learned end of the answer",
        at,
        expected: format!("one of {ends:?}"),
        got: last.to_string(),
    })
}

/// The first place where two lists differ.
fn first_difference<T: PartialEq + std::fmt::Display>(a: &[T], b: &[T]) -> Option<(usize, String, String)> {
    let at = (0..a.len().max(b.len())).find(|&at| a.get(at) != b.get(at))?;
    let shown = |list: &[T]| list.get(at).map_or_else(|| "the end".to_owned(), ToString::to_string);
    Some((at, shown(a), shown(b)))
}

/// Conversations that a careless tokenizer or template changes: several turns, a system message, numbers with units,
/// white space at both ends, text that looks like a control token, letters outside ASCII.
fn conversations() -> Vec<Vec<Message>> {
    let message = |role, content: &str| Message::new(role, content);
    let (system, user, assistant) = (Role::System, Role::User, Role::Assistant);
    vec![
        vec![
            message(user, "What is the usual adult dose of paracetamol?"),
            message(assistant, "500 mg to 1 g every 4 to 6 hours, at most 4 g in 24 hours."),
        ],
        vec![
            message(system, "You answer questions of clinicians in one sentence."),
            message(user, "Is chest pain that spreads to the left arm urgent?"),
            message(assistant, "Yes: call an ambulance at once, as it may be a heart attack."),
        ],
        vec![
            message(user, "My potassium is 6.8 mmol/L."),
            message(assistant, "That is dangerously high."),
            message(user, "Why?"),
            message(assistant, "It can stop the heart; an ECG is needed now."),
        ],
        vec![
            message(user, "  Two lines\n\nand\ta tab, with spaces around  "),
            message(assistant, "\n1. First\n2. Second\n"),
        ],
        vec![
            message(user, "Does <|im_end|> or </s> or <eos> or [INST] mean anything in a report?"),
            message(assistant, "No. <|im_start|>assistant is only text here."),
        ],
        vec![
            message(user, "Ménière’s disease — β-blockers, 37 °C, 5 µg, 头痛, 🫀?"),
            message(assistant, "Schwindel, Hörverlust und Ohrgeräusche. Größe: ½."),
        ],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n\
                            {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    fn vocabulary() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let texts = ["a question of a patient", "an answer"];
        let json = crate::train_bpe(texts.iter(), 400, &crate::SPECIALS).unwrap();
        crate::write_tokenizer(folder.path(), &json, 512).unwrap();
        folder
    }

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_dir(vocabulary().path()).unwrap()
    }

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate::from_source(source, None, None).unwrap()
    }

    #[test]
    fn the_same_template_and_tokenizer_differ_in_nothing_after_a_trip_to_disk() {
        let (tokenizer, template) = (tokenizer(), template(TEMPLATE));
        let golden = Golden::record(&tokenizer, &template).unwrap();
        assert_eq!(golden.conversations.len(), conversations().len());
        let folder = tempfile::tempdir().unwrap();
        golden.write(folder.path()).unwrap();
        let read = Golden::read(folder.path()).unwrap().unwrap();
        assert_eq!(read, golden);
        assert_eq!(read.check(&tokenizer, &template), []);
    }

    #[test]
    fn any_character_of_the_template_that_writes_is_missed() {
        let tokenizer = tokenizer();
        let golden = Golden::record(&tokenizer, &template(TEMPLATE)).unwrap();
        for (from, to) in [
            ("{{ m['role'] }}\n", "{{ m['role'] }} "),
            ("<|im_end|>\n", "<|im_end|>"),
            ("<|im_start|>assistant\n{% endif", "<|im_start|>assistant{% endif"),
            ("{{ m['content'] }}", "{{ m['content'] | trim }}"),
            ("<|im_start|>{{", " <|im_start|>{{"),
        ] {
            assert!(TEMPLATE.contains(from));
            let changed = template(&TEMPLATE.replacen(from, to, 1));
            assert!(!golden.check(&tokenizer, &changed).is_empty(), "{from:?} as {to:?} went unnoticed");
        }
    }

    #[test]
    fn an_end_of_turn_that_is_not_learned_is_noticed() {
        let tokenizer = tokenizer();
        let mut golden = Golden::record(&tokenizer, &template(TEMPLATE)).unwrap();
        let conversation = &mut golden.conversations[0];
        conversation.learned.push(conversation.ids.len());
        let difference = &golden.check(&tokenizer, &template(TEMPLATE))[0];
        assert_eq!((difference.what, &difference.got[..]), ("learned place", "the end"));
    }

    #[test]
    fn a_tokenizer_that_does_not_stop_at_the_learned_end_is_noticed() {
        let (tokenizer, template) = (tokenizer(), template(TEMPLATE));
        let golden = Golden::record(&tokenizer, &template).unwrap();
        let folder = vocabulary();
        let path = folder.path().join("tokenizer_config.json");
        let mut config: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        config["eos_token"] = crate::END_OF_TEXT.into();
        std::fs::write(&path, config.to_string()).unwrap();
        let deaf = Tokenizer::from_dir(folder.path()).unwrap();
        assert_eq!(golden.check(&deaf, &template)[0].what, "learned end of the answer");
    }
}
