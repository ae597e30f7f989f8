//! Published evaluations of medical models, computed again from their files with pairs, intervals and unread answers.
//!
//! MIRAGE (Xiong et al. 2024, GPT-4 with and without retrieval) and MedGPT (2024). The files lie beside the repository.
//! The grades of ECG-LLM are in `judge_people.rs`.

mod reference;

use eval::choice::extract::{self, Reader, Rule};
use eval::comparison::ChoiceResult;
use eval::evaluation::{Answers, Reading};
use eval::statistics::{Discordant, clopper_pearson, holm, wilson};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use reference::oracle;

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path, end) } else { vec![path] })
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    found.sort();
    found
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The right letter of every question of MIRAGE, by set and key.
fn mirage_gold(folder: &Path) -> BTreeMap<&'static str, BTreeMap<String, char>> {
    let mut gold: BTreeMap<&str, BTreeMap<String, char>> = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let lines = |path: &Path| -> Vec<Value> {
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    for (row, question) in lines(&files(&folder.join("medqa"), "test.jsonl")[0]).iter().enumerate() {
        gold.entry("medqa").or_default().insert(format!("{row:04}"), text(&question["answer_idx"]).remove(0));
    }
    for question in lines(&folder.join("medmcqa/data/dev.json")) {
        let right = "ABCD".as_bytes()[question["cop"].as_u64().unwrap() as usize - 1];
        gold.entry("medmcqa").or_default().insert(text(&question["id"]), char::from(right));
    }
    for (key, decision) in json(&folder.join("pubmedqa/data/test_set.json")).as_object().unwrap() {
        let decision = decision.as_str().or_else(|| decision["final_decision"].as_str()).unwrap();
        let right =
            [("yes", 'A'), ("no", 'B'), ("maybe", 'C')].into_iter().find(|(name, _)| *name == decision);
        gold.entry("pubmedqa").or_default().insert(key.clone(), right.unwrap().1);
    }
    for path in files(&folder.join("bioasq"), ".gz") {
        let file: Value =
            serde_json::from_reader(GzDecoder::new(std::fs::File::open(path).unwrap())).unwrap();
        for question in file["questions"].as_array().unwrap().iter().filter(|q| q["type"] == "yesno") {
            let yes = text(&question["exact_answer"]).eq_ignore_ascii_case("yes");
            gold.entry("bioasq").or_default().insert(text(&question["id"]), if yes { 'A' } else { 'B' });
        }
    }
    for path in files(&folder.join("mmlu"), "_test.csv") {
        let subject = path.file_name().unwrap().to_str().unwrap().trim_end_matches("_test.csv").to_string();
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_path(&path).unwrap();
        for (row, record) in rows.records().enumerate() {
            let right = record.unwrap().iter().next_back().unwrap().chars().next().unwrap();
            gold.entry("mmlu").or_default().insert(format!("{subject}-{row:03}"), right);
        }
    }
    gold
}

/// Files of a tar archive: name and content.
fn untar(bytes: &[u8]) -> Vec<(String, &[u8])> {
    let field = |header: &[u8], from: usize, to: usize| {
        String::from_utf8_lossy(&header[from..to]).trim_matches(['\0', ' ']).to_string()
    };
    let (mut at, mut files) = (0, Vec::new());
    while at + 512 <= bytes.len() && bytes[at] != 0 {
        let header = &bytes[at..at + 512];
        let size = usize::from_str_radix(&field(header, 124, 135), 8).unwrap();
        let (prefix, name) = (field(header, 345, 500), field(header, 0, 100));
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        files.push((name, &bytes[at + 512..at + 512 + size]));
        at += 512 + size.next_multiple_of(512);
    }
    files
}

#[test]
fn mirages_gpt_4_loses_by_retrieval_on_examinations_and_wins_on_research_questions() {
    let (Some(raw), Some(archive)) =
        (oracle("medical/mirage_raw"), oracle("medical/mirage_predictions_gpt4.tar.gz"))
    else {
        return;
    };
    let gold = mirage_gold(&raw);
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(archive).unwrap()).read_to_end(&mut bytes).unwrap();
    let reader = Reader::new(Rule::Mirage, &labels(&["A", "B", "C", "D"])).unwrap();
    // Set, with retrieval or not, key → letter.
    let mut letters: HashMap<(String, bool, String), Option<char>> = HashMap::new();
    for (name, content) in untar(&bytes).into_iter().filter(|(name, _)| name.ends_with(".json")) {
        let parts: Vec<&str> = name.trim_start_matches("./").split('/').collect();
        let key = parts.last().unwrap().trim_end_matches(".json").split_once('_').unwrap().1;
        let answers: Vec<String> = serde_json::from_slice(content).unwrap();
        // MIRAGE takes an answer without a letter for A.
        let letter = match reader.read(&answers[0], &[]) {
            extract::Reading::Named(option) => Some(char::from(b"ABCD"[option])),
            extract::Reading::NoOption | extract::Reading::Abstained | extract::Reading::Unparsed => None,
        };
        letters.insert((parts[0].to_string(), parts[1] == "rag_32", key.to_string()), letter);
    }
    assert_eq!(letters.len(), 15_326);
    // n, only without retrieval right, only with, no letter without, with, p, difference in points.
    let expected = BTreeMap::from([
        ("mmlu", (1089, 69, 45, 10, 31, 0.0308, -2.20)),
        ("medqa", (1273, 72, 57, 27, 35, 0.2176, -1.18)),
        ("medmcqa", (4183, 505, 370, 173, 526, 5.67e-6, -3.23)),
        ("pubmedqa", (500, 34, 189, 0, 1, 3.00e-27, 31.00)),
        ("bioasq", (618, 18, 69, 5, 1, 3.32e-8, 8.25)),
    ]);
    let mut p_values = Vec::new();
    for (set, (n, only_base, only_tuned, unread_base, unread_tuned, p, points)) in expected {
        let mut pair = Discordant { only_base: 0, only_tuned: 0, n: 0 };
        let mut unread = [0, 0];
        for (key, right) in &gold[set] {
            let picked = [false, true].map(|retrieval| letters[&(set.to_string(), retrieval, key.clone())]);
            let [base, tuned] = picked.map(|letter| letter.unwrap_or('A') == *right);
            (0..2).for_each(|side| unread[side] += usize::from(picked[side].is_none()));
            pair.n += 1;
            pair.only_base += u64::from(base && !tuned);
            pair.only_tuned += u64::from(tuned && !base);
        }
        assert_eq!(pair, Discordant { only_base, only_tuned, n }, "{set}");
        assert_eq!(unread, [unread_base, unread_tuned], "{set}: answers that name no letter");
        assert!((pair.mcnemar_p() / p - 1.0).abs() < 2e-3, "{set}: {}", pair.mcnemar_p());
        assert!((pair.difference() * 100.0 - points).abs() < 0.005, "{set}: {}", pair.difference());
        assert_eq!(pair.wald_interval().excludes_zero(), set != "medqa");
        p_values.push(pair.mcnemar_p());
    }
    let adjusted = holm(&p_values);
    assert_eq!(adjusted.iter().filter(|p| **p < 0.05).count(), 3, "five tests at once: {adjusted:?}");
}

/// How the answers in a file come out by a rule: right, wrong, abstained, unparsed; and the flag of each.
fn counted(file: &Path, rule: Rule, labels: &[String]) -> ([usize; 4], Vec<bool>) {
    let reading = Reading { options: labels, rule, ..Reading::default() };
    let answers = Answers::read(file, &reading).unwrap();
    assert_eq!(answers.faults, [], "every reference names an option, and every answer is there");
    let results: Vec<ChoiceResult> =
        answers.outcomes.iter().map(|outcome| outcome.choice.as_ref().unwrap().result()).collect();
    let count = |wanted: ChoiceResult| results.iter().filter(|result| **result == wanted).count();
    use ChoiceResult::{Abstained, Right, Unparsed, Wrong};
    let counts = [Right, Wrong, Abstained, Unparsed].map(count);
    (counts, results.iter().map(|result| *result == Right).collect())
}

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}

#[test]
fn medgpts_base_answers_nothing_that_can_be_read() {
    let Some(folder) = oracle("medical/medgpt_outputs") else { return };
    let letters = labels(&["A", "B", "C", "D", "E"]);
    let read = |file: &str, rule| counted(&folder.join(file), rule, &letters);
    let (base, base_right) = read("test_data_gemma.csv", Rule::Medgpt);
    let (tuned, tuned_right) = read("test_data_gemma_finetune.csv", Rule::Medgpt);
    assert_eq!((base, tuned), ([0, 14, 0, 79], [64, 29, 0, 0]));
    // Ours reads `answer is B` too, so it finds two, and none in tags that hold a text.
    let (base, tuned) =
        (read("test_data_gemma.csv", Rule::Medtune), read("test_data_gemma_finetune.csv", Rule::Medtune));
    assert_eq!((base.0, tuned.0), ([2, 9, 0, 82], [64, 29, 0, 0]));
    let (none, most) = (clopper_pearson(0, 93), wilson(64, 93));
    assert!(
        none.low == 0.0 && (none.high - 0.0389).abs() < 5e-5,
        "{none:?}: up to 3.9 % may hide in 0 of 93"
    );
    assert!((most.low - 0.5881).abs() < 5e-5 && (most.high - 0.7733).abs() < 5e-5, "{most:?}");
    let only =
        |one: &[bool], other: &[bool]| one.iter().zip(other).filter(|(a, b)| **a && !**b).count() as u64;
    let pair = Discordant {
        only_base: only(&base_right, &tuned_right),
        only_tuned: only(&tuned_right, &base_right),
        n: 93,
    };
    assert_eq!((pair.only_base, pair.only_tuned), (0, 64));
    assert!(
        pair.mcnemar_p() < 1e-18,
        "the prompt of the base was broken: a difference of files, not of models"
    );
}

#[test]
fn flower_tunes_accuracies_are_those_of_its_rule_and_ours_guesses_nothing() {
    let Some(folder) = oracle("medical/smollm2_generations") else { return };
    // Run, right and answers that name no option by our rule.
    let expected = [
        ("medqa_eval_results_SmolLM2-135M-Instruct", (123, 832)),
        ("medqa_eval_results_SmolLM2-360M-Instruct", (7, 1234)),
        ("medmcqa_eval_results_SmolLM2-135M-Instruct", (37, 4043)),
        ("medmcqa_eval_results_SmolLM2-360M-Instruct", (120, 3726)),
        ("pubmedqa_eval_results_SmolLM2-135M-Instruct", (271, 11)),
        ("pubmedqa_eval_results_SmolLM2-135M", (36, 436)),
        ("pubmedqa_eval_results_SmolLM2-360M-Instruct", (110, 305)),
        ("pubmedqa_eval_results_SmolLM2-360M", (94, 320)),
    ];
    for (run, ours) in expected {
        let file = folder.join(format!("generation_{run}.jsonl.gz"));
        let published = std::fs::read_to_string(folder.join(format!("acc_{run}.txt"))).unwrap();
        let published: f64 =
            published.trim().trim_start_matches("Accuracy: ").trim_end_matches('.').parse().unwrap();
        let options = match run.starts_with("pubmedqa") {
            true => labels(&["yes", "no", "maybe"]),
            false => labels(&["A", "B", "C", "D", "E"]),
        };
        let (theirs, right) = counted(&file, Rule::Flowertune, &options);
        let share = theirs[0] as f64 / right.len() as f64;
        assert!((share - published).abs() < 1e-12, "{run}: {theirs:?}");
        let ([right, _, abstained, unparsed], _) = counted(&file, Rule::Medtune, &options);
        assert_eq!((right, abstained + unparsed), ours, "{run}: {theirs:?} by their rule");
    }
}
