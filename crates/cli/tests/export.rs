//! A run or a model as files of other programs: whole or not at all, and the same model.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::runs::Workshop;
use common::{refused, run, run_json, stdout, text, write_adapter, write_model};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

fn tiny() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let model = folder.path().join("tiny");
    write_model(&model, 16);
    (folder, model)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn logits(model: &Path, more: &[&str]) -> Vec<f64> {
    let asked = [&["inspect", "logits", "--model", text(model), "--ids", "3,40,5", "--json"], more].concat();
    run_json(&asked)["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn a_model_is_the_same_in_gguf() {
    let (folder, model) = tiny();
    let out = folder.path().join("out");
    let document =
        run_json(&["export", text(&model), "--to", "gguf", "--quant", "f32", "--out", text(&out), "--json"]);
    assert_eq!(names(&out), ["tiny-F32.gguf", "verify.json"]);
    assert_eq!(document["files"][0]["name"], "tiny-F32.gguf");
    assert_eq!(document["quant"], "F32");
    let exported = out.join("tiny-F32.gguf");
    assert_eq!(logits(&model, &[]), logits(&exported, &[]));
    let shown =
        |model: &Path| run_json(&["inspect", "tokens", "--model", text(model), "--json"])["tokens"].clone();
    assert_eq!(shown(&model), shown(&exported));
}

#[test]
fn an_adapter_goes_with_its_base_or_alone() {
    let (folder, model) = tiny();
    let adapter = folder.path().join("adapter");
    write_adapter(&adapter, 16);
    let out = |name: &str| folder.path().join(name);
    let export = |to: &str, out: &Path| {
        run(&["export", text(&model), "--adapter", text(&adapter), "--to", to, "--out", text(out)], 0);
    };
    export("peft", &out("peft"));
    assert!(names(&out("peft")).contains(&"adapter.gguf".to_owned()), "{:?}", names(&out("peft")));
    let with = ["--adapter", text(&adapter)];
    let moved = out("peft");
    assert_eq!(logits(&model, &with), logits(&model, &["--adapter", text(&moved)]));
    export("safetensors", &out("whole"));
    assert!(names(&out("whole")).contains(&"chat_template.jinja".to_owned()));
    assert_eq!(logits(&out("whole"), &[]).len(), logits(&model, &[]).len());
}

#[test]
fn ollama_gets_a_modelfile_with_the_models_own_template() {
    let (folder, model) = tiny();
    let out = folder.path().join("out");
    let page = stdout(&run(&["export", text(&model), "--to", "ollama", "--out", text(&out)], 0));
    assert!(page.contains("Modelfile") && page.contains("× Q8_0"), "{page}");
    let modelfile = fs::read_to_string(out.join("Modelfile")).unwrap();
    for line in [
        "FROM ./tiny-Q8_0.gguf\n",
        "TEMPLATE \"\"\"{{ range .Messages }}",
        "PARAMETER num_ctx 64\n",
        "PARAMETER stop \"\"\"<|im_end|>\"\"\"\n",
    ] {
        assert!(modelfile.contains(line), "{modelfile}");
    }
}

#[test]
fn a_template_that_ollama_cannot_render_is_refused_and_nothing_is_written() {
    let (folder, model) = tiny();
    let numbered = "{% for m in messages %}{% if m['role'] == 'user' %}{{ loop.index }}{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n\
                    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    fs::write(model.join("chat_template.jinja"), numbered).unwrap();
    let out = folder.path().join("out");
    let error = refused(&["export", text(&model), "--to", "ollama", "--out", text(&out)]);
    assert!(error.contains("no Go template") && error.contains("hint:"), "{error}");
    assert_eq!(names(folder.path()), ["tiny"]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let (folder, model) = tiny();
    let out = folder.path().join("out");
    let refused = |more: &[&str]| refused(&[&["export", text(&model), "--out", text(&out)], more].concat());
    assert!(refused(&["--to", "safetensors", "--quant", "q4_k_m"]).contains("no blocks"));
    assert!(refused(&["--to", "peft"]).contains("no adapter"));
    assert!(refused(&["--to", "gguf", "--quant", "f16", "--imatrix"]).contains("nothing is quantized"));
    assert!(refused(&["--to", "gguf", "--quant", "q4_0", "--imatrix"]).contains("training side"));
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "").unwrap();
    assert!(refused(&["--to", "gguf"]).contains("is not empty"));
    assert_eq!(names(&out), ["mine"]);
}

#[test]
fn a_run_is_its_adapter_on_its_base_and_its_training_side_says_what_matters() {
    let workshop = Workshop::new("max_steps: 2");
    let trained = workshop.command("run", &[]).output().unwrap();
    assert!(trained.status.success(), "{}", common::stderr(&trained));
    let run_folder = workshop.path("run");
    let document: Value =
        run_json(&["export", text(&run_folder), "--to", "gguf", "--quant", "q4_0", "--imatrix", "--json"]);
    let out = run_folder.join("export").join("gguf");
    assert_eq!(document["out"], text(&out));
    assert_eq!(names(&out), ["imatrix.gguf", "run-Q4_0.gguf", "verify.json"]);
    assert_eq!(document["verification"]["passed"], true, "{document}");
    let fidelity = &document["verification"]["forms"][1]["fidelity"];
    assert!(fidelity["kl_mean"].as_f64().unwrap() > 0.0, "{document}");
    assert!(document["importance_tokens"].as_u64().unwrap() > 500, "{document}");
    // The same file again with the matrix that was kept.
    let again = workshop.path("again");
    let matrix = out.join("imatrix.gguf");
    run(
        &[
            "export",
            text(&run_folder),
            "--to",
            "gguf",
            "--quant",
            "q4_0",
            "--imatrix",
            text(&matrix),
            "--out",
            text(&again),
        ],
        0,
    );
    let bytes = |path: &Path| fs::read(path.join("run-Q4_0.gguf")).unwrap();
    assert!(bytes(&out) == bytes(&again), "one importance matrix, two files");
    let f32 = workshop.path("f32");
    run(&["export", text(&run_folder), "--to", "gguf", "--quant", "f32", "--out", text(&f32)], 0);
    let adapter = run_folder.join("adapter");
    let unmerged = logits(&workshop.path("base"), &["--adapter", text(&adapter)]);
    let merged = logits(&f32.join("run-F32.gguf"), &[]);
    let largest = unmerged.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let off = unmerged.iter().zip(&merged).fold(0.0f64, |off, (a, b)| off.max((a - b).abs()));
    assert!(off < 1e-4 * largest, "off by {off} of {largest}");
}
