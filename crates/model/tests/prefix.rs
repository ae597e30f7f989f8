//! What a model is given when it answers is what it was given when it learned: the ids of a prompt are the first ids
//! of the conversation, for every template with every kind of vocabulary.

mod reference;

use chat::{Message, Role};
use model::{
    ChatTemplate, Error, SPECIALS, Tokenizer, TrainOn, encode_conversation, encode_prompt, train_bpe,
};
use reference::oracle;
use serde_json::{Value, json};

/// The control tokens that the templates write.
const CONTROL: [&str; 40] = [
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "[INST]",
    "[/INST]",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "<|end_of_turn|>",
    "<|START_OF_TURN_TOKEN|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|USER_TOKEN|>",
    "<|CHATBOT_TOKEN|>",
    "<|SYSTEM_TOKEN|>",
    "<BOS_TOKEN>",
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
];

/// The rules by which Llama 3 and Qwen 2 cut words, as their `tokenizer.json` have them (Qwen: digits one by one).
fn modern_words(digits: &str) -> Value {
    let words = format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    );
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]})
}

/// A vocabulary with all control tokens.
fn with_control(mut vocabulary: Value) -> Tokenizer {
    let largest = |value: &Value| value.as_u64().expect("an id");
    let words = vocabulary["model"]["vocab"].as_object().expect("a vocabulary");
    let mut next = words.values().map(largest).max().expect("one") + 1;
    let added = vocabulary["added_tokens"].as_array_mut().expect("a list");
    for token in CONTROL {
        match added.iter_mut().find(|there| there["content"] == token) {
            Some(there) => there["special"] = true.into(),
            None => {
                added.push(json!({"id": next, "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true}));
                next += 1;
            }
        }
    }
    Tokenizer::from_json(&vocabulary.to_string()).expect("it loads")
}

/// GPT-2's rules with a vocabulary of our own, and, where they are there, real vocabularies: SmolLM2's (GPT-2's rules
/// too) as it is and with the rules of Llama 3 and Qwen 2, and one of SentencePiece as Llama 2's.
fn vocabularies() -> Vec<(&'static str, Tokenizer)> {
    let texts = ["What is asthma? A disease of the airways.\n\n", "system user assistant\n\nBe brief."];
    let own = train_bpe(texts.iter().cycle().take(12), 400, &SPECIALS).expect("it trains");
    let mut all = vec![("own", with_control(serde_json::from_str(&own).expect("JSON")))];
    let read = |name: &str| -> Option<Value> {
        let text = std::fs::read_to_string(oracle(name)?).expect("it can be read");
        Some(serde_json::from_str(&text).expect("JSON"))
    };
    if let Some(smollm2) = read("tokenizers/smollm2/tokenizer.json") {
        for (name, digits) in [("llama3 rules", r"\p{N}{1,3}"), ("qwen2 rules", r"\p{N}")] {
            let mut changed = smollm2.clone();
            changed["pre_tokenizer"] = modern_words(digits);
            all.push((name, with_control(changed)));
        }
        all.push(("smollm2", with_control(smollm2)));
    }
    if let Some(stories) = read("weights/stories260K/hf/tokenizer.json") {
        all.push(("stories260K", with_control(stories)));
    }
    all
}

/// The built-in templates, and those of the collections that are there.
fn templates() -> Vec<(String, ChatTemplate)> {
    let builtin = |name: &str| (name.to_owned(), ChatTemplate::builtin(name).expect("built in"));
    let mut all: Vec<_> = ["chatml", "gemma", "llama3", "mistral", "qwen", "smollm2"].map(builtin).into();
    for (folder, laid_out) in
        [("templates/chat_templates/chat_templates", true), ("templates/llama.cpp_jinja", false)]
    {
        let Some(folder) = oracle(folder) else { continue };
        let files =
            std::fs::read_dir(folder).expect("it can be read").map(|file| file.expect("a file").path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "jinja")) {
            let source = std::fs::read_to_string(&file).expect("it can be read");
            // Laid out for people; this is what its README takes out before use.
            let source = if laid_out { source.replace("    ", "").replace('\n', "") } else { source };
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let template =
                ChatTemplate::from_source(&source, Some("<s>"), Some("</s>")).expect("it compiles");
            all.push((name, template));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn conversations() -> Vec<Vec<Message>> {
    let answers =
        ["A disease of the airways.", "\n\nFirst: 2 things", " blank", "3 mg", "- a\n- b\n", "**Bold**"];
    let single = |answer: &&str| vec![Message::user("What is asthma?"), Message::assistant(*answer)];
    let mut all: Vec<_> = answers.iter().map(single).collect();
    let control = [Message::user("Write <|im_end|> and </s>"), Message::assistant("<|eot_id|>, no")];
    all.push(control.to_vec());
    for answer in answers {
        let mut turns = vec![Message::user("What is asthma?"), Message::assistant(answer)];
        turns.extend([Message::user("Why?\n\n"), Message::assistant("Because.")]);
        all.push(turns);
    }
    all
}

/// What was found for one vocabulary.
#[derive(Debug, Default)]
struct Found {
    prompts: usize,
    conversations: usize,
    /// Conversations that have other ids than their rendered text as a whole, as transformers would encode it.
    departures: usize,
    refused: Vec<String>,
}

#[test]
fn a_vocabulary_that_puts_a_blank_before_every_part_gets_none_before_an_answer() {
    let own = train_bpe(["What is asthma?"].iter().cycle().take(4), 300, &SPECIALS).expect("it trains");
    let mut own: Value = serde_json::from_str(&own).expect("JSON");
    own["pre_tokenizer"] =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let tokenizer = with_control(own);
    let template = ChatTemplate::builtin("chatml").expect("built in");
    let messages = [Message::user("What is asthma?"), Message::assistant("A disease.")];
    let encoded =
        encode_conversation(&tokenizer, &template, &messages, TrainOn::Answers).expect("it encodes");
    let text = tokenizer.decode(&encoded.ids, false).expect("it decodes");
    assert!(text.contains("assistant\nA disease."), "{text}");
}

#[test]
fn a_prompt_is_the_beginning_of_its_conversation() {
    let templates = templates();
    for (vocabulary, tokenizer) in vocabularies() {
        let mut found = Found::default();
        for (name, template) in &templates {
            let (before, mut why) = (found.conversations, String::new());
            for messages in conversations() {
                let encoded = match encode_conversation(&tokenizer, template, &messages, TrainOn::Answers) {
                    Ok(encoded) => encoded,
                    Err(reason @ (Error::Conversation(_) | Error::Template { .. })) => {
                        why = reason.to_string();
                        continue;
                    }
                    Err(error) => panic!("{vocabulary}, {name}: {error}"),
                };
                let case = format!("{vocabulary}, {name}, {messages:?}");
                let everything = encode_conversation(&tokenizer, template, &messages, TrainOn::Everything);
                assert_eq!(everything.expect("it encodes").ids, encoded.ids, "{case}");
                let rendered = template.render(&messages, false).expect("it renders");
                let whole = tokenizer.encode_with_control(&rendered).expect("it encodes");
                let mut whole_would_do = true;
                for (turn, _) in messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant) {
                    let prompt = encode_prompt(&tokenizer, template, &messages[..turn]).expect("it encodes");
                    assert!(
                        encoded.ids.starts_with(&prompt),
                        "{case}: the prompt ends in {:?}, the conversation has {:?}",
                        tail(&tokenizer, &prompt),
                        tail(&tokenizer, &encoded.ids[..prompt.len().min(encoded.ids.len())]),
                    );
                    assert!(!encoded.labels[prompt.len() - 1] && encoded.labels[prompt.len()], "{case}");
                    whole_would_do &= whole.starts_with(&prompt);
                    found.prompts += 1;
                }
                let writes_control = messages.iter().any(|m| CONTROL.iter().any(|c| m.content.contains(c)));
                if !writes_control {
                    assert_eq!(
                        whole == encoded.ids,
                        whole_would_do,
                        "{case}: other ids only where they must be"
                    );
                    found.departures += usize::from(whole != encoded.ids);
                }
                found.conversations += 1;
            }
            if found.conversations == before {
                found.refused.push(format!("{name}: {why}"));
            }
        }
        eprintln!("{vocabulary}: {found:#?}");
        assert!(found.refused.len() * 4 < templates.len(), "most templates must be comparable: {found:#?}");
    }
}

fn tail(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let last = &ids[ids.len().saturating_sub(4)..];
    last.iter().map(|id| tokenizer.id_to_token(*id).unwrap_or_default()).collect()
}
