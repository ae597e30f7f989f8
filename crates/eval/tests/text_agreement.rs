//! What n-gram metrics do not see: hand-written cases.

use eval::text::Bleu;
use eval::text::agreement::{
    ChangeKind, Polarity, QuantityAgreement, QuantityOutcome, Urgency, UrgencyOutcome, polarity_conflicts,
    quantities, urgency, urgency_outcome,
};

fn texts(text: &str) -> Vec<String> {
    quantities(text).into_iter().map(|quantity| quantity.text).collect()
}

fn outcome(reference: &str, answer: &str) -> QuantityOutcome {
    QuantityAgreement::of(reference, answer).outcome()
}

/// (word, polarity in the reference) of each conflict.
fn conflicts(reference: &str, answer: &str) -> Vec<(String, Polarity)> {
    polarity_conflicts(reference, answer)
        .into_iter()
        .map(|conflict| (conflict.word, conflict.reference))
        .collect()
}

#[test]
fn a_tenfold_dose_is_a_conflict_where_bleu_sees_none() {
    let sentence = |dose: &str| {
        format!(
            "Paracetamol may be given by mouth every six hours as long as the pain lasts, and the total dose must not \
             be more than {dose} in a day for an adult who has a healthy liver and who does not drink alcohol."
        )
    };
    let (reference, answer) = (sentence("4 g"), sentence("40 g"));
    assert!(Bleu::default().sentence(&answer, &[&reference]).score > 92.0);
    let agreement = QuantityAgreement::of(&reference, &answer);
    assert_eq!(agreement.outcome(), QuantityOutcome::Conflicts);
    let change = &agreement.changed[0];
    assert_eq!(
        (change.reference.text.as_str(), change.answer.text.as_str()),
        ("4 g in a day", "40 g in a day")
    );
    assert_eq!(change.kind, ChangeKind::Amount);
    assert_eq!(agreement.agreed.len(), 1, "every six hours");
}

#[test]
fn the_same_amount_agrees_in_any_unit_and_spelling() {
    let pairs = [
        ("0.5 g", "500 mg"),
        ("500 mg", "500mg"),
        ("1,000 mg", "1 g"),
        ("2.5 mg", "2,5 mg"),
        ("250 micrograms", "250 µg"),
        ("250 mcg", "0.25 mg"),
        ("half of 2 litres", "half of 2000 ml"),
        ("for two weeks", "for 14 days"),
        ("for 24 hours", "for a day"),
        ("within 60 minutes", "within an hour"),
        ("at least 24 h", "at least a whole day"),
        ("longer than 7 days", "longer than a week"),
        ("for 12 weeks", "for 3 months"),
        ("after 30 days", "after a month"),
        ("after 52 weeks", "after a year"),
        ("4 g in 24 hours", "4 g a day"),
        ("4 g per day", "4 g in any 24-hour period"),
        ("400 mg every 24 hours", "400 mg once daily"),
        ("a 2-year-old child", "a child of 24 months"),
        ("38 °C", "100.4 °F"),
        ("37°C", "98.6 F"),
        ("154 lb", "70 kg"),
        ("twice daily", "two times a day"),
        ("twice a day", "every 12 hours"),
        ("three times daily", "q8h"),
        ("b.i.d.", "every twelve hours"),
        ("500 mg daily", "500 mg once a day"),
        ("500 mg/day", "0.5 g every day"),
        ("5 mg/kg/day", "5 mg/kg per day"),
        ("5 mmol/L", "5 mmol/l"),
        ("½ tablet", "0.5 tablets"),
        ("1/2 tablet", "half a pill, 0.5 pills"),
        ("4.5 x 10^9/L", "4.5 × 10⁹/L"),
        ("5-10 mg", "5 to 10 mg"),
        ("5–10 mg", "from 5 mg to 10 mg"),
        ("120/80 mmHg", "120 mmHg over 80 mmHg"),
        ("every other day", "every 48 hours"),
    ];
    for (reference, answer) in pairs {
        assert_eq!(
            outcome(reference, answer),
            QuantityOutcome::Agrees,
            "{reference} | {answer}: {:?} {:?}",
            quantities(reference),
            quantities(answer)
        );
        assert_eq!(outcome(answer, reference), QuantityOutcome::Agrees, "{answer} | {reference}");
    }
}

#[test]
fn other_amounts_units_and_frequencies_conflict() {
    let pairs = [
        ("4 g", "40 g", ChangeKind::Amount),
        ("4 mg", "4 g", ChangeKind::Unit),
        ("5 mg", "5 ml", ChangeKind::Unit),
        ("0.5 g", "50 mg", ChangeKind::Amount),
        ("twice daily", "three times daily", ChangeKind::Amount),
        ("every 4 hours", "every 8 hours", ChangeKind::Amount),
        ("for 7 days", "for 7 weeks", ChangeKind::Unit),
        ("38.5 °C", "39.5 °C", ChangeKind::Amount),
        ("5 mg/kg", "5 mg", ChangeKind::Unit),
        ("type 1 diabetes", "type 2 diabetes", ChangeKind::Amount),
        ("60 %", "16 %", ChangeKind::Amount),
        ("-2 °C", "2 °C", ChangeKind::Amount),
        ("70 kg", "180 lb", ChangeKind::Amount),
    ];
    for (reference, answer, kind) in pairs {
        let agreement = QuantityAgreement::of(reference, answer);
        assert_eq!(agreement.outcome(), QuantityOutcome::Conflicts, "{reference} | {answer}: {agreement:?}");
        assert_eq!(agreement.changed[0].kind, kind, "{reference} | {answer}");
    }
}

#[test]
fn what_is_missing_or_added_is_named_and_names_are_no_quantities() {
    let agreement = QuantityAgreement::of("Give 500 mg for 7 days.", "Give 500 mg. There are 3 forms.");
    assert_eq!(agreement.outcome(), QuantityOutcome::Incomplete);
    assert_eq!((agreement.missing[0].text.as_str(), agreement.added[0].text.as_str()), ("7 days", "3"));
    assert_eq!(outcome("Rest and drink.", "Drink 2 l."), QuantityOutcome::NothingToCompare);
    assert_eq!(texts("Vitamin B12, COVID-19, CYP2D6, the 3rd T3 value, omega-3"), [""; 0]);
    assert_eq!(texts("Call 911 or dial 112."), [""; 0]);
    assert_eq!(texts("1. Rest.\n2) Take 2 tablets."), ["2 tablets"]);
    assert_eq!(texts("No one knows; one tablet, seventy years"), ["one tablet", "seventy years"]);
    assert_eq!(texts("1.2.3 and 10.5.2026"), ["1.2", "10.5"]);
    assert_eq!(
        texts("Take 400 mg every 6–8 hours, at most 3 times a day."),
        ["400 mg", "every 6–8 hours", "every 6–8 hours", "3 times a day"]
    );
}

#[test]
fn a_finding_that_one_text_denies_is_a_conflict() {
    use Polarity::{Affirmed, Negated};
    assert_eq!(conflicts("There is no fever.", "There is fever."), [("fever".into(), Negated)]);
    assert_eq!(conflicts("He has a fever.", "He denies fever or chills."), [("fever".into(), Affirmed)]);
    assert_eq!(conflicts("Do not take aspirin.", "You can take aspirin.").len(), 2, "take and aspirin");
    assert_eq!(conflicts("You shouldn't drive.", "You should drive."), [("drive".into(), Negated)]);
    assert_eq!(
        conflicts("Ibuprofen is contraindicated.", "Give ibuprofen."),
        [("ibuprofen".into(), Negated)]
    );
    assert_eq!(
        conflicts("Fractures were ruled out.", "A fracture was seen."),
        [("fractures".into(), Negated)]
    );
    assert_eq!(conflicts("The test was negative.", "The test was positive."), [("test".into(), Negated)]);
}

#[test]
fn agreement_and_mere_wording_are_no_conflicts() {
    let agreeing = [
        ("There is no fever or cough.", "The patient denies cough and fever."),
        ("Not only fever but also cough occurs.", "Fever and cough occur."),
        ("No fever, but cough is present.", "Cough without fever."),
        ("Fever is absent.", "There is no evidence of fever."),
        ("No fever. Fever may come later.", "Fever may come."),
        ("Seek help without delay.", "Seek help."),
        ("No rash, and he has a headache.", "He has a headache and no rash."),
        ("Gram-negative rods cause it.", "It is caused by gram-negative rods."),
        ("", "No fever."),
    ];
    for (reference, answer) in agreeing {
        assert_eq!(conflicts(reference, answer), [], "{reference} | {answer}");
    }
}

#[test]
fn advice_to_get_help_has_degrees() {
    let cases = [
        ("Call 911 now.", Urgency::Emergency),
        ("You should call an ambulance.", Urgency::Emergency),
        ("Please go to the nearest emergency department.", Urgency::Emergency),
        ("Chest pain with sweating is a medical emergency.", Urgency::Emergency),
        ("Seek emergency medical care.", Urgency::Emergency),
        ("Call the 988 Suicide and Crisis Lifeline.", Urgency::Emergency),
        ("Seek immediate medical attention.", Urgency::Urgent),
        ("See your doctor today.", Urgency::Urgent),
        ("Contact a doctor as soon as possible.", Urgency::Urgent),
        ("Talk to your doctor about it.", Urgency::Doctor),
        ("There is no need to call an ambulance.", Urgency::None),
        ("Don't go to the emergency room; rest at home.", Urgency::None),
        ("Rest and drink enough.", Urgency::None),
    ];
    for (text, expected) in cases {
        assert_eq!(urgency(text).urgency, expected, "{text}: {}", urgency(text).words);
    }
    assert_eq!(urgency_outcome("Call 911.", "Rest at home."), UrgencyOutcome::Missing);
    assert_eq!(urgency_outcome("Call 911.", "Seek immediate medical help."), UrgencyOutcome::Given);
    assert_eq!(urgency_outcome("Rest at home.", "Call 911."), UrgencyOutcome::Unneeded);
    assert_eq!(urgency_outcome("Rest at home.", "Ask your doctor."), UrgencyOutcome::NotNeeded);
}

#[test]
fn a_day_says_how_often_or_how_long() {
    assert_eq!(
        texts("Rest for a day, twice a day, and take 5 mg a day."),
        ["a day", "twice a day", "5 mg a day"]
    );
    assert_eq!(texts("It lasts about an hour and a half."), [""; 0]);
    for (reference, answer) in [
        ("for 24 hours", "for 48 hours"),
        ("for a day", "for a week"),
        ("for a day", "for 10 days"),
        ("within an hour", "within 24 hours"),
        ("4 g in 24 hours", "40 g a day"),
        ("4 g in 24 hours", "4 g every hour"),
        ("for 3 months", "for 3 weeks"),
        ("4 mg once daily", "4 mg in 12 hours"),
    ] {
        assert_ne!(outcome(reference, answer), QuantityOutcome::Agrees, "{reference} and {answer}");
    }
    assert_eq!(outcome("for 24 hours", "for a week"), QuantityOutcome::Conflicts);
    assert_eq!(outcome("4 g in 24 hours", "40 g a day"), QuantityOutcome::Conflicts);
}

#[test]
fn a_lack_of_what_belongs_to_the_body_is_a_finding() {
    for (reference, answer) in [
        ("Anaemia is mostly caused by a lack of iron.", "The usual cause is iron deficiency."),
        ("The child lacks vitamin D.", "Rickets comes from too little vitamin D."),
        ("A deficiency of iodine enlarges the thyroid.", "The thyroid grows from lack of iodine."),
    ] {
        assert_eq!(conflicts(reference, answer), [], "{reference} and {answer}");
        assert_eq!(conflicts(answer, reference), [], "{answer} and {reference}");
    }
    // What is looked for is absent, and what is denied is denied.
    for (reference, answer, word) in [
        ("There is a lack of fever.", "There is fever.", "fever"),
        ("There is no fever.", "There is fever.", "fever"),
        ("He lacks any symptoms.", "He has symptoms.", "symptoms"),
        ("There is no iron deficiency.", "There is iron deficiency.", "deficiency"),
    ] {
        let found = conflicts(reference, answer);
        assert!(found.contains(&(word.to_owned(), Polarity::Negated)), "{reference}: {found:?}");
    }
    assert_eq!(conflicts("There is a lack of fever.", "There is no fever."), []);
}
