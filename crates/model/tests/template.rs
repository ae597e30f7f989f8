//! Chat templates against Python's jinja2 and Hugging Face's cases.

mod reference;

use std::fs;
use std::time::{Duration, SystemTime};

use chat::{Message, Role};
use model::ChatTemplate;
use reference::oracle_json;
use serde_json::{Value, json};

/// Renders with any variables, on 10 July 2025.
fn render(source: &str, context: &Value) -> Result<String, String> {
    let day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_752_105_600);
    ChatTemplate::from_source(source, None, None)
        .and_then(|template| template.at(day).render_context(context))
        .map_err(|error| error.to_string())
}

/// Counts the cases that agree, prints those that do not, and fails when fewer agree than before.
fn expect_count<'a>(
    what: &str,
    expected: usize,
    cases: impl Iterator<Item = (&'a str, Result<String, String>, &'a str)>,
) {
    let (mut passed, mut total) = (0, 0);
    for (name, got, wanted) in cases {
        total += 1;
        if got.as_deref() == Ok(wanted) {
            passed += 1;
        } else {
            eprintln!("{what}: {name}\n  wanted {wanted:?}\n  got    {got:?}");
        }
    }
    eprintln!("{what}: {passed} of {total}");
    assert_eq!(passed, expected, "{what}: the number of passing cases changed");
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[test]
fn hugging_face_end_to_end_cases() {
    let Some(cases) = oracle_json("templates/hf_jinja_e2e_cases.json") else { return };
    let groups = ["default_templates", "custom_templates"];
    let all = groups.iter().flat_map(|group| cases[group].as_object().expect("an object"));
    let results = all.map(|(name, case)| {
        let got = render(text(&case["chat_template"]), &case["data"]);
        (name.as_str(), got, text(&case["target"]))
    });
    // The other one prints a Python object where JavaScript prints JSON; jinja2 agrees with us.
    expect_count("hf_jinja_e2e", 52, results);
}

#[test]
fn engine_cases_as_python_jinja2() {
    let Some(cases) = oracle_json("templates/hf_jinja_unit_cases.json") else { return };
    let all = cases["cases"].as_object().expect("an object").iter();
    let comparable =
        all.filter(|(_, case)| case["python_jinja2_3_1_6"].is_string() && case["has_function"] != true);
    let results = comparable.map(|(name, case)| {
        let got = render(text(&case["template"]), &case["context"]);
        (name.as_str(), got, text(&case["python_jinja2_3_1_6"]))
    });
    // What is missing: unary plus, keywords as names, and `Undefined` as the name of what is not defined in a list.
    expect_count("hf_jinja_unit", 143, results);
}

#[test]
fn llama_cpp_cases() {
    let Some(cases) = oracle_json("templates/llama_cpp_chat_template_cases.json") else { return };
    let all = cases["cases"].as_array().expect("an array").iter();
    let results = all.filter(|case| case["supported_with_jinja"] == true).map(|case| {
        let context = json!({
            "messages": cases["messages"],
            "add_generation_prompt": cases["add_generation_prompt"],
            "bos_token": case["bos_token"],
            "eos_token": case["eos_token"],
        });
        let wanted = [&case["expected_output_jinja"], &case["expected_output"]].map(text);
        let wanted = wanted.into_iter().find(|wanted| !wanted.is_empty()).unwrap_or_default();
        // The expected texts are without BOS.
        let got = render(text(&case["template"]), &context)
            .map(|got| got.strip_prefix(text(&case["bos_token"])).unwrap_or(&got).to_owned());
        (text(&case["name"]), got, wanted)
    });
    // The other six fold the system message where the template's text does not; jinja2 agrees with us.
    expect_count("llama_cpp_chat_template", 23, results);
}

fn conversation() -> Vec<Message> {
    vec![
        Message::new(Role::System, "Be brief."),
        Message::user("  What is <b>asthma</b>? "),
        Message::assistant("A disease of the airways."),
        Message::user("Thanks"),
    ]
}

#[test]
fn built_in_templates_write_the_well_known_formats() {
    let rendered = |name: &str, messages: &[Message]| {
        ChatTemplate::builtin(name).and_then(|template| template.render(messages, true)).expect("it renders")
    };
    assert_eq!(
        rendered("chatml", &conversation()),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n  What is <b>asthma</b>? <|im_end|>\n\
         <|im_start|>assistant\nA disease of the airways.<|im_end|>\n<|im_start|>user\nThanks<|im_end|>\n\
         <|im_start|>assistant\n"
    );
    assert_eq!(
        rendered("llama3", &conversation()[1..3]),
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhat is <b>asthma</b>?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\nA disease of the airways.<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    assert_eq!(
        rendered("mistral", &conversation()),
        "<s> [INST] Be brief.\n\n  What is <b>asthma</b>?  [/INST] A disease of the airways.</s> [INST] Thanks [/INST]"
    );
    assert_eq!(
        rendered("gemma", &conversation()[1..2]),
        "<bos><start_of_turn>user\nWhat is <b>asthma</b>?<end_of_turn>\n<start_of_turn>model\n"
    );
    assert!(
        rendered("smollm2", &conversation()[1..])
            .starts_with("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    );
    assert!(rendered("qwen", &conversation()[1..]).starts_with("<|im_start|>system\nYou are Qwen"));
    let refused = ChatTemplate::builtin("gemma").and_then(|template| template.render(&conversation(), false));
    assert!(refused.expect_err("gemma has no system role").to_string().contains("System role not supported"));
    assert!(ChatTemplate::builtin("vicuna").expect_err("unknown").to_string().contains("llama3"));
}

#[test]
fn json_is_written_as_python_writes_it() {
    let context =
        json!({"v": {"b": [1, 2.0, 1e-7, true, null], "a": "<é\"\u{1F600}>\n"}, "empty": {"list": []}});
    let written =
        |expression: &str| render(&format!("{{{{ {expression} }}}}"), &context).expect("it renders");
    // json.dumps(v, ...) of CPython 3.11
    assert_eq!(written("v | tojson"), r#"{"b": [1, 2.0, 1e-07, true, null], "a": "<é\"😀>\n"}"#);
    assert_eq!(written("v.a | tojson(ensure_ascii=true)"), r#""<\u00e9\"\ud83d\ude00>\n""#);
    assert_eq!(
        written("v | tojson(sort_keys=true, separators=[',', ':'])"),
        r#"{"a":"<é\"😀>\n","b":[1,2.0,1e-07,true,null]}"#
    );
    assert_eq!(written("empty | tojson(indent=2)"), "{\n  \"list\": []\n}");
}

#[test]
fn products_are_those_of_python() {
    let written = |expression: &str| render(&format!("{{{{ {expression} }}}}"), &json!({}));
    for (expression, wanted) in [
        ("6 * 7", "42"),
        ("-3 * true", "-3"),
        ("2 * 0.5", "1.0"),
        ("9223372036854775807 * 2", "18446744073709551614"),
        ("'ab' * 2 ~ 3 * 'c'", "ababccc"),
        ("'ab' * -1", ""),
        ("([1, 2] * 2) | length", "4"),
        ("2 * [1, 'a']", "[1, 'a', 1, 'a']"),
    ] {
        assert_eq!(written(expression).as_deref(), Ok(wanted), "{expression}");
    }
    for expression in ["'a' * 'b'", "'a' * 1.5", "{} * 2", "2 * none", "2**100 * 2**100"] {
        written(expression).expect_err(expression);
    }
}

#[test]
fn generation_marks_are_no_obstacle() {
    let source =
        "{% for m in messages %}\n  {%- generation -%}\n {{ m.content }}\n{% endgeneration %}\n!{% endfor %}";
    let plain = source.replace("endgeneration", "endif").replace("generation", "if true");
    let context = json!({"messages": [{"content": "a"}, {"content": "b"}]});
    let got = render(source, &context).expect("it renders");
    assert_eq!(got, render(&plain, &context).expect("it renders"));
    assert_eq!(got, "a\n!b\n!");
}

#[test]
fn templates_come_from_their_file_then_from_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let from_dir = || ChatTemplate::from_dir(folder.path());
    assert!(from_dir().expect_err("nothing there").to_string().contains("hint"));
    let settings = folder.path().join("tokenizer_config.json");
    let write = |value: Value| fs::write(&settings, value.to_string()).expect("it is written");
    write(
        json!({"chat_template": [{"name": "tools", "template": "T"}, {"name": "default", "template": "D"}]}),
    );
    assert_eq!(from_dir().expect("the default").source(), "D");
    write(json!({"chat_template": [{"name": "tools", "template": "T"}, {"name": "rag", "template": "R"}]}));
    assert!(from_dir().expect_err("no default").to_string().contains("default"));
    write(json!({"chat_template": "{{ bos_token }}S", "bos_token": {"content": "<s>"}}));
    let template = from_dir().expect("the settings' template");
    assert_eq!(template.render(&[], false).expect("it renders"), "<s>S");
    fs::write(folder.path().join("chat_template.jinja"), "F").expect("it is written");
    let template = from_dir().expect("the file");
    assert_eq!(template.source(), "F");
    assert_eq!(template.hash(), blake3::hash(b"F").to_hex().to_string());
}

#[test]
fn hostile_templates_reach_a_limit() {
    let failing = |source: &str| render(source, &json!({})).expect_err("it is refused");
    assert!(
        failing("{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}")
            .contains("steps")
    );
    assert!(
        failing("{% set x = 'aaaaaaaaaa' * 10000 %}{% for i in range(20) %}{{ x }}{% endfor %}")
            .contains("bytes")
    );
    assert!(failing(&"x".repeat((64 << 10) + 1)).contains("at most"));
    assert!(failing("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").contains("recursion"));
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{{ x.y.z }}",
        "{% if %}",
        "{{ 'a' | nothing }}",
    ] {
        failing(source);
    }
    failing(&"{% if true %}".repeat(3000));
    failing(&format!("{{{{ {}1 }}}}", "(".repeat(30_000)));
}
