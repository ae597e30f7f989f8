//! An adapter that was trained on a base in four bits answers on that base.

mod common;

use common::*;

#[test]
fn an_adapter_trained_on_four_bits_answers_on_four_bits() {
    let dir = tempfile::tempdir().unwrap();
    let (base, rows) = (dir.path().join("base"), dir.path().join("rows.csv"));
    write_model(&base, 32);
    let topics = ["asthma", "anemia", "gout", "measles", "scurvy", "malaria", "eczema", "tetanus", "rickets"];
    let short = topics.map(|topic| format!("Is {topic} bad?,Yes: {topic}.,{topic}\n")).concat();
    std::fs::write(&rows, format!("question,answer,document\n{short}")).unwrap();
    let train = |adapter: &str, double: bool| {
        let run = dir.path().join(format!("{adapter}-{double}"));
        let recipe = dir.path().join("recipe.yaml");
        let yaml = format!(
            "base_model: {}\nadapter: {adapter}\nlora_r: 4\nbnb_4bit_use_double_quant: {double}\n\
             datasets: [{{path: {}}}]\nsequence_len: 64\nmicro_batch_tokens: 64\nmax_steps: 3\nwarmup_steps: 0\n\
             learning_rate: 0.01\nevaluation: {{max_answers: 0}}\noutput_dir: {}\n",
            text(&base),
            text(&rows),
            text(&run)
        );
        std::fs::write(&recipe, yaml).unwrap();
        run_json(&["train", text(&recipe), "--json"]);
        run.join("adapter")
    };
    let logits = |adapter: &std::path::Path| {
        let (model, adapter) = (text(&base), text(adapter));
        let arguments =
            ["inspect", "logits", "--model", model, "--adapter", adapter, "--ids", "5,9,12", "--json"];
        run_json(&arguments)["logits"].clone()
    };
    for double in [false, true] {
        let adapter = train("qlora", double);
        let file = adapter.join("base_quantization.json");
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(written["bnb_4bit_quant_type"], "nf4");
        assert_eq!(written["bnb_4bit_use_double_quant"], double);
        let quantized = logits(&adapter);
        std::fs::remove_file(&file).unwrap();
        assert_ne!(quantized, logits(&adapter), "without the file the base is not quantized");
    }
    assert!(!train("lora", true).join("base_quantization.json").exists());
}
