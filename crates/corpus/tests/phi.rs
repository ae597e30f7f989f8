//! How much of what identifies a person the gate finds, and how much it takes for that without cause.
//!
//! The figures of `docs/results.md`: `cargo test -p corpus --test phi -- --nocapture`.

mod notes;
mod reference;

use std::collections::BTreeMap;
use std::io::Read;

use corpus::phi::{Class, Gate, Mode};
use notes::{NAMED, NOBODY, Note, Random, Set, WRITTEN, generate};
use reference::oracle;

/// Counts of one class.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    /// Marked places.
    marked: usize,
    /// Those whose letters and digits are all in findings.
    covered: usize,
    /// Findings.
    found: usize,
    /// Those on a marked place.
    right: usize,
}

impl Counts {
    fn recall(self) -> f64 {
        self.covered as f64 / self.marked.max(1) as f64
    }

    fn precision(self) -> f64 {
        self.right as f64 / self.found.max(1) as f64
    }
}

fn measure(name: &str, notes: &[Note]) -> (Counts, BTreeMap<Class, Counts>) {
    let gate = Gate::new(Mode::Report);
    let mut by_class: BTreeMap<Class, Counts> = BTreeMap::new();
    for note in notes {
        let findings = gate.check(&note.text);
        for (class, start, end) in &note.spans {
            let hidden = |at: usize| findings.iter().any(|finding| finding.start <= at && at < finding.end);
            let open = note.text[*start..*end]
                .char_indices()
                .any(|(at, c)| c.is_alphanumeric() && !hidden(start + at));
            let counts = by_class.entry(*class).or_default();
            counts.marked += 1;
            counts.covered += usize::from(!open);
        }
        for finding in findings.iter() {
            let counts = by_class.entry(finding.class).or_default();
            counts.found += 1;
            let on_mark =
                note.spans.iter().any(|(_, start, end)| finding.start < *end && *start < finding.end);
            counts.right += usize::from(on_mark);
        }
    }
    let all = by_class.values().fold(Counts::default(), |all, counts| Counts {
        marked: all.marked + counts.marked,
        covered: all.covered + counts.covered,
        found: all.found + counts.found,
        right: all.right + counts.right,
    });
    println!("\n{name}: {} notes, recall {:.3}, precision {:.3}", notes.len(), all.recall(), all.precision());
    for (class, counts) in &by_class {
        let Counts { marked, found, .. } = counts;
        let (recall, precision) = (counts.recall(), counts.precision());
        println!(
            "  {:<16} marked {marked:>4}  recall {recall:.3}  found {found:>4}  precision {precision:.3}",
            class.as_str()
        );
    }
    (all, by_class)
}

fn generated(seed: u64, count: usize, set: Set) -> Vec<Note> {
    let mut random = Random::new(seed);
    (0..count).map(|_| generate(&mut random, set)).collect()
}

fn missed(notes: &[Note]) {
    for note in notes {
        let findings = Gate::default().check(&note.text);
        for (class, start, end) in &note.spans {
            if !findings.iter().any(|f| f.start <= *start && *end <= f.end) {
                let (from, to) = (note.text[..*start].char_indices().rev().nth(25).map_or(0, |c| c.0), *end);
                println!("  missed {class}: …{}", &note.text[from..to].replace('\n', "⏎"));
            }
        }
        for f in findings.iter().filter(|f| !note.spans.iter().any(|(_, s, e)| f.start < *e && *s < f.end)) {
            println!("  wrong {}: {}", f.class, &note.text[f.start..f.end]);
        }
    }
}

#[test]
fn most_of_what_is_marked_in_five_hundred_notes_is_found() {
    let known = generated(1, 238, Set::Known);
    let unseen = generated(2, 238, Set::Unseen);
    let written: Vec<Note> = WRITTEN.iter().map(|marked| Note::of(marked)).collect();
    if std::env::var_os("MEDTUNE_SHOW_MISSED").is_some() {
        missed(&known);
    }
    let (known, _) = measure("known sentences", &known);
    let (unseen, _) = measure("unseen sentences", &unseen);
    let (written, _) = measure("written by hand", &written);
    assert!(known.recall() > 0.95 && known.precision() > 0.98, "{known:?}");
    assert!(unseen.recall() > 0.97 && unseen.precision() > 0.98, "{unseen:?}");
    assert!(written.recall() > 0.90 && written.precision() > 0.95, "{written:?}");
}

#[test]
fn a_masked_note_has_nothing_left_that_the_gate_finds() {
    let gate = Gate::new(Mode::Mask);
    for note in generated(3, 100, Set::Unseen) {
        let masked = gate.apply(&note.text).unwrap().text.into_owned();
        assert!(gate.check(&masked).is_empty(), "{masked}");
    }
}

#[test]
fn names_in_sentences_kept_apart_are_found_and_medicine_is_not_taken_for_them() {
    let named: Vec<Note> = NAMED.iter().map(|marked| Note::of(marked)).collect();
    let nobody: Vec<Note> = NOBODY.iter().map(|marked| Note::of(marked)).collect();
    let (named, _) = measure("sentences kept apart, with names", &named);
    let (nobody, _) = measure("sentences kept apart, about nobody", &nobody);
    assert!(named.recall() > 0.78 && named.precision() > 0.95, "{named:?}");
    assert_eq!(nobody.found, 0);
}

/// Every tenth row of MedQuAD: public text about nobody, so that every finding is one too many.
#[test]
fn few_rows_of_medquad_hold_anything_that_is_found() {
    let Some(path) = oracle("medical/medquad/medquad.csv.gz") else { return };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let gate = Gate::new(Mode::Report);
    let (mut rows, mut hit, mut by_class) = (0, 0, BTreeMap::<Class, usize>::new());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    for row in reader.records().map(Result::unwrap).step_by(10) {
        rows += 1;
        let mut any = false;
        for field in row.iter().take(2) {
            for (class, count) in gate.check(field).by_class() {
                *by_class.entry(class).or_default() += count;
                any = true;
            }
            if std::env::var_os("MEDTUNE_SHOW_MISSED").is_some() {
                gate.check(field).iter().for_each(|f| println!("  {}: {}", f.class, &field[f.start..f.end]));
            }
        }
        hit += usize::from(any);
    }
    println!("\nMedQuAD: {hit} of {rows} rows with a finding; {by_class:?}");
    assert!(100 * hit < rows, "{hit} of {rows}");
}
