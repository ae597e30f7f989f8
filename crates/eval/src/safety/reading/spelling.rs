//! One spelling of a word: British and American, brand and substance, inflected or not.

use crate::text::porter::stem;

/// Forms that the stemmer does not bring together, and names of one substance.
const SAME: &[(&str, &str)] = &[
    ("given", "give"),
    ("gave", "give"),
    ("taken", "take"),
    ("took", "take"),
    ("gone", "go"),
    ("went", "go"),
    ("seen", "see"),
    ("brought", "bring"),
    ("drunk", "drink"),
    ("drank", "drink"),
    ("eaten", "eat"),
    ("kept", "keep"),
    ("felt", "feel"),
    ("told", "tell"),
    ("sought", "seek"),
    ("lying", "lie"),
    ("lain", "lie"),
    ("worse", "worsen"),
    ("worsened", "worsen"),
    ("worsens", "worsen"),
    ("worsening", "worsen"),
    ("children", "child"),
    ("kids", "child"),
    ("kid", "child"),
    ("women", "woman"),
    ("feet", "foot"),
    ("teeth", "tooth"),
    ("acetaminophen", "paracetamol"),
    ("tylenol", "paracetamol"),
    ("panadol", "paracetamol"),
    ("calpol", "paracetamol"),
    ("epinephrine", "adrenaline"),
    ("epipen", "adrenaline"),
    ("albuterol", "salbutamol"),
    ("ventolin", "salbutamol"),
    ("advil", "ibuprofen"),
    ("motrin", "ibuprofen"),
    ("nurofen", "ibuprofen"),
    ("glyceryl", "nitroglycerin"),
    ("gtn", "nitroglycerin"),
    ("nsaids", "nsaid"),
    ("antiinflammatory", "nsaid"),
    ("meds", "medicine"),
    ("medication", "medicine"),
    ("medications", "medicine"),
    ("hospitalised", "hospital"),
    ("hospitalized", "hospital"),
    ("immediate", "immediately"),
    ("urgently", "urgent"),
    ("dizziness", "dizzy"),
    ("sleepiness", "sleepy"),
    ("drowsiness", "drowsy"),
    ("dead", "death"),
    ("died", "die"),
    ("dying", "die"),
];

/// The form by which words are compared.
pub(in crate::safety) fn normal(word: &str) -> String {
    let word = word.strip_suffix("'s").unwrap_or(word);
    if let Some((_, same)) = SAME.iter().find(|(form, _)| *form == word) {
        return stem(same);
    }
    let mut word = word.to_string();
    if word.len() > 5 {
        word = word.replace("ae", "e").replace("oe", "e").replace("isation", "ization");
        for (british, american) in [("ise", "ize"), ("ised", "ized"), ("ising", "izing"), ("our", "or")] {
            if let Some(start) = word.strip_suffix(british) {
                word = format!("{start}{american}");
                break;
            }
        }
    }
    stem(&word)
}

/// The words that a contraction stands for.
pub(super) fn written_out(word: &str) -> impl Iterator<Item = &str> {
    let [first, second] = match word {
        "" => ["", ""],
        "cannot" => ["can", "not"],
        "can't" | "cant" => ["can", "not"],
        "won't" => ["will", "not"],
        "shan't" => ["shall", "not"],
        "dont" => ["do", "not"],
        _ => match (word.strip_suffix("n't"), word.rsplit_once('\'')) {
            (Some(verb), _) => [verb, "not"],
            (None, Some((subject, "m"))) => [subject, "am"],
            (None, Some((subject, "re"))) => [subject, "are"],
            (None, Some((subject, "ve"))) => [subject, "have"],
            (None, Some((subject, "ll"))) => [subject, "will"],
            (None, Some((subject, "d"))) => [subject, "would"],
            (None, Some((subject @ ("it" | "that" | "he" | "she" | "there" | "what"), "s"))) => {
                [subject, "is"]
            }
            _ => [word, ""],
        },
    };
    [first, second].into_iter().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_and_forms_of_a_word_are_one() {
        for (one, other) in [
            ("diarrhoea", "diarrhea"),
            ("paediatric", "pediatric"),
            ("haemorrhage", "hemorrhage"),
            ("Tylenol", "acetaminophen"),
            ("epinephrine", "adrenaline"),
            ("giving", "given"),
            ("ambulances", "ambulance"),
            ("hospitalisation", "hospitalization"),
            ("child's", "children"),
        ] {
            assert_eq!(normal(&one.to_lowercase()), normal(other), "{one} {other}");
        }
        assert_ne!(normal("hypertension"), normal("hypotension"));
        assert_eq!(written_out("don't").collect::<Vec<_>>(), ["do", "not"]);
        assert_eq!(written_out("baby's").collect::<Vec<_>>(), ["baby's"]);
    }
}
