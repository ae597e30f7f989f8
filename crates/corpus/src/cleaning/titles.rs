//! Whole titles of sections that are no teaching text.

/// The name of the rule that takes reference lists.
pub(super) const REFERENCE_LIST: &str = "references";

/// Sections that go when their whole title is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRule {
    /// The name under which removals are reported.
    pub name: String,
    /// Whole titles; numbers before them, case and final punctuation do not matter.
    pub titles: Vec<String>,
}

/// Reference lists, tables of contents, front and back matter in English and German.
pub fn english_and_german() -> Vec<SectionRule> {
    [
        (REFERENCE_LIST, REFERENCES),
        ("table of contents", CONTENTS),
        ("front matter", FRONT),
        ("back matter", BACK),
    ]
    .into_iter()
    .map(|(name, titles)| SectionRule {
        name: name.into(),
        titles: titles.iter().map(|title| (*title).to_owned()).collect(),
    })
    .collect()
}

/// A title without the number before it, in lower case, without punctuation at its end.
pub(super) fn bare(title: &str) -> String {
    let words: Vec<String> = title.split_whitespace().map(str::to_lowercase).collect();
    let number = |word: &str| {
        let word = word.trim_end_matches(['.', ')', ':']);
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let from = usize::from(words.len() > 1 && words.first().is_some_and(|word| number(word)));
    let joined = words[from..].join(" ").replace(['’', '‘'], "'");
    joined.trim_end_matches(['.', ':']).to_owned()
}

const REFERENCES: &[&str] = &[
    "References",
    "Reference list",
    "References and notes",
    "References cited",
    "Bibliography",
    "Literature cited",
    "Works cited",
    "Further reading",
    "Suggested reading",
    "Suggested readings",
    "Literatur",
    "Literaturverzeichnis",
    "Literaturliste",
    "Literaturangaben",
    "Quellen",
    "Quellenverzeichnis",
    "Quellenangaben",
    "Referenzen",
    "Bibliographie",
    "Bibliografie",
    "Weiterführende Literatur",
];

const CONTENTS: &[&str] = &[
    "Contents",
    "Table of contents",
    "Brief contents",
    "Detailed contents",
    "List of figures",
    "List of tables",
    "List of illustrations",
    "Index",
    "Subject index",
    "Author index",
    "Inhalt",
    "Inhaltsverzeichnis",
    "Inhaltsübersicht",
    "Abbildungsverzeichnis",
    "Tabellenverzeichnis",
    "Register",
    "Sachregister",
    "Sachverzeichnis",
    "Stichwortverzeichnis",
    "Personenregister",
];

const FRONT: &[&str] = &[
    "Copyright",
    "Copyright notice",
    "Copyright page",
    "Imprint",
    "Dedication",
    "Preface",
    "Foreword",
    "About the author",
    "About the authors",
    "About the editor",
    "About the editors",
    "Contributors",
    "List of contributors",
    "Title page",
    "Impressum",
    "Urheberrecht",
    "Widmung",
    "Vorwort",
    "Geleitwort",
    "Autoren",
    "Autorenverzeichnis",
    "Über den Autor",
    "Über die Autoren",
    "Herausgeber",
];

const BACK: &[&str] = &[
    "Acknowledgement",
    "Acknowledgements",
    "Acknowledgment",
    "Acknowledgments",
    "Author contributions",
    "Author contribution",
    "Authors' contributions",
    "Author's contributions",
    "Author details",
    "Author information",
    "Authors' information",
    "Competing interests",
    "Competing interest",
    "Conflict of interest",
    "Conflicts of interest",
    "Conflict of interests",
    "Conflict of interest statement",
    "Declaration of interest",
    "Declaration of competing interest",
    "Declaration of interests",
    "Disclosure",
    "Disclosures",
    "Funding",
    "Funding statement",
    "Financial support",
    "Financial disclosure",
    "Publisher's note",
    "Pre-publication history",
    "Data availability",
    "Data availability statement",
    "Availability of data and materials",
    "Danksagung",
    "Danksagungen",
    "Interessenkonflikt",
    "Interessenkonflikte",
    "Interessenskonflikt",
    "Autorenbeiträge",
    "Autorenangaben",
    "Korrespondenzadresse",
    "Förderung",
    "Finanzierung",
];
