//! What is known of words: given names and surnames that are frequent in the United States and Europe, words that are no
//! names, and what makes the words before them the name of a thing.

use std::collections::HashSet;
use std::sync::LazyLock;

type List = LazyLock<HashSet<&'static str>>;

/// Without those that are words of the language, months, virtues, cities or diseases.
static GIVEN: List = LazyLock::new(|| include_str!("given_names.txt").split_whitespace().collect());
/// Without those that are words of the language.
static SURNAMES: List = LazyLock::new(|| include_str!("surnames.txt").split_whitespace().collect());
/// In small letters: words that begin sentences and headings, places, peoples, medicine, and the names in diseases.
static ORDINARY: List = LazyLock::new(|| include_str!("ordinary.txt").split_whitespace().collect());
static THINGS: List = LazyLock::new(|| include_str!("things.txt").split_whitespace().collect());

/// Given names that are words, months, places or virtues too: they begin a name where more speaks for it.
const DOUBTFUL: &str = "\
    Angel April Ariel August Aurora Austin Autumn Chad Charity Charlotte Chase Christian Crystal Daisy Dale Dallas \
    Dana Dawn Dean Destiny Don Drew Earl Eve Faith Florence Gene Ginger Grace Grant Hazel Homer Hope Hunter Iris Ivy \
    Jade Jan Jay Jordan Joy June Lily Lou May Mercedes Miles Olive Penny Per Ray Robin Rose Ruby Sandy Sue Sydney \
    Victoria Violet Virginia";
/// Ends of the names of diseases, procedures and drugs; of words of seven letters and more.
const MEDICAL_ENDS: &str = "\
    osis itis emia aemia oma pathy trophy plasia algia uria ectomy scopy otomy penia plegia philia lysis genic \
    graphy megaly rrhea rrhoea sclerosis therapy mycin cillin statin sartan prazole conazole floxacin cycline dipine \
    azepam zumab ximab tinib profen oxetine ology ostomy aceae";

/// Whether it is a given name, or begins with one: `Mary-Jo`.
pub(super) fn is_given(word: &str) -> bool {
    GIVEN.contains(word) || word.split_once('-').is_some_and(|(first, _)| GIVEN.contains(first))
}

/// Whether it may be a given name and is often something else.
pub(super) fn is_doubtful_given(word: &str) -> bool {
    DOUBTFUL.split(' ').any(|name| name == word)
}

/// Whether it is a frequent surname, or ends with one: `Garcia-Lopez`.
pub(super) fn is_surname(word: &str) -> bool {
    SURNAMES.contains(word) || word.rsplit_once('-').is_some_and(|(_, last)| SURNAMES.contains(last))
}

/// Whether a word in small letters is known to be no name.
pub(super) fn is_ordinary(lower: &str) -> bool {
    let known = |word: &str| ORDINARY.contains(word) || THINGS.contains(word);
    known(lower) || lower.strip_suffix('s').is_some_and(known)
}

/// Whether a word in small letters ends like a disease, a procedure or a drug.
pub(super) fn is_medical(lower: &str) -> bool {
    lower.len() >= 7 && MEDICAL_ENDS.split(' ').any(|end| lower.ends_with(end))
}

/// Whether a word in small letters makes the names before it those of a thing: a disease, a sign, an institution.
pub(super) fn is_thing(lower: &str) -> bool {
    THINGS.contains(lower)
        || lower.strip_suffix('s').is_some_and(|one| THINGS.contains(one))
        || is_medical(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_agree_with_one_another() {
        let known = |lower: &str| ORDINARY.contains(lower) || THINGS.contains(lower);
        let both: Vec<&&str> = GIVEN.iter().filter(|name| known(&name.to_lowercase())).collect();
        assert!(both.is_empty(), "{both:?} are names and ordinary");
        assert!(ORDINARY.iter().chain(THINGS.iter()).all(|word| word.to_lowercase() == **word));
        assert!(is_given("Anna-Lena") && is_surname("Garcia-Lopez") && !is_given("Crohn"));
    }
}
