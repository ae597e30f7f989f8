//! Every example once an epoch, no padding, labels where they belong; encoding keeps answers whole.

#[path = "../../corpus/tests/reference/mod.rs"]
mod reference;

use chat::Message;
use dataset::{Batch, BatchPlan, EncodeOptions, Example, Input, Overlong, Sample, encode, read};
use model::{ChatTemplate, SPECIALS, Tokenizer, TrainOn, train_bpe};
use proptest::prelude::*;

fn sample(ids: &[u32], learned: &[bool]) -> Sample {
    Sample { id: String::new(), ids: ids.to_vec(), learned: learned.to_vec() }
}

proptest! {
    #[test]
    fn every_example_is_in_one_batch_and_no_batch_is_over_budget(
        lengths in prop::collection::vec(1usize..700, 0..400), budget in 1usize..600, seed in any::<u64>(), epoch in 0u64..3,
    ) {
        let plan = BatchPlan::new(&lengths, budget, seed, epoch);
        let mut seen: Vec<_> = plan.batches().iter().flatten().copied().collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        for batch in plan.batches() {
            let tokens: usize = batch.iter().map(|&example| lengths[example]).sum();
            prop_assert!(tokens <= budget || batch.len() == 1);
        }
        prop_assert_eq!(&plan, &BatchPlan::new(&lengths, budget, seed, epoch));
    }

    #[test]
    fn an_unpacked_epoch_has_every_example_too(count in 0usize..100, size in 1usize..9, seed in any::<u64>()) {
        let plan = BatchPlan::unpacked(count, size, seed, 0);
        let mut seen: Vec<_> = plan.batches().iter().flatten().copied().collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        prop_assert_eq!(plan.batches().len(), count.div_ceil(size));
    }

    #[test]
    fn a_batch_holds_the_labels_of_its_samples_alone(
        samples in prop::collection::vec(prop::collection::vec((0u32..50, any::<bool>()), 1..20), 1..6),
    ) {
        let samples: Vec<_> = samples.into_iter().map(|tokens| {
            let (ids, learned): (Vec<_>, Vec<_>) = tokens.into_iter().unzip();
            sample(&ids, &learned)
        }).collect();
        let together = Batch::new(&samples);
        prop_assert_eq!(together.ids.len(), together.positions.len());
        let (mut start, mut labels) = (0, Vec::new());
        for (sample, segment) in samples.iter().zip(&together.segments) {
            let alone = Batch::new([sample]);
            prop_assert_eq!((segment.start, segment.len, segment.prefix), (start, sample.ids.len(), None));
            prop_assert_eq!(&together.ids[start..start + segment.len], &alone.ids[..]);
            labels.extend(alone.rows.iter().zip(&alone.labels).map(|(row, label)| (row + start as u32, *label)));
            start += segment.len;
        }
        let found: Vec<_> = together.rows.iter().copied().zip(together.labels.iter().copied()).collect();
        prop_assert_eq!(found, labels);
    }
}

#[test]
fn a_label_stands_at_the_token_before_it() {
    let batch = Batch::new(&[sample(&[7, 8, 9], &[true, false, true]), sample(&[4, 5], &[false, true])]);
    assert_eq!((&batch.ids[..], &batch.positions[..]), (&[7, 8, 9, 4, 5][..], &[0, 1, 2, 0, 1][..]));
    // The first token of a sample is never a label, and no label crosses into the next sample.
    assert_eq!((&batch.rows[..], &batch.labels[..]), (&[1, 3][..], &[9, 5][..]));
}

#[test]
fn epochs_and_seeds_have_orders_of_their_own() {
    let lengths = vec![10; 100];
    let plan = |seed, epoch| BatchPlan::new(&lengths, 50, seed, epoch);
    assert_ne!(plan(1, 0), plan(1, 1));
    assert_ne!(plan(1, 0), plan(2, 0));
}

#[test]
fn batches_of_medquad_are_more_than_95_percent_full() {
    let Some(path) = reference::oracle("medical/medquad/medquad.csv.gz") else { return };
    let rows = read(&Input::new(path)).expect("MedQuAD").map(|row| row.expect("readable").expect("whole"));
    // A token is about 4.5 letters of this text; longer ones than 2,048 tokens are not trained on.
    let lengths: Vec<_> =
        rows.map(|row| dataset::tidy(&row.answer()).len() * 2 / 9 + 40).filter(|n| *n <= 2048).collect();
    for budget in [2048, 4096, 8192] {
        let fill = BatchPlan::new(&lengths, budget, 42, 0).fill(&lengths, budget);
        assert!(fill > 0.95, "{budget}: {fill}");
    }
}

fn example(question: &str, answer: &str) -> Example {
    Example {
        messages: vec![Message::user(question), Message::assistant(answer)],
        id: question.chars().take(8).collect(),
        document: None,
        topic: None,
        source: None,
        group: String::new(),
    }
}

fn model_parts() -> (Tokenizer, ChatTemplate) {
    let json =
        train_bpe(["asthma is a disease of the airways"].into_iter(), 300, &SPECIALS).expect("a tokenizer");
    let folder = tempfile::tempdir().expect("a temporary folder");
    model::write_tokenizer(folder.path(), &json, 512).expect("written");
    let tokenizer = Tokenizer::from_dir(folder.path()).expect("readable");
    (tokenizer, ChatTemplate::from_dir(folder.path()).expect("readable"))
}

fn learned_text(tokenizer: &Tokenizer, sample: &Sample) -> String {
    let ids: Vec<_> =
        sample.ids.iter().zip(&sample.learned).filter(|(_, learned)| **learned).map(|(id, _)| *id).collect();
    tokenizer.decode(&ids, true).expect("decodable")
}

#[test]
fn an_answer_is_never_cut() {
    let (tokenizer, template) = model_parts();
    let long = (0..60).map(|at| format!("w{at}")).collect::<Vec<_>>().join(" ");
    let examples =
        [example("short", "yes"), example(&format!("{long} why?"), "because"), example("what", &long)];
    let with = |overlong| {
        let options = EncodeOptions { train_on: TrainOn::Answers, sequence_len: 100, overlong };
        encode(&examples, &tokenizer, &template, &options).expect("encoded")
    };
    let dropped = with(Overlong::Drop);
    assert_eq!((dropped.report.examples, dropped.report.samples, dropped.report.overlong.len()), (3, 1, 2));
    let cut = with(Overlong::CutPrompt);
    assert_eq!((cut.report.samples, cut.report.cut_prompts, cut.report.overlong.len()), (2, 1, 1));
    assert_eq!(learned_text(&tokenizer, &cut.samples[1]).trim(), "because");
    assert!(tokenizer.decode(&cut.samples[1].ids, true).expect("decodable").contains("w59 why?"));
    assert!((90..=100).contains(&cut.samples[1].ids.len()), "no more is cut than needed");
    let learned: usize = cut.samples.iter().map(|sample| Batch::new([sample]).labels.len()).sum();
    assert_eq!(learned, cut.report.learned_tokens);
}

#[test]
fn a_set_of_which_nothing_fits_is_an_error() {
    let (tokenizer, template) = model_parts();
    let options = EncodeOptions { train_on: TrainOn::Answers, sequence_len: 3, overlong: Overlong::Drop };
    let error = encode(&[example("q", "a")], &tokenizer, &template, &options).expect_err("too long");
    assert!(error.to_string().contains("longer than 3 tokens"), "{error}");
}
