//! One paper against its publisher's XML.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use super::output::Source;
use super::truth;

/// Figures of one paper, or sums of several.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Score {
    /// Share of the body's tokens that are in the output.
    pub(crate) recall: f64,
    /// Share of the running text's tokens that are in the output in their order.
    pub(crate) order: f64,
    /// Paragraphs whose five-word sequences are mostly not in the output: columns run into each other.
    pub(crate) scrambled: f64,
    pub(crate) heading_precision: f64,
    pub(crate) heading_recall: f64,
    pub(crate) heading_f1: f64,
    /// Share of the headings found whose section is the right one.
    pub(crate) nesting: f64,
    /// Running heads and feet in the output.
    pub(crate) heads_left: f64,
    /// Share of the output's tokens that are in the file.
    pub(crate) precision: f64,
    /// Nothing where a paper has no table as text.
    pub(crate) cells_f1: Option<f64>,
    pub(crate) seconds: f64,
}

impl Score {
    pub(crate) fn add(&mut self, other: &Self) {
        self.recall += other.recall;
        self.order += other.order;
        self.scrambled += other.scrambled;
        self.heading_precision += other.heading_precision;
        self.heading_recall += other.heading_recall;
        self.heading_f1 += other.heading_f1;
        self.nesting += other.nesting;
        self.heads_left += other.heads_left;
        self.precision += other.precision;
        self.seconds += other.seconds;
    }

    /// Of `count` papers; scrambled paragraphs and heads left stay sums.
    pub(crate) fn mean(self, count: usize) -> Self {
        let n = count as f64;
        Self {
            recall: self.recall / n,
            order: self.order / n,
            heading_precision: self.heading_precision / n,
            heading_recall: self.heading_recall / n,
            heading_f1: self.heading_f1 / n,
            nesting: self.nesting / n,
            precision: self.precision / n,
            seconds: self.seconds / n,
            ..self
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells_f1.map_or("–".into(), |f1| format!("{f1:.2}"));
        write!(
            f,
            "{:.4} | {:.3} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {:.3} | {cells} | {:.3} |",
            self.recall,
            self.order,
            self.scrambled,
            self.heading_precision,
            self.heading_recall,
            self.heading_f1,
            self.nesting,
            self.heads_left,
            self.precision,
            self.seconds
        )
    }
}

/// Titles that a publisher's template adds in print and that its XML has as no title, or the other way round.
const TEMPLATE: [&str; 9] = [
    "abstract",
    "keywords",
    "references",
    "authordetails",
    "openaccess",
    "editorialresponsibility",
    "acknowledgements",
    "acknowledgments",
    "acknowledgement",
];

/// Scores `name` as `source` converts it.
pub(crate) fn score(data: &Path, name: &str, source: &Source) -> Result<Score, Box<dyn Error>> {
    let folder = data.join("jats_pairs").join(name);
    let truth = truth::read(&folder)?;
    let output = source.convert("jats_pairs", &folder.join("fulltext.pdf"))?;
    let cleaned = output.cleaned_text();
    let (got, kept, body) = (tokens(&output.text()), tokens(&cleaned), tokens(&truth.body));
    let running: Vec<Vec<String>> = truth.running.iter().map(|p| tokens(p)).collect();
    let flat: Vec<String> = running.concat();
    let found = common(&body, &got);
    let all = tokens(&truth.all);
    let cells: Vec<String> = truth.cells.iter().map(|c| super::tables::bare(c)).collect();
    let own: Vec<String> = output
        .tables()
        .concat()
        .concat()
        .iter()
        .map(|c| super::tables::bare(c))
        .filter(|c| !c.is_empty())
        .collect();
    let (heading_precision, heading_recall, nesting) = headings(&truth.headings, &output.headings());
    let mut score = Score {
        recall: found as f64 / body.len().max(1) as f64,
        order: in_order(&flat, &got) as f64 / flat.len().max(1) as f64,
        scrambled: scrambled(&running, &got) as f64,
        heading_precision,
        heading_recall,
        heading_f1: f1(heading_precision, heading_recall),
        nesting,
        heads_left: heads_left(&cleaned) as f64,
        precision: common(&kept, &all) as f64 / kept.len().max(1) as f64,
        cells_f1: None,
        seconds: output.seconds,
    };
    if !cells.is_empty() {
        let both = common(&cells, &own) as f64;
        score.cells_f1 = Some(f1(both / own.len().max(1) as f64, both / cells.len() as f64));
    }
    Ok(score)
}

pub(crate) fn f1(precision: f64, recall: f64) -> f64 {
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// Words and numbers in lower case.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    folded.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// How many of `wanted` are in `got`, each counted as often as it is in both.
pub(crate) fn common<T: Hash + Eq>(wanted: &[T], got: &[T]) -> usize {
    let mut counts: HashMap<&T, usize> = HashMap::new();
    for item in got {
        *counts.entry(item).or_default() += 1;
    }
    wanted
        .iter()
        .filter(|item| match counts.get_mut(item) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
        .count()
}

/// Length of the longest common subsequence.
fn in_order(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0_u32; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (at, y) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if x == y { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[b.len()] as usize
}

fn scrambled(paragraphs: &[Vec<String>], got: &[String]) -> usize {
    let known: std::collections::HashSet<&[String]> = got.windows(5).collect();
    paragraphs
        .iter()
        .filter(|paragraph| paragraph.len() >= 30)
        .filter(|paragraph| {
            let found = paragraph.windows(5).filter(|window| known.contains(window)).count();
            found * 2 < paragraph.len() - 4
        })
        .count()
}

fn key(title: &str) -> String {
    title.nfkc().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Precision and recall of headings, and the share of those found that stand in the right section.
fn headings(truth: &[(usize, String)], got: &[(usize, String)]) -> (f64, f64, f64) {
    let (truth, got) = (keyed(truth), keyed(got));
    let mut used = vec![false; got.len()];
    let mut from = 0;
    let mut pairs = Vec::new();
    for (index, (_, title, _)) in truth.iter().enumerate() {
        let alike =
            |other: usize| !used[other] && strsim::normalized_levenshtein(title, &got[other].1) >= 0.85;
        let found =
            (from..got.len()).find(|&other| alike(other)).or_else(|| (0..from).find(|&other| alike(other)));
        if let Some(other) = found {
            used[other] = true;
            from = other + 1;
            pairs.push((index, other));
        }
    }
    let template = |title: &str| TEMPLATE.contains(&title);
    let counted =
        |list: &[(usize, String, String)]| list.iter().filter(|(_, title, _)| !template(title)).count();
    let matched = pairs.iter().filter(|(index, _)| !template(&truth[*index].1)).count();
    let nested = pairs
        .iter()
        .filter(|(index, other)| {
            !template(&truth[*index].1) && {
                let (a, b) = (&truth[*index].2, &got[*other].2);
                a == b || strsim::normalized_levenshtein(a, b) >= 0.85
            }
        })
        .count();
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    (share(matched, counted(&got)), share(matched, counted(&truth)), share(nested, matched))
}

/// Each heading with the key of the section that it stands in; the paper itself and its abstract are none.
fn keyed(list: &[(usize, String)]) -> Vec<(usize, String, String)> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut keyed: Vec<(usize, String, String)> = Vec::new();
    for (at, (level, title)) in list.iter().enumerate() {
        let title = key(title);
        open.retain(|(other, _)| other < level);
        let parent = open.last().map(|(_, title)| title.clone()).unwrap_or_default();
        keyed.push((*level, title.clone(), parent));
        let root = at == 0 || *level == 1 || title == "abstract";
        if !root {
            open.push((*level, title));
        }
    }
    keyed
}

/// Heads and feet of the journals of this set. One occurrence is the citation on the first page.
fn heads_left(text: &str) -> usize {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    [
        "trialsjournal.com/content/1",
        "Behav Ecol Sociobiol (2015) 69:",
        "PLOS ONE | DOI",
        "Metabolites 2014, 4 9",
    ]
    .iter()
    .map(|head| text.matches(head).count().saturating_sub(1))
    .sum::<usize>()
        + text
            .match_indices("Page ")
            .filter(|(at, _)| {
                let rest = &text[at + 5..];
                let words: Vec<&str> = rest.split(' ').take(3).collect();
                words.len() == 3
                    && words[0].parse::<u32>().is_ok()
                    && words[1] == "of"
                    && words[2].parse::<u32>().is_ok()
            })
            .count()
}
