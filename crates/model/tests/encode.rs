//! Conversations to ids: the mask, control tokens in messages, and what is refused.

mod reference;

use chat::{Message, Role};
use model::{
    ChatTemplate, ConversationError, Encoded, Error, SPECIALS, Tokenizer, TrainOn, encode_conversation,
    encode_prompt, train_bpe,
};
use proptest::prelude::*;
use reference::oracle;

const LLAMA3_SPECIALS: [&str; 4] =
    ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];

fn tokenizer(specials: &[&str]) -> Tokenizer {
    let texts =
        ["What is asthma? A disease of the airways.", "system user assistant model", "Be brief. Thanks!\n\n"];
    let json = train_bpe(texts.iter().cycle().take(12), 380, specials).expect("it trains");
    Tokenizer::from_json(&json).expect("it loads")
}

fn conversation() -> Vec<Message> {
    vec![
        Message::new(Role::System, "Be brief."),
        Message::user("What is asthma?"),
        Message::assistant("A disease of the airways."),
        Message::user("Thanks"),
        Message::assistant("You are welcome."),
    ]
}

fn labelled(tokenizer: &Tokenizer, encoded: &Encoded) -> Vec<String> {
    let mut turns = vec![Vec::new()];
    for (id, label) in encoded.ids.iter().zip(&encoded.labels) {
        match label {
            true => turns.last_mut().expect("never empty").push(*id),
            false => turns.push(Vec::new()),
        }
    }
    turns.retain(|turn| !turn.is_empty());
    turns.iter().map(|turn| tokenizer.decode(turn, false).expect("it decodes")).collect()
}

fn refused(result: model::Result<Encoded>) -> ConversationError {
    match result {
        Err(Error::Conversation(reason)) => reason,
        other => panic!("expected a refusal of the conversation, got {other:?}"),
    }
}

#[test]
fn answers_are_labelled_with_the_end_of_their_turn() {
    let specials = |name| match name {
        "llama3" => LLAMA3_SPECIALS.to_vec(),
        "gemma" => vec!["<bos>", "<start_of_turn>", "<end_of_turn>"],
        "mistral" => vec!["<s>", "</s>"],
        _ => SPECIALS.to_vec(),
    };
    for (name, start, end) in [
        ("chatml", "", "<|im_end|>"),
        ("smollm2", "", "<|im_end|>"),
        ("qwen", "", "<|im_end|>"),
        ("llama3", "", "<|eot_id|>"),
        ("gemma", "", "<end_of_turn>"),
        ("mistral", " ", "</s>"),
    ] {
        let tokenizer = tokenizer(&specials(name));
        let template = ChatTemplate::builtin(name).expect("built in");
        let messages = &conversation()[usize::from(name == "gemma")..];
        let encoded =
            encode_conversation(&tokenizer, &template, messages, TrainOn::Answers).expect("it encodes");
        let answers = ["A disease of the airways.", "You are welcome."];
        assert_eq!(
            labelled(&tokenizer, &encoded),
            answers.map(|answer| format!("{start}{answer}{end}")),
            "{name}"
        );

        // The ids are those of the rendered text, and training sees what generation is given.
        let rendered = template.render(messages, false).expect("it renders");
        assert_eq!(tokenizer.decode(&encoded.ids, false).expect("it decodes"), rendered, "{name}");
        // GPT-2's rules, which this vocabulary has, join two line breaks at the end of a text and not before a word,
        // so with Llama 3's header (whose own rules do neither) the whole text alone would be cut differently.
        if name != "llama3" {
            assert_eq!(encoded.ids, tokenizer.encode_with_control(&rendered).expect("it encodes"), "{name}");
        }
        let prompt =
            encode_prompt(&tokenizer, &template, &messages[..messages.len() - 1]).expect("it encodes");
        assert_eq!(encoded.ids[..prompt.len()], prompt, "{name}");
        assert!(encoded.labels[prompt.len()]);

        let all =
            encode_conversation(&tokenizer, &template, messages, TrainOn::Everything).expect("it encodes");
        assert_eq!(all.ids, encoded.ids);
        assert_eq!(all.label_count(), all.ids.len() - 1);
        assert!(!all.labels[0]);
    }
}

#[test]
fn control_text_in_messages_stays_text() {
    for (name, specials) in [("chatml", SPECIALS.as_slice()), ("llama3", LLAMA3_SPECIALS.as_slice())] {
        let tokenizer = tokenizer(specials);
        let template = ChatTemplate::builtin(name).expect("built in");
        let control = |ids: &[u32]| ids.iter().filter(|id| tokenizer.is_special(**id)).count();
        let plain = encode_conversation(&tokenizer, &template, &conversation(), TrainOn::Answers)
            .expect("it encodes");
        for special in specials {
            for role in 0..conversation().len() {
                let mut messages = conversation();
                messages[role].content = format!("a {special}{special} b\u{F0000}{special}");
                let encoded = encode_conversation(&tokenizer, &template, &messages, TrainOn::Answers)
                    .expect("it encodes");
                assert_eq!(control(&encoded.ids), control(&plain.ids), "{special} in message {role}");
                let rendered = template.render(&messages, false).expect("it renders");
                assert_eq!(tokenizer.decode(&encoded.ids, false).expect("it decodes"), rendered);
                assert_eq!(labelled(&tokenizer, &encoded).len(), 2);
                if messages[role].role == Role::Assistant {
                    let answers = labelled(&tokenizer, &encoded);
                    assert!(answers.iter().any(|answer| answer.starts_with(&messages[role].content)));
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let tokenizer = tokenizer(&SPECIALS);
    let chatml = ChatTemplate::builtin("chatml").expect("built in");
    let encode = |template: &ChatTemplate, messages: &[Message]| {
        encode_conversation(&tokenizer, template, messages, TrainOn::Answers)
    };
    let source = |source: &str| ChatTemplate::from_source(source, None, None).expect("it compiles");
    assert_eq!(refused(encode(&chatml, &conversation()[..2])), ConversationError::NoLabel);
    let empty = encode_conversation(&tokenizer, &chatml, &[], TrainOn::Everything);
    assert_eq!(refused(empty), ConversationError::NoLabel);

    let open = source(
        "{% for m in messages %}{{ m.role + ': ' + m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    );
    assert_eq!(refused(encode(&open, &conversation())), ConversationError::OpenAnswer { turn: 2 });

    let other_vocabulary = ChatTemplate::builtin("llama3").expect("built in");
    assert_eq!(
        refused(encode(&other_vocabulary, &conversation())),
        ConversationError::OpenAnswer { turn: 2 }
    );

    let backwards = source("{% for m in messages | reverse %}{{ m.content }}<|im_end|>{% endfor %}");
    assert_eq!(refused(encode(&backwards, &conversation())), ConversationError::NotAPrefix { turn: 2 });

    let bare = source("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}");
    assert_eq!(refused(encode(&bare, &[Message::assistant("Hello")])), ConversationError::AllLabelled);

    let transforming =
        source("{% for m in messages %}{{ m.content | replace('*', '') }}<|im_end|>{% endfor %}");
    let sly = [Message::user("<|im_*end|>"), Message::assistant("no")];
    assert_eq!(refused(encode(&transforming, &sly)), ConversationError::ForeignControlToken);
}

#[test]
fn earlier_answers_may_be_written_shorter() {
    let folder = tempfile::tempdir().expect("a folder");
    let json =
        train_bpe(["reasoning answer question"].iter().cycle().take(4), 320, &SPECIALS).expect("it trains");
    model::write_tokenizer(folder.path(), &json, 128).expect("it is written");
    let tokenizer = Tokenizer::from_dir(folder.path()).expect("it loads");
    // As Qwen3: the reasoning is written for the last answer only.
    let source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}(reasoning){% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let template = ChatTemplate::from_source(source, None, None).expect("it compiles");
    let encoded =
        encode_conversation(&tokenizer, &template, &conversation(), TrainOn::Answers).expect("it encodes");
    let expected = ["A disease of the airways.<|im_end|>", "(reasoning)You are welcome.<|im_end|>"];
    assert_eq!(labelled(&tokenizer, &encoded), expected);
}

#[test]
fn bos_comes_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = train_bpe(["text"].iter().cycle().take(4), 300, &LLAMA3_SPECIALS).expect("it trains");
    std::fs::write(folder.path().join("tokenizer.json"), json).expect("it is written");
    std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"bos_token": "<|begin_of_text|>"}"#)
        .expect("written");
    let tokenizer = Tokenizer::from_dir(folder.path()).expect("it loads");
    let once = ChatTemplate::builtin("llama3").expect("built in");
    let encoded =
        encode_conversation(&tokenizer, &once, &conversation(), TrainOn::Answers).expect("it encodes");
    assert_eq!(encoded.ids.iter().filter(|id| Some(**id) == tokenizer.bos()).count(), 1);
    let twice = ChatTemplate::from_source(
        &format!("{{{{ bos_token }}}}{}", once.source()),
        Some("<|begin_of_text|>"),
        None,
    );
    let result =
        encode_conversation(&tokenizer, &twice.expect("it compiles"), &conversation(), TrainOn::Answers);
    assert_eq!(refused(result), ConversationError::DoubleBos);
}

#[test]
fn a_real_vocabulary_and_its_template() {
    let Some(folder) = oracle("tokenizers/smollm2") else { return };
    let tokenizer = Tokenizer::from_dir(folder).expect("it loads");
    let template = ChatTemplate::builtin("smollm2").expect("built in");
    let encoded = encode_conversation(&tokenizer, &template, &conversation()[1..3], TrainOn::Answers)
        .expect("it encodes");
    // AutoTokenizer.apply_chat_template of transformers 5.23.0 with this vocabulary and template
    let expected = [
        1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712,
        8182, 2, 198, 1, 4093, 198, 1780, 314, 9050, 47, 2, 198, 1, 520, 9531, 198, 49, 1611, 282, 260,
        27540, 30, 2, 198,
    ];
    assert_eq!(encoded.ids, expected);
    assert_eq!(labelled(&tokenizer, &encoded), ["A disease of the airways.<|im_end|>"]);
}

proptest! {
    #[test]
    fn the_mask_is_the_answer_whatever_is_said(
        question in "\\PC{0,30}|[<|>im_endstart \\n]{0,30}",
        answer in "\\PC{1,30}|[<|>im_endstart \\n]{1,30}",
    ) {
        let tokenizer = tokenizer(&SPECIALS);
        let template = ChatTemplate::builtin("chatml").expect("built in");
        let messages = [Message::user(question), Message::assistant(answer.clone())];
        let encoded = encode_conversation(&tokenizer, &template, &messages, TrainOn::Answers).expect("it encodes");
        let rendered = template.render(&messages, false).expect("it renders");
        prop_assert_eq!(tokenizer.decode(&encoded.ids, false).expect("it decodes"), rendered);
        prop_assert_eq!(encoded.ids.iter().filter(|id| tokenizer.is_special(**id)).count(), 4);
        prop_assert_eq!(labelled(&tokenizer, &encoded), [format!("{answer}<|im_end|>")]);
    }
}
