//! What holds for every text.

use eval::text::agreement::{QuantityAgreement, QuantityOutcome, polarity_conflicts, quantities, urgency};
use eval::text::{
    Bleu, BleuTokenizer, Chrf, EvaluateBleu, Meteor, NltkBleu, Ter, TextCounts, readability,
    readability_0_7_4, rouge_all,
};
use proptest::prelude::*;

const TOKENIZERS: [BleuTokenizer; 4] =
    [BleuTokenizer::V13a, BleuTokenizer::International, BleuTokenizer::None, BleuTokenizer::Char];

/// Anything, and text that looks like a doctor's.
fn text() -> impl Strategy<Value = String> {
    let medical = "(no|not|fever|never|[0-9]{1,3}[.,]?[0-9]{0,3}|-|/|to|mg|g|°C|twice|daily|every|hours|kg|½|x10\\^9|\
                   call|911|doctor|, |\\. |'|\n|µg|%| )";
    prop_oneof![".{0,120}", prop::collection::vec(medical, 0..40).prop_map(|parts| parts.join(" "))]
}

proptest! {
    #[test]
    fn a_text_agrees_with_itself(text in text()) {
        let agreement = QuantityAgreement::of(&text, &text);
        prop_assert!(
            matches!(agreement.outcome(), QuantityOutcome::Agrees | QuantityOutcome::NothingToCompare),
            "{agreement:?}"
        );
        prop_assert!(polarity_conflicts(&text, &text).is_empty());
        prop_assert!(quantities(&text).iter().all(|quantity| quantity.amount.is_finite()));
        prop_assert_eq!(Ter::default().sentence(&text, &[&text]), 0.0);
        for tokenizer in TOKENIZERS {
            let bleu = Bleu { tokenizer, ..Bleu::sentence_level() }.sentence(&text, &[&text]);
            let expected = if bleu.statistics.hypothesis_length > 0 { 100.0 } else { 0.0 };
            prop_assert!((bleu.score - expected).abs() < 1e-9, "{:?}", bleu);
        }
        let letters = text.chars().any(|c| !c.is_whitespace() && !('\x1c'..='\x1f').contains(&c));
        let expected = if letters { 100.0 } else { 0.0 };
        prop_assert!((Chrf::plus_plus().sentence(&text, &[&text]) - expected).abs() < 1e-9);
    }

    #[test]
    fn scores_stay_in_their_range(text in text(), other in text()) {
        for tokenizer in TOKENIZERS {
            let bleu = Bleu { tokenizer, ..Bleu::default() }.sentence(&text, &[&other]).score;
            prop_assert!((0.0..=100.0 + 1e-9).contains(&bleu), "{}", bleu);
            let meteor = Meteor { tokenizer }.sentence(&text, &[&other]);
            prop_assert!((0.0..=1.0).contains(&meteor), "{}", meteor);
        }
        let pair = [(text.as_str(), other.as_str())];
        let fractions = [
            NltkBleu::default().corpus(pair),
            EvaluateBleu::default().corpus(pair).bleu,
            rouge_all(true, &other, &text).rouge_lsum.f1,
            Chrf::default().corpus(pair) / 100.0,
        ];
        prop_assert!(fractions.iter().all(|value| (0.0..=1.0 + 1e-9).contains(value)), "{:?}", fractions);
        prop_assert!(Ter::default().sentence(&text, &[&other]) >= 0.0);
        prop_assert!(readability(&text).flesch_reading_ease.is_finite());
        prop_assert!(readability_0_7_4(&text).dale_chall.is_finite());
        let counts = TextCounts::of(&text);
        prop_assert!(counts.hard_polysyllables <= counts.hard_words && counts.hard_words <= counts.words);
        urgency(&text);
        polarity_conflicts(&text, &other);
    }

    #[test]
    fn quantities_agree_both_ways(text in text(), other in text()) {
        let (there, back) = (QuantityAgreement::of(&text, &other), QuantityAgreement::of(&other, &text));
        prop_assert_eq!(there.agreed.len(), back.agreed.len());
        prop_assert_eq!(there.changed.is_empty(), back.changed.is_empty());
    }
}
