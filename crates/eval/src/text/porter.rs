//! Porter's stemmer as NLTK has it by default, with its extensions.
//!
//! Porter 1980, "An algorithm for suffix stripping", Program 14:130-137; NLTK 3.10.4, `stem/porter.py`. It takes any
//! word: letters other than a, e, i, o, u and y are consonants.

/// A suffix, what replaces it, and what the rest must be like. The first suffix that matches decides.
type Rule = (&'static str, &'static str, fn(&str) -> bool);

const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

const STEP_1A: [Rule; 4] =
    [("sses", "ss", always), ("ies", "i", always), ("ss", "ss", always), ("s", "", always)];

const STEP_2: [Rule; 22] = [
    ("ational", "ate", positive),
    ("tional", "tion", positive),
    ("enci", "ence", positive),
    ("anci", "ance", positive),
    ("izer", "ize", positive),
    ("bli", "ble", positive),
    ("alli", "al", positive),
    ("entli", "ent", positive),
    ("eli", "e", positive),
    ("ousli", "ous", positive),
    ("ization", "ize", positive),
    ("ation", "ate", positive),
    ("ator", "ate", positive),
    ("alism", "al", positive),
    ("iveness", "ive", positive),
    ("fulness", "ful", positive),
    ("ousness", "ous", positive),
    ("aliti", "al", positive),
    ("iviti", "ive", positive),
    ("biliti", "ble", positive),
    ("fulli", "ful", positive),
    ("logi", "log", before_ogi),
];

const STEP_3: [Rule; 7] = [
    ("icate", "ic", positive),
    ("ative", "", positive),
    ("alize", "al", positive),
    ("iciti", "ic", positive),
    ("ical", "ic", positive),
    ("ful", "", positive),
    ("ness", "", positive),
];

const STEP_4: [Rule; 19] = [
    ("al", "", long),
    ("ance", "", long),
    ("ence", "", long),
    ("er", "", long),
    ("ic", "", long),
    ("able", "", long),
    ("ible", "", long),
    ("ant", "", long),
    ("ement", "", long),
    ("ment", "", long),
    ("ent", "", long),
    ("ion", "", before_ion),
    ("ou", "", long),
    ("ism", "", long),
    ("ate", "", long),
    ("iti", "", long),
    ("ous", "", long),
    ("ive", "", long),
    ("ize", "", long),
];

/// The stem of a word in lower case.
pub(crate) fn stem(word: &str) -> String {
    let irregular = IRREGULAR.iter().find(|(form, _)| *form == word).map(|(_, stem)| *stem);
    if let Some(stem) = irregular {
        return stem.to_string();
    }
    let mut word = word.to_string();
    if word.chars().nth(2).is_none() {
        return word;
    }
    let four_letters = word.chars().count() == 4;
    if four_letters && word.ends_with("ies") {
        word.pop();
    } else {
        apply(&mut word, &STEP_1A);
    }
    step_1b(&mut word);
    apply(&mut word, &[("y", "i", longer_consonant)]);
    step_2(&mut word);
    apply(&mut word, &STEP_3);
    apply(&mut word, &STEP_4);
    apply(&mut word, &[("e", "", final_e_goes)]);
    apply(&mut word, &[("ll", "l", before_final_l)]);
    word
}

fn apply(word: &mut String, rules: &[Rule]) {
    let matching = rules.iter().find(|(suffix, ..)| word.ends_with(suffix));
    if let Some((suffix, replacement, condition)) = matching {
        replace(word, suffix, replacement, *condition);
    }
}

fn replace(word: &mut String, suffix: &str, replacement: &str, condition: fn(&str) -> bool) -> bool {
    let rest = word.len() - suffix.len();
    let holds = condition(&word[..rest]);
    if holds {
        word.truncate(rest);
        word.push_str(replacement);
    }
    holds
}

/// Past tenses and gerunds, and what their loss leaves to repair.
fn step_1b(word: &mut String) {
    if word.ends_with("ied") {
        let kept = if word.chars().count() == 4 { 1 } else { 2 };
        word.truncate(word.len() - kept);
        return;
    }
    if word.ends_with("eed") {
        replace(word, "eed", "ee", positive);
        return;
    }
    let Some(suffix) = ["ed", "ing"].into_iter().find(|suffix| word.ends_with(suffix)) else { return };
    if !replace(word, suffix, "", has_vowel) {
        return;
    }
    let last = word.chars().next_back().unwrap_or_default();
    if ["at", "bl", "iz"].iter().any(|end| word.ends_with(end)) {
        word.push('e');
    } else if ends_in_double_consonant(word) {
        if !matches!(last, 'l' | 's' | 'z') {
            word.pop();
        }
    } else if measure(word) == 1 && ends_short(word) {
        word.push('e');
    }
}

/// Double suffixes; "-alli" may uncover another.
fn step_2(word: &mut String) {
    while word.ends_with("alli") && replace(word, "alli", "al", positive) {}
    apply(word, &STEP_2);
}

/// For each letter whether it is a consonant; y is one at the beginning and behind a vowel.
fn consonants(word: &str) -> impl Iterator<Item = bool> {
    let mut before = false;
    word.chars().map(move |c| {
        before = match c {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !before,
            _ => true,
        };
        before
    })
}

/// Number of times that a consonant follows a vowel: Porter's m.
fn measure(stem: &str) -> usize {
    let mut vowel = false;
    consonants(stem).filter(|consonant| std::mem::replace(&mut vowel, !consonant) && *consonant).count()
}

fn ends_in_double_consonant(word: &str) -> bool {
    let mut back = word.chars().rev();
    let (last, earlier) = (back.next(), back.next());
    last.is_some() && last == earlier && consonants(word).last() == Some(true)
}

/// Ends in consonant, vowel, consonant other than w, x, y; or is a vowel and a consonant.
fn ends_short(word: &str) -> bool {
    let consonants: Vec<bool> = consonants(word).collect();
    match consonants.as_slice() {
        [false, true] => true,
        [.., true, false, true] => !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}

fn always(_: &str) -> bool {
    true
}

fn positive(stem: &str) -> bool {
    measure(stem) > 0
}

fn long(stem: &str) -> bool {
    measure(stem) > 1
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).any(|consonant| !consonant)
}

/// NLTK measures the stem together with the l of "-logi".
fn before_ogi(stem: &str) -> bool {
    positive(&format!("{stem}l"))
}

fn before_ion(stem: &str) -> bool {
    long(stem) && stem.ends_with(['s', 't'])
}

fn before_final_l(stem: &str) -> bool {
    long(&format!("{stem}l"))
}

fn longer_consonant(stem: &str) -> bool {
    stem.chars().nth(1).is_some() && consonants(stem).last() == Some(true)
}

fn final_e_goes(stem: &str) -> bool {
    long(stem) || measure(stem) == 1 && !ends_short(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_get_the_stems_of_nltk() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/overlap.json")).unwrap();
        let stems = vectors["porter"].as_object().unwrap();
        assert!(stems.len() > 100);
        for (word, expected) in stems {
            assert_eq!(stem(&word.to_lowercase()), expected.as_str().unwrap(), "{word}");
        }
    }
}
