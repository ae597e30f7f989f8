//! Indexes on disk: what is found in them, how they change, and files that are none.

use std::cell::Cell;
use std::path::Path;

use model::PairScore;
use proptest::prelude::*;
use rag::{
    Changes, Embedder, EncoderIdentity, Error, Index, Method, Passage, Reranker, Result, Retriever, Settings,
    Vector, VectorsMade, add_vectors,
};

fn passage(name: &str, title: &str, text: &str) -> Passage {
    Passage { name: name.into(), title: title.into(), text: text.into(), ..Passage::default() }
}

fn passages() -> Vec<Passage> {
    vec![
        passage("asthma", "Asthma", "Salbutamol opens the airways of adults and children."),
        passage("stroke", "Stroke", "Thrombolysis within hours dissolves the clot."),
        passage("migraine", "Migraine", "Triptans end an attack, and beta blockers prevent attacks."),
        passage("anaphylaxis", "Anaphylaxis", "Adrenaline into the thigh at once. Salbutamol if it wheezes."),
    ]
}

fn index(path: &Path, passages: &[Passage]) -> Index {
    let mut index = Index::build(path).unwrap();
    index.set_passages(passages).unwrap();
    index.finish().unwrap();
    drop(index);
    Index::open(path).unwrap()
}

/// Vectors that count some letters: enough to tell texts apart, and seen through by a test.
struct Letters {
    identity: EncoderIdentity,
    asked: Cell<usize>,
}

impl Letters {
    fn new(hash: &str) -> Self {
        let identity = EncoderIdentity {
            name: format!("letters-{hash}"),
            place: "".into(),
            hash: hash.into(),
            width: 26,
        };
        Letters { identity, asked: Cell::new(0) }
    }
}

impl Embedder for Letters {
    fn identity(&self) -> &EncoderIdentity {
        &self.identity
    }

    fn passages(&self, texts: &[&str]) -> Result<Vec<Vector>> {
        self.asked.set(self.asked.get() + texts.len());
        // Reads forty characters.
        let vector =
            |text: &&str| Ok(Vector { values: self.query(text)?, cut: text.len().saturating_sub(40) });
        texts.iter().map(vector).collect()
    }

    fn query(&self, text: &str) -> Result<Vec<f32>> {
        let mut counts = vec![0.0f32; 26];
        for letter in text.to_lowercase().bytes().filter(u8::is_ascii_lowercase) {
            counts[usize::from(letter - b'a')] += 1.0;
        }
        let length = counts.iter().map(|count| count * count).sum::<f32>().sqrt().max(1.0);
        Ok(counts.into_iter().map(|count| count / length).collect())
    }
}

/// Prefers the shortest passage.
struct Shortest;

impl Reranker for Shortest {
    fn name(&self) -> &str {
        "shortest"
    }

    fn score(&self, _: &str, passages: &[&str]) -> Result<Vec<PairScore>> {
        let score = |passage: &&str| PairScore { score: -(passage.len() as f32), cut: 1 };
        Ok(passages.iter().map(score).collect())
    }
}

fn names(retriever: &Retriever<'_>, query: &str) -> Vec<String> {
    retriever.search(query).unwrap().into_iter().map(|hit| hit.passage.name).collect()
}

#[test]
fn passages_are_found_by_stems_of_their_words_and_headings() {
    let folder = tempfile::tempdir().unwrap();
    let index = index(&folder.path().join("index"), &passages());
    let search = Retriever::new(&index, Settings::default(), None, None).unwrap();
    assert_eq!(search.settings().method, Method::Words);
    assert_eq!(names(&search, "What prevents a migraine attack?")[0], "migraine");
    assert_eq!(names(&search, "salbutamol for a child with asthma"), ["asthma", "anaphylaxis"]);
    assert_eq!(names(&search, "dissolving clots \" OR * NEAR("), ["stroke"]);
    assert!(names(&search, "fracture?").is_empty() && names(&search, "…").is_empty());
    let hits = search.search("stroke").unwrap();
    let place = hits[0].words.unwrap();
    assert!(place.rank == 1 && place.score > 0.0 && hits[0].vectors.is_none());
}

#[test]
fn bm25_is_that_of_robertson_and_zaragoza() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["alpha beta beta", "alpha gamma", "gamma gamma gamma delta"];
    let passages: Vec<Passage> =
        texts.iter().enumerate().map(|(at, text)| passage(&format!("p{at}"), "", text)).collect();
    let index = index(&folder.path().join("index"), &passages);
    let search = Retriever::new(&index, Settings::default(), None, None).unwrap();
    // idf = ln((N - n + ½) / (n + ½)), k₁ = 1.2, b = 0.75; beta is twice in a text of 3 words, 3 on average.
    let expected = (2.5f64 / 1.5).ln() * (2.0 * 2.2) / (2.0 + 1.2);
    let hit = &search.search("beta").unwrap()[0];
    assert!((hit.words.unwrap().score - expected).abs() < 1e-9, "{:?} {expected}", hit.words);
}

#[test]
fn vectors_find_what_words_do_not_and_both_are_fused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let (mut building, letters) = (Index::build(&path).unwrap(), Letters::new("a"));
    building.set_passages(&passages()).unwrap();
    assert!(matches!(Index::open(&path), Err(Error::Unfinished { .. })));
    let made = add_vectors(&mut building, &letters, &mut |_, _| true).unwrap();
    let long = |passage: &Passage| passage.whole().len().saturating_sub(40);
    let tokens_cut = passages().iter().map(long).sum();
    assert_eq!(made, VectorsMade { made: 4, cut: 4, tokens_cut, left: 0 }, "what is not read is counted");
    building.finish().unwrap();
    let index = Index::open(&path).unwrap();
    assert_eq!(index.contents().unwrap().vectors, 4);
    let with = |method| {
        let settings = Settings { method, ..Settings::default() };
        names(&Retriever::new(&index, settings, Some(&letters), None).unwrap(), "strike")
    };
    assert!(with(Method::Words).is_empty());
    assert_eq!(with(Method::Vectors).len(), 4, "vectors rank all passages");
    assert_eq!(with(Method::Auto), with(Method::Vectors), "there is nothing to fuse with");
    let reranked = Retriever::new(&index, Settings::default(), Some(&letters), Some(&Shortest)).unwrap();
    let hits = reranked.search("salbutamol").unwrap();
    assert_eq!(hits[0].passage.name, "stroke");
    assert!(hits.is_sorted_by(|a, b| a.reranked >= b.reranked) && hits.iter().all(|hit| hit.unread == 1));
    let one = Retriever::new(&index, Settings { passages: 1, ..Settings::default() }, None, Some(&Shortest));
    assert_eq!(names(&one.unwrap(), "salbutamol"), ["asthma"], "the reranker reads all candidates");
}

#[test]
fn vectors_of_another_encoder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut building = Index::build(&path).unwrap();
    building.set_passages(&passages()).unwrap();
    add_vectors(&mut building, &Letters::new("a"), &mut |_, _| true).unwrap();
    building.finish().unwrap();
    let index = Index::open(&path).unwrap();
    let other = Letters::new("b");
    let error = Retriever::new(&index, Settings::default(), Some(&other), None).err().unwrap();
    assert!(error.to_string().ends_with("its vectors were made by letters-a, this is letters-b"), "{error}");
    let vectors = Settings { method: Method::Vectors, ..Settings::default() };
    assert!(matches!(Retriever::new(&index, vectors, None, None), Err(Error::NoVectors { .. })));
}

#[test]
fn an_index_becomes_what_its_sources_are_and_keeps_what_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let letters = Letters::new("a");
    let make = |passages: &[Passage]| {
        let mut index = Index::build(&path).unwrap();
        let changes = index.set_passages(passages).unwrap();
        add_vectors(&mut index, &letters, &mut |_, _| true).unwrap();
        index.finish().unwrap();
        changes
    };
    assert_eq!(make(&passages()), Changes { added: 4, kept: 0, removed: 0 });
    let before = Index::open(&path).unwrap().contents().unwrap();
    assert_eq!(make(&passages()), Changes { added: 0, kept: 4, removed: 0 });
    assert_eq!(Index::open(&path).unwrap().contents().unwrap(), before);
    let mut changed = passages();
    changed.remove(1);
    changed[0].text = "Beclometasone prevents attacks.".into();
    assert_eq!(make(&changed), Changes { added: 1, kept: 2, removed: 2 });
    assert_eq!(letters.asked.get(), 5, "only new texts get vectors");
    let index = Index::open(&path).unwrap();
    let after = index.contents().unwrap();
    assert_eq!((after.passages, after.vectors), (3, 3));
    assert_ne!(after.fingerprint, before.fingerprint);
    let search = Retriever::new(&index, Settings::default(), None, None).unwrap();
    assert!(names(&search, "thrombolysis").is_empty());
    assert_eq!(names(&search, "salbutamol"), ["anaphylaxis"]);
    assert_eq!(names(&search, "beclometasone"), ["asthma"]);
}

#[test]
fn making_vectors_goes_on_where_it_was_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let many: Vec<Passage> =
        (0..80).map(|at| passage(&format!("p{at}"), "", &format!("text {at}"))).collect();
    let letters = Letters::new("a");
    let mut index = Index::build(&path).unwrap();
    index.set_passages(&many).unwrap();
    let made = add_vectors(&mut index, &letters, &mut |done, all| (done, all) == (0, 80)).unwrap();
    let done = letters.asked.get();
    assert!(done > 0 && (made.made, made.left) == (done, 80 - done));
    assert_eq!(index.without_vector().unwrap(), 80 - done);
    drop(index);
    let mut index = Index::build(&path).unwrap();
    assert_eq!(index.set_passages(&many).unwrap().kept, 80);
    assert_eq!(add_vectors(&mut index, &letters, &mut |_, _| true).unwrap().left, 0);
    assert_eq!((letters.asked.get(), index.without_vector().unwrap()), (80, 0));
}

#[test]
fn two_passages_of_one_name_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut index = Index::build(&path).unwrap();
    index.set_passages(&passages()).unwrap();
    let twice = [passage("x", "", "a"), passage("x", "", "b")];
    assert_eq!(index.set_passages(&twice).unwrap_err().to_string(), "two passages are called `x`");
    assert_eq!(index.contents().unwrap().passages, 4);
}

#[test]
fn files_that_are_no_index_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let reason = |path: &Path| Index::open(path).unwrap_err().to_string();
    assert!(reason(&path).contains("no such file"));
    std::fs::write(&path, "no database at all, but long enough to look like one".repeat(40)).unwrap();
    assert!(reason(&path).contains("not a database"), "{}", reason(&path));
    assert!(Index::build(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    drop(index(&path, &passages()));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cut = Index::open(&path).and_then(|index| {
        let search = Retriever::new(&index, Settings::default(), None, None)?;
        search.search("salbutamol").map(drop)
    });
    assert!(cut.unwrap_err().to_string().contains("malformed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_question_is_an_error(query in "\\PC{0,60}") {
        let folder = tempfile::tempdir().unwrap();
        let index = index(&folder.path().join("index"), &passages());
        let search = Retriever::new(&index, Settings::default(), None, None).unwrap();
        let hits = search.search(&query).unwrap();
        prop_assert!(hits.len() <= 4);
    }

    #[test]
    fn a_file_with_wrong_bytes_is_read_or_refused(at in 0usize..1 << 16, bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        drop(index(&path, &passages()));
        let mut whole = std::fs::read(&path).unwrap();
        let at = at % whole.len();
        let end = (at + bytes.len()).min(whole.len());
        whole[at..end].copy_from_slice(&bytes[..end - at]);
        std::fs::write(&path, &whole).unwrap();
        if let Ok(index) = Index::open(&path)
            && let Ok(search) = Retriever::new(&index, Settings::default(), None, None)
        {
            let _ = (search.search("salbutamol for asthma"), index.contents());
        }
    }
}

#[test]
fn of_many_words_the_rarest_count() {
    let folder = tempfile::tempdir().unwrap();
    // Everywhere: w0 to w39. In one passage alone: its number.
    let common: String = (0..40).map(|word| format!("w{word} ")).collect();
    let passages: Vec<Passage> =
        (0..10).map(|at| passage(&format!("p{at}"), "", &format!("{common} only{at}"))).collect();
    let index = index(&folder.path().join("index"), &passages);
    let search = Retriever::new(&index, Settings::default(), None, None).unwrap();
    let question = format!("{common} unheard only7 only3");
    let found = names(&search, &question);
    assert_eq!(found.len(), 5);
    assert!(found[..2].contains(&"p7".to_owned()) && found[..2].contains(&"p3".to_owned()), "{found:?}");
    assert_eq!(names(&search, &question), found, "counts that are known change nothing");
}
