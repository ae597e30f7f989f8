use super::*;

fn names(text: &str) -> Vec<&str> {
    let mut found: Vec<Finding> = find(text);
    let mut persons = Persons::default();
    persons.learn(text, &found);
    found.extend(mentions(text, &persons));
    found.sort_by_key(|finding| (finding.start, std::cmp::Reverse(finding.end)));
    found.dedup_by(|second, first| second.start < first.end);
    found.iter().map(|finding| &text[finding.start..finding.end]).collect()
}

#[test]
fn a_frequent_given_name_or_surname_makes_two_words_a_name() {
    assert_eq!(
        names("Then Margaret Achterberg and Zdenka Miller left."),
        ["Margaret Achterberg", "Zdenka Miller"]
    );
    assert_eq!(names("Robert van der Aa, Anna-Lena O'Neil"), ["Robert van der Aa", "Anna-Lena O'Neil"]);
    assert_eq!(names("We saw David Hill; the hill is steep."), ["David Hill"]);
}

#[test]
fn any_other_name_needs_a_word_near_it() {
    for text in [
        "seen by Qwu Zebulon",
        "discussed at length with Qwu Zebulon",
        "Qwu Zebulon reports pain",
        "Qwu Zebulon was admitted",
        "Qwu Zebulon, 58, came",
        "Qwu Zebulon is a 40-year-old baker",
        "her neighbour, Qwu Zebulon",
        "Yours sincerely,\nQwu Zebulon",
    ] {
        assert_eq!(names(text), ["Qwu Zebulon"], "{text}");
    }
    assert_eq!(names("The Qwu Zebulon has four wheels."), [""; 0]);
}

#[test]
fn one_word_is_a_name_behind_a_relative() {
    assert_eq!(
        names("His wife Zebulonia came. Her sons Caleb and Micah are well."),
        ["Zebulonia", "Caleb", "Micah"]
    );
    assert_eq!(names("Mother Nature, Sister Chromatids, the wife Is there"), [""; 0]);
}

#[test]
fn whoever_was_named_in_full_is_found_again() {
    let text = "John Carter fell. Later Carter and CARTER, at last John, and Carter's wife; carters drive.";
    assert_eq!(names(text), ["John Carter", "Carter", "CARTER", "John", "Carter"]);
    let cited = "Mary Bloom. Bloom syndrome; Bloom et al., Bloom (2010), Bloom JA.";
    assert_eq!(names(cited), ["Mary Bloom"]);
}

#[test]
fn diseases_and_institutions_with_names_of_persons_are_nobody() {
    for text in [
        "Down syndrome, Crohn's disease and Parkinson disease; Stevens-Johnson syndrome",
        "John Radcliffe Hospital, Robert Koch Institute, St. Jude, San Antonio, Lake Louise",
        "Graves Disease Presents with Tremor. Marfan Syndrome was diagnosed.",
        "Reviewed by Internal Medicine and discussed with Vascular Surgery",
    ] {
        assert_eq!(names(text), [""; 0], "{text}");
    }
}
