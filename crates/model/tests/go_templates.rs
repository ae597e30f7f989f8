//! Go templates render what Ollama renders, and those that are made of chat templates render what the chat templates do.

mod reference;

use std::fs;

use chat::{Message, Role};
use model::{ChatTemplate, GoTemplate, OllamaTemplate, Tokenizer, train_bpe};
use proptest::prelude::*;
use reference::oracle;
use serde_json::json;

/// The conversations of Ollama's own tests, by the names of their files.
fn conversations() -> Vec<(&'static str, Vec<Message>)> {
    let system = Message::new(Role::System, "You are a helpful assistant.");
    let first = Message::user("Hello, how are you?");
    let answer = Message::assistant("I'm doing great. How can I help you today?");
    let second = Message::user("I'd like to show off how chat templating works!");
    vec![
        ("user", vec![first.clone()]),
        ("user-assistant-user", vec![first.clone(), answer.clone(), second.clone()]),
        ("system-user-assistant-user", vec![system, first, answer, second]),
    ]
}

/// Go templates that use every part of the language, by the names of the texts that they render to.
const TEMPLATES: [(&str, &str); 19] = [
    (
        "chatml",
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
    ),
    (
        "alfred",
        "{{- range .Messages }}<start_{{ .Role }}>{{ .Content }}<end_message>{{ end }}<start_assistant>",
    ),
    ("zephyr", "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n"),
    (
        "phi-3",
        "{{- range .Messages -}}\n  <|{{ .Role }}|>{{ \"\\n\" -}}\n  {{ .Content }}<|end|>\n{{ end }}<|assistant|>\n",
    ),
    (
        "llama3-instruct",
        "{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>\n\
         {{- end }}<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    (
        "gemma-instruct",
        "{{- range $i, $_ := .Messages }}\n{{- $last := eq (len (slice $.Messages $i)) 1 }}\n\
         {{- if eq .Role \"user\" }}<start_of_turn>user\n{{ if and $.System (eq $i 1) }}{{ $.System }}\n{{ end }}\
         {{ .Content }}<end_of_turn>\n{{ if $last }}<start_of_turn>model\n{{ end }}\n\
         {{- else if eq .Role \"assistant\" }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n{{ end }}\n{{- end }}",
    ),
    (
        "gemma3-instruct",
        "{{- range $i, $m := .Messages }}{{- if or (eq $m.Role \"user\") (eq $m.Role \"tool\") }}<start_of_turn>user\n\
         {{ if and (ne $.System ``) (eq $i 1) }}{{ $.System }}\n\n{{ end }}{{ $m.Content }}<end_of_turn>\n\
         {{ if ge $i 0 }}<start_of_turn>model\n{{ end }}{{ if eq (len (slice $.Messages $i)) 1 }}\n{{ end }}\
         {{ else if not (eq $m.Role \"system\") }}{{ $m.Content }}<end_of_turn>\n{{ end }}{{ end }}",
    ),
    (
        "mistral-instruct",
        "{{- range $i, $_ := .Messages }}{{- if eq .Role \"user\" }}[INST] {{ if eq $i 1 }}{{ with_system }}{{ end }}\
         {{ .Content }}[/INST]{{ else if eq .Role \"assistant\" }} {{ .Content }}</s>{{ end }}{{ end }}",
    ),
    (
        "alpaca",
        "{{- range .Messages }}{{ if eq .Role \"system\" }}{{ .Content }}\n\n{{ else if eq .Role \"user\" }}\
         ### Instruction:\n{{ .Content }}\n\n{{ else }}### Response:\n{{ .Content }}\n\n{{ end }}{{ end }}### Response:\n",
    ),
    (
        "magicoder",
        "{{ if .System }}{{ .System }}\n\n{{ end }}{{ if .Prompt }}@@ Instruction\n{{ .Prompt }}\n\n{{ end }}\
         @@ Response\n{{ .Response }}\n\n",
    ),
    (
        "vicuna",
        "{{ if .System }}{{ .System }}\n\n{{ end }}{{ if .Prompt }}USER: {{ .Prompt }}\n{{ end }}ASSISTANT: \
         {{- if .Response }} {{ .Response }}{{ end }}</s>\n",
    ),
    (
        "openchat",
        "{{- range .Messages }}GPT4 Correct {{ if eq .Role \"system\" }}System{{ else if eq .Role \"user\" }}User\
         {{ else }}Assistant{{ end }}: {{ .Content }}<|end_of_turn|>{{ end }}GPT4 Correct Assistant:",
    ),
    (
        "chatqa",
        "{{/* a comment }} in it */}}{{- range .Messages }}{{ if eq .Role \"system\" }}System: {{ .Content }}\n\n\
         {{- else if eq .Role `user` }}User: {{ .Content }}\n\n{{ else }}Assistant: {{ .Content }}\n\n{{ end }}\
         {{- if eq .Role \"system\" }}\n\n{{ end }}{{ end }}Assistant:",
    ),
    (
        "granite-instruct",
        "{{- $names := 0 }}{{ range .Messages }}{{ if eq .Role \"system\" }}System:{{ else if eq .Role \"user\" }}\
         Question:{{ else if eq .Role \"assistant\" }}Answer:{{ end }}\n{{ .Content }}\n\n{{ end }}\
         {{ if not $names }}Answer:\n{{ end }}",
    ),
    (
        "falcon-instruct",
        "{{- range .Messages }}{{ if eq .Role \"system\" }}System: {{ .Content }}\n{{ else if eq .Role \"user\" }}User:\n\
         {{ .Content }}\n{{ else }}Falcon:\n{{ .Content }}\n{{ end }}{{ end }}Falcon:\n",
    ),
    (
        "solar-instruct",
        "{{- range .Messages }}{{ if eq .Role \"system\" }}### System:\n{{ .Content }}\n\n{{ else if eq .Role \"user\" }}\
         ### User:\n{{ .Content }}\n\n{{ else }}### Assistant:\n{{ .Content }}</s>\n\n{{ end }}{{ end }}### Assistant:\n",
    ),
    (
        "starcoder2-instruct",
        "{{- range $message := .Messages }}{{ $role := $message.Role }}{{ if eq $role \"system\" }}{{ $message.Content }}\n\n\
         {{ else if eq \"user\" $role }}### Instruction\n{{ $message.Content }}\n\n{{ else }}### Response\n\
         {{ $message.Content }}<|endoftext|>\n\n{{ end }}{{ end }}### Response\n",
    ),
    (
        "codellama-70b-instruct",
        "{{- range .Messages }}Source: {{ .Role }}\n\n {{ .Content }} <step> {{ end }}Source: assistant\nDestination: user\n\n ",
    ),
    (
        "llama2-chat",
        "{{- range $i, $_ := .Messages }}{{ if eq .Role \"user\" }}{{ if gt $i 1 }}<s>{{ end }}[INST] <<SYS>>\
         {{ if and $.System (le $i 1) }}\n{{ $.System }}\n{{ end }}<</SYS>>\n\n{{ .Content }} [/INST]\
         {{ else if eq .Role \"assistant\" }} {{ .Content }}</s>{{ end }}{{ end }}",
    ),
];

#[test]
fn templates_render_what_ollama_renders() {
    let Some(folder) = oracle("templates/ollama/testdata") else { return };
    for (name, source) in TEMPLATES {
        let source = source.replace("{{ with_system }}", "{{ if $.System }}{{ $.System }}\n\n{{ end }}");
        // Without a system message the second message is an answer.
        let template = GoTemplate::parse(&source).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (conversation, messages) in conversations() {
            let expected = fs::read_to_string(folder.join(name).join(conversation)).unwrap();
            let got = template.render(&messages).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(got, expected, "{name}, {conversation}");
        }
    }
}

#[test]
fn what_is_no_template_is_refused_with_the_reason() {
    for (source, reason) in [
        ("{{ range .Messages }}", "end"),
        ("{{ end }}", "without a beginning"),
        ("{{ .Messages", "without }}"),
        ("{{ if (eq .System `x` }}{{ end }}", "("),
        ("{{ \"x }}", "without"),
        ("{{ 1 ! 2 }}", "not supported"),
        ("{{ else }}", "beginning"),
    ] {
        let error = GoTemplate::parse(source).unwrap_err().to_string();
        assert!(error.contains(reason), "{source}: {error}");
    }
    let messages = [Message::user("x")];
    for (source, reason) in [
        ("{{ range .System }}{{ end }}{{ .Messages }}", "no list"),
        ("{{ .Messages }}", "list"),
        ("{{ $x }}{{ .Messages }}", "$x"),
        ("{{ index .Messages 5 }}", "index 5 of 1"),
        ("{{ slice .Messages 5 }}", "slice"),
        ("{{ json .Messages }}", "json"),
    ] {
        let error = GoTemplate::parse(source).unwrap().render(&messages).unwrap_err().to_string();
        assert!(error.contains(reason), "{source}: {error}");
    }
    let loops = "{{ range $.Messages }}".repeat(60) + &"{{ end }}".repeat(60);
    let talk = [messages[0].clone(), Message::assistant("y")];
    let endless = GoTemplate::parse(&loops).unwrap().render(&talk).unwrap_err().to_string();
    assert!(endless.contains("actions"), "{endless}");
    let deep = "{{ if .System }}".repeat(100) + &"{{ end }}".repeat(100);
    assert!(GoTemplate::parse(&deep).is_err());
}

/// A vocabulary with these control tokens, the last of which ends a turn.
fn tokenizer(control: &[&str], bos: Option<&str>) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let json = train_bpe(["some text to learn from"].iter(), 256 + control.len() + 4, control).unwrap();
    fs::write(folder.path().join("tokenizer.json"), json).unwrap();
    let roles = json!({"bos_token": bos, "eos_token": control.last()});
    fs::write(folder.path().join("tokenizer_config.json"), roles.to_string()).unwrap();
    Tokenizer::from_dir(folder.path()).unwrap()
}

/// The template of a family for Ollama, and without the BOS what the family's own makes of a conversation.
fn exported(
    name: &str,
    control: &[&str],
    bos: Option<&str>,
) -> (OllamaTemplate, impl Fn(&[Message]) -> String) {
    let template = ChatTemplate::builtin(name).unwrap();
    let go = template.to_go(&tokenizer(control, bos)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let bos = bos.unwrap_or_default().to_owned();
    (go, move |messages: &[Message]| template.render(messages, true).unwrap().replacen(&bos, "", 1))
}

#[test]
fn every_known_family_has_a_go_template_that_renders_the_same() {
    let chatml = ["<|im_start|>", "<|im_end|>"];
    let llama3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
    let gemma = ["<bos>", "<start_of_turn>", "<end_of_turn>"];
    for (name, control, bos, trims) in [
        ("chatml", &chatml[..], None, false),
        ("qwen", &chatml, None, false),
        ("smollm2", &chatml, None, false),
        ("llama3", &llama3, Some("<|begin_of_text|>"), true),
        ("gemma", &gemma, Some("<bos>"), true),
        ("mistral", &["<s>", "</s>"], Some("<s>"), false),
    ] {
        let (go, own) = exported(name, control, bos);
        assert_eq!(go.notes.len(), usize::from(trims), "{name}: {:?}", go.notes);
        assert!(go.stops.contains(&control[control.len() - 1].to_owned()), "{name}: {:?}", go.stops);
        let parsed = GoTemplate::parse(&go.source).unwrap();
        for (conversation, messages) in conversations() {
            if name == "gemma" && conversation.starts_with("system") {
                continue; // Gemma's template refuses it.
            }
            assert_eq!(
                parsed.render(&messages).unwrap(),
                own(&messages),
                "{name}, {conversation}: {}",
                go.source
            );
        }
    }
}

#[test]
fn chatml_for_ollama_is_as_people_write_it() {
    let (go, _) = exported("chatml", &["<|im_start|>", "<|im_end|>"], None);
    assert_eq!(
        go.source,
        "{{ range .Messages }}{{ if eq .Role \"system\" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n\
         {{ else if eq .Role \"user\" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n\
         {{ else if eq .Role \"assistant\" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n\
         {{ end }}{{ end }}<|im_start|>assistant\n"
    );
    assert_eq!(go.stops, ["<|im_end|>", "<|im_start|>"]);
}

#[test]
fn braces_in_a_template_stay_braces() {
    let source = "{% for m in messages %}{{ '{{' + m['role'] + '}}{' + m['content'] + '<|im_end|>' }}{% endfor %}\
                  {% if add_generation_prompt %}{{ '{{assistant}}{' }}{% endif %}";
    let template = ChatTemplate::from_source(source, None, Some("<|im_end|>")).unwrap();
    let go = template.to_go(&tokenizer(&["<|im_end|>"], None)).unwrap();
    let messages = [Message::user("x")];
    let rendered = GoTemplate::parse(&go.source).unwrap().render(&messages).unwrap();
    assert_eq!(rendered, "{{user}}{x<|im_end|>{{assistant}}{");
}

#[test]
fn a_template_that_go_cannot_follow_is_refused() {
    let turn = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n";
    let end = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let number = "{% if m['role'] == 'user' %}{{ loop.index }}{% endif %}";
    for (source, reason) in [
        (format!("{{% for m in messages %}}{number}{turn}{{% endfor %}}{end}"), "no Go template"),
        (format!("{{% for m in messages[1:] %}}{turn}{{% endfor %}}{end}"), "order"),
        (format!("{{{{ strftime_now('%Y') }}}}{{% for m in messages %}}{turn}{{% endfor %}}{end}"), "date"),
    ] {
        let template = ChatTemplate::from_source(&source, None, Some("<|im_end|>")).unwrap();
        let refused =
            template.to_go(&tokenizer(&["<|im_start|>", "<|im_end|>"], None)).unwrap_err().to_string();
        assert!(refused.contains(reason), "{source}: {refused}");
    }
}

proptest! {
    #[test]
    fn no_template_ends_the_program(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "-", " ", "range", "if", "else", "end", ".", "$", "$i", ":=", "=", ",", "(", ")", "|", "eq",
                "and", "len", "slice", "index", ".Messages", ".Role", "\"x\"", "`", "\"", "\\", "é", "1", "nil", "text",
                "{{ range .Messages }}", "{{ if .System }}", "{{ end }}", "{{ .Content }}", "/*", "*/",
            ]),
            0..40,
        ),
    ) {
        if let Ok(template) = GoTemplate::parse(&parts.concat()) {
            let _ = template.render(&[Message::user("a"), Message::assistant("b"), Message::user("c")]);
        }
    }
}
