//! A made-up evaluation: plausible, seeded, and the same every time.

use eval::comparison::{Choice, Comparison, Outcome, TokenLoss, compare};
use eval::report::{Certificate, Cleaning, Example, NearestPair, Report, Split, SplitPart};
use eval::statistics::Resampling;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use track::{EvalRow, FileHash, Machine, Manifest, Program, Run, Stats, StepRow, TextHash};

/// 420 items in 140 documents; the tuned model is better in loss and less so in the rest.
pub(crate) fn comparison() -> Comparison {
    let mut random = StdRng::seed_from_u64(7);
    let (mut base, mut tuned) = (Vec::new(), Vec::new());
    for item in 0..420 {
        let tokens = random.random_range(20..180);
        let hard: f64 = random.random_range(0.6..1.4);
        let mut outcome = |loss: f64, rouge: f64, right: f64, unparsed: f64| {
            let loss = loss * hard * random.random_range(0.9..1.1);
            let correct_tokens = (tokens as f64 * (0.72 - 0.14 * loss).clamp(0.0, 1.0)) as u64;
            let draw: f64 = random.random();
            let picked = if draw < right {
                Some("B")
            } else if draw < 1.0 - unparsed {
                Some("C")
            } else {
                None
            };
            Outcome {
                id: format!("item-{item:03}"),
                group: Some(format!("document-{:03}", item / 3)),
                loss: Some(TokenLoss { loss_sum: loss * tokens as f64, tokens, correct_tokens }),
                rouge_l: Some((rouge + random.random_range(-0.15..0.15f64)).clamp(0.0, 1.0)),
                choice: Some(Choice {
                    gold: "B".into(),
                    picked: picked.map(str::to_string),
                    ..Choice::default()
                }),
                ..Outcome::default()
            }
        };
        base.push(outcome(2.05, 0.21, 0.41, 0.12));
        tuned.push(outcome(1.48, 0.213, 0.45, 0.02));
    }
    compare(&base, &tuned, &Resampling { seed: 42, resamples: 2_000 }).unwrap()
}

/// 240 steps with an evaluation every 40.
fn run() -> Run {
    let mut random = StdRng::seed_from_u64(3);
    let steps: Vec<StepRow> = (1..=240)
        .map(|step| {
            let progress = step as f64 / 240.0;
            let loss = 1.35 + 1.3 * (-6.0 * progress).exp() + random.random_range(-0.12..0.12);
            StepRow {
                step,
                epoch: 2.0 * progress,
                loss,
                grad_norm: 0.8,
                learning_rate: 2e-4 * (1.0 - progress),
                tokens: step * 4096,
                learned_tokens: 2048,
                tokens_per_second: 905.0,
                elapsed_s: step as f64 * 4.5,
            }
        })
        .collect();
    let evals = (0..=6).map(|index| {
        let step = 40 * index;
        let loss = 1.47 + 0.9 * (-step as f64 / 50.0).exp();
        EvalRow {
            step: step as u64,
            epoch: step as f64 / 120.0,
            values: BTreeMap::from([("eval_loss".into(), loss)]),
        }
    });
    let hash = |name: &str| blake3_like(name);
    Run {
        path: "runs/medquad".into(),
        recipe: Some(RECIPE.to_string()),
        manifest: Some(Manifest {
            program: Program { name: "medtune".into(), version: "0.1.0".into(), git: Some("a6aeb81".into()) },
            created: "2026-11-21T09:16:33Z".into(),
            seed: 42,
            base_model: "HuggingFaceTB/SmolLM2-135M-Instruct".into(),
            base_files: vec![hash("model.safetensors"), hash("config.json"), hash("tokenizer.json")],
            data_files: vec![hash("medquad.csv")],
            template: Some(TextHash::of("chat_template.jinja", "{{ messages }}")),
            machine: Machine {
                cpu: "Intel Xeon Platinum 8480+".into(),
                cores: 16,
                memory_bytes: 64 << 30,
                isa: "avx512".into(),
                os: "Debian GNU/Linux 12 x86_64".into(),
                accelerator: None,
            },
            memory: None,
        }),
        steps,
        evals: evals.collect(),
        stats: Some(Stats {
            train_runtime: 1085.0,
            train_samples_per_second: 11.8,
            train_steps_per_second: 0.22,
            train_tokens_per_second: 905.0,
            total_flos: 3.17e15,
            train_loss: 1.567,
            steps: 240,
            epoch: 2.0,
            ..Stats::default()
        }),
    }
}

fn blake3_like(name: &str) -> FileHash {
    FileHash { path: format!("data/{name}"), bytes: 1_234_567, blake3: TextHash::of(name, name).blake3 }
}

/// The whole report.
#[allow(dead_code, reason = "each test binary uses its part")]
pub(crate) fn report() -> Report {
    let part = |name: &str, items, groups, tokens| SplitPart {
        name: name.into(),
        items,
        groups,
        tokens: Some(tokens),
    };
    Report {
        title: "MedQuAD with SmolLM2-135M".into(),
        created: "2026-11-21T09:40:12Z".into(),
        base_name: "SmolLM2-135M-Instruct".into(),
        tuned_name: "runs/medquad".into(),
        run: Some(run()),
        comparison: Some(comparison()),
        split: Some(Split {
            by: "document, question".into(),
            seed: 42,
            parts: vec![
                part("train", 13_126, 3_826, 3_412_870),
                part("val", 1_640, 478, 421_003),
                part("test", 420, 140, 110_214),
            ],
            certificate: Some(Certificate {
                exact_matches: 0,
                shared_groups: 0,
                near_duplicates: 0,
                threshold: 0.8,
                measure: "Jaccard of word 5-grams".into(),
                nearest: vec![
                    NearestPair {
                        similarity: 0.61,
                        test: "What are the symptoms of Bartter syndrome type 3?".into(),
                        train: "What are the symptoms of Gitelman syndrome?".into(),
                    },
                    NearestPair {
                        similarity: 0.58,
                        test: "How many people are affected by Alport syndrome?".into(),
                        train: "How many people are affected by Usher syndrome?".into(),
                    },
                ],
            }),
        }),
        cleaning: Some(Cleaning {
            rows_in: 16_412,
            rows_out: 15_186,
            removed: vec![
                ("empty answer".into(), 5),
                ("exact duplicate".into(), 48),
                ("near duplicate".into(), 1_004),
                ("over the word limit".into(), 169),
            ],
        }),
        examples: vec![Example {
            question: "What are the treatments for hereditary spherocytosis?".into(),
            reference: "Treatment may include folic acid, blood transfusions, and surgery to remove the spleen \
                        (splenectomy), which cures the anemia but not the abnormal cell shape."
                .into(),
            base: "Hereditary spherocytosis is a condition that affects the red blood cells. There are many treatments. \
                   You should talk to your doctor about the treatments."
                .into(),
            tuned: "Treatment depends on severity. Folic acid supplements support red cell production; blood \
                    transfusions are given for severe anemia. Removal of the spleen (splenectomy) reduces the \
                    breakdown of red cells."
                .into(),
            base_note: "ROUGE-L 0.19".into(),
            tuned_note: "ROUGE-L 0.38".into(),
        }],
    }
}

const RECIPE: &str = "base_model: HuggingFaceTB/SmolLM2-135M-Instruct\nadapter: lora\nlora_r: 16\nlora_alpha: 32\n\
datasets: [{path: medquad.csv, type: qa}]\nsplit: {by: [document, question], test: 0.1, val: 0.1, seed: 42}\n\
train_on_inputs: false\nsequence_len: 2048\nsample_packing: true\nmicro_batch_tokens: 4096\nnum_epochs: 2\n\
learning_rate: 2e-4\nlr_scheduler: cosine\nwarmup_ratio: 0.03\noutput_dir: runs/medquad\n";
