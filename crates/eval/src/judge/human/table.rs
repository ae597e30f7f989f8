//! Grades by system: how many of each, the share of the best one, and which systems they tell apart.

use super::Grades;
use crate::comparison::{Estimate, Verdict as Word};
use crate::judge::agreement::Agreed;
use crate::judge::pairs::LEVEL;
use crate::judge::scores::estimate;
use crate::judge::table::{ends, p};
use crate::statistics::{
    Discordant, Interval, Level, PairedSums, Resampling, bca_interval_of, fleiss_kappa, holm,
    krippendorff_alpha, permutation_p, sums_by_group, wilson,
};
use crate::wording::counted;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Resamples of an interval whose every draw goes through all grades.
const DRAWS: usize = 2_000;

/// The grades of one system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumanSystem {
    /// The system.
    pub system: String,
    /// Its grades.
    pub n: usize,
    /// How many of each; empty where grades have no names.
    pub counts: Vec<usize>,
    /// How many are the best there is.
    pub best: usize,
    /// The share of the best grade, with Wilson's interval.
    pub best_share: f64,
    /// The interval.
    pub best_interval: Interval,
    /// The mean grade, by questions.
    pub mean: Estimate,
}

/// Two systems on the answers to the same questions by the same graders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopDifference {
    /// The first system.
    pub first: String,
    /// The second system.
    pub second: String,
    /// Pairs of grades.
    pub n: usize,
    /// Pairs in which only the first has the best grade.
    pub only_first: u64,
    /// Pairs in which only the second has it.
    pub only_second: u64,
    /// Share of the best grade, first minus second.
    pub difference: f64,
    /// Its interval (Bonett and Price 2012), for questions as independent.
    pub interval: Interval,
    /// Two-sided p: McNemar's exact test, or exchanges of whole groups where questions are in groups.
    pub p: f64,
    /// p after Holm's correction for all pairs of the table.
    pub p_holm: f64,
    /// The first from its view.
    pub verdict: Word,
}

/// All systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumanTable {
    /// The names of the grades, the worst first.
    pub names: Vec<String>,
    /// By the share of the best grade.
    pub systems: Vec<HumanSystem>,
    /// The pairs that were compared.
    pub pairs: Vec<TopDifference>,
    /// Who graded.
    pub graders: Vec<String>,
    /// Agreement of the graders: Fleiss' kappa, where all have graded the same answers.
    pub fleiss: Option<Agreed>,
    /// Agreement of the graders: Krippendorff's alpha for ordered grades.
    pub alpha: Option<Agreed>,
    /// Rows, repeated ones, and those that do not count.
    pub rows: usize,
    /// Rows that repeat another one.
    pub duplicates: usize,
    /// Answers with several grades by one person.
    pub conflicts: usize,
    /// Rows without a grade.
    pub unmarked: usize,
}

/// Tabulates grades. `against` names the systems that all others are compared with; without it every two are. Fewer
/// comparisons find more, but only where they were chosen before the grades were seen.
///
/// # Errors
/// [`Error::Judge`] where a system of `against` has no grades.
pub fn tabulate(grades: &Grades, against: &[String], resampling: &Resampling) -> Result<HumanTable> {
    let names: BTreeSet<&str> = grades.grades.iter().map(|grade| grade.system.as_str()).collect();
    if let Some(missing) = against.iter().find(|name| !names.contains(name.as_str())) {
        return Err(Error::Judge {
            what: "against",
            reason: format!(
                "no grades of `{missing}`; there are {}",
                names.into_iter().collect::<Vec<_>>().join(", ")
            ),
        });
    }
    let best = grades.ends().1;
    let mut systems: Vec<HumanSystem> = names
        .iter()
        .map(|name| {
            let of_system = || grades.grades.iter().filter(|grade| grade.system == *name);
            let (n, top) = (of_system().count(), of_system().filter(|grade| grade.grade == best).count());
            let count = |level| of_system().filter(|grade| grade.grade == level as f64).count();
            HumanSystem {
                system: (*name).to_owned(),
                n,
                counts: (0..grades.names.len()).map(count).collect(),
                best: top,
                best_share: top as f64 / n as f64,
                best_interval: wilson(top as u64, n as u64),
                mean: estimate(of_system().map(|grade| (grade.group.as_str(), grade.grade)), resampling),
            }
        })
        .collect();
    systems.sort_by(|one, other| {
        other.best_share.total_cmp(&one.best_share).then(other.mean.value.total_cmp(&one.mean.value))
    });
    let mut pairs = Vec::new();
    for (place, second) in systems.iter().enumerate() {
        for first in &systems[..place] {
            let planned = |one: &HumanSystem, other: &HumanSystem| {
                against.contains(&one.system)
                    && !(against.contains(&other.system) && one.system > other.system)
            };
            if against.is_empty() || planned(first, second) || planned(second, first) {
                pairs.extend(difference(grades, (&first.system, &second.system), best, resampling));
            }
        }
    }
    let p_values: Vec<f64> = pairs.iter().map(|pair| pair.p).collect();
    for (pair, p_holm) in pairs.iter_mut().zip(holm(&p_values)) {
        pair.p_holm = p_holm;
        pair.verdict = match (p_holm < LEVEL, pair.difference > 0.0) {
            (false, _) => Word::NotDistinguishable,
            (true, true) => Word::Better,
            (true, false) => Word::Worse,
        };
    }
    let graders: BTreeSet<&str> = grades.grades.iter().map(|grade| grade.grader.as_str()).collect();
    let (fleiss, alpha) = between(grades, &graders, resampling);
    Ok(HumanTable {
        names: grades.names.clone(),
        systems,
        pairs,
        graders: graders.into_iter().map(str::to_owned).collect(),
        fleiss,
        alpha,
        rows: grades.rows,
        duplicates: grades.duplicates,
        conflicts: grades.conflicts.len(),
        unmarked: grades.unmarked.len(),
    })
}

impl HumanTable {
    /// For a terminal; `grades` name what does not count.
    pub fn to_text(&self, grades: &Grades) -> String {
        let mut out = String::new();
        self.write(grades, &mut out).map_or_else(|_| String::new(), |()| out)
    }

    fn write(&self, grades: &Grades, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{}: {} repeated, {} with several grades by one person, {} without a grade\n",
            counted(self.rows, "row"),
            self.duplicates,
            counted(self.conflicts, "answer"),
            self.unmarked
        )?;
        let width = self.systems.iter().map(|row| row.system.chars().count()).max().unwrap_or(0);
        let best = self.names.last().map_or("best grade".to_owned(), |name| format!("\"{name}\""));
        writeln!(
            out,
            "{:<width$}  {best} with 95 % interval, mean grade, counts from worst to best",
            "system"
        )?;
        for row in &self.systems {
            let percent =
                |interval: Interval| Interval { low: 100.0 * interval.low, high: 100.0 * interval.high };
            let mean = row.mean.low.zip(row.mean.high).map(|(low, high)| Interval { low, high });
            let counts: Vec<String> = row.counts.iter().map(ToString::to_string).collect();
            writeln!(
                out,
                "{:<width$}  {:>3}/{:<3} {:>3.0} % {:<9}  {:.2} {}  {}",
                row.system,
                row.best,
                row.n,
                100.0 * row.best_share,
                ends(Some(percent(row.best_interval)), 0),
                row.mean.value,
                ends(mean, 2),
                counts.join("/")
            )?;
        }
        writeln!(out, "\nshare of {best}, pair by pair")?;
        for pair in &self.pairs {
            writeln!(
                out,
                "  {} − {}: {:+.0} points, {} : {} of {}, p {} after Holm: {}",
                pair.first,
                pair.second,
                100.0 * pair.difference,
                pair.only_first,
                pair.only_second,
                pair.n,
                p(pair.p_holm),
                pair.verdict.name()
            )?;
        }
        for (name, agreed) in [("Fleiss kappa", self.fleiss), ("Krippendorff alpha, ordinal", self.alpha)] {
            if let Some(agreed) = agreed {
                writeln!(
                    out,
                    "  {} graders: {name} {:.2} {}",
                    self.graders.len(),
                    agreed.value,
                    ends(agreed.interval, 2)
                )?;
            }
        }
        for (what, rows) in [("several grades", &grades.conflicts), ("no grade", &grades.unmarked)] {
            for row in rows {
                writeln!(out, "  {what}: {} ({})", row.item, row.reason)?;
            }
        }
        Ok(())
    }
}

fn difference(
    grades: &Grades,
    (first, second): (&str, &str),
    best: f64,
    resampling: &Resampling,
) -> Option<TopDifference> {
    let of = |system: &str| -> BTreeMap<(&str, &str), (&str, bool)> {
        let of_system = grades.grades.iter().filter(|grade| grade.system == system);
        of_system
            .map(|grade| {
                ((grade.item.as_str(), grade.grader.as_str()), (grade.group.as_str(), grade.grade == best))
            })
            .collect()
    };
    let (one, other) = (of(first), of(second));
    let mut counts = Discordant { only_base: 0, only_tuned: 0, n: 0 };
    let mut rows: Vec<(&str, [f64; 4])> = Vec::new();
    for (answer, (group, top)) in &one {
        let Some((_, other_top)) = other.get(answer) else { continue };
        counts.n += 1;
        counts.only_tuned += u64::from(*top && !other_top);
        counts.only_base += u64::from(!top && *other_top);
        rows.push((group, [f64::from(*other_top), 1.0, f64::from(*top), 1.0]));
    }
    let groups = sums_by_group(rows);
    let p_value = if groups.len() as u64 == counts.n {
        counts.mcnemar_p()
    } else {
        let sums = |row: &[f64; 4]| PairedSums { base: [row[0], row[1]], tuned: [row[2], row[3]] };
        permutation_p(&groups.iter().map(sums).collect::<Vec<_>>(), resampling)
    };
    (counts.n > 0).then(|| TopDifference {
        first: first.to_owned(),
        second: second.to_owned(),
        n: counts.n as usize,
        only_first: counts.only_tuned,
        only_second: counts.only_base,
        difference: counts.difference(),
        interval: counts.adjusted_interval(1.0),
        p: p_value,
        p_holm: p_value,
        verdict: Word::NotDistinguishable,
    })
}

/// Agreement of the graders among themselves, with intervals by questions.
fn between(
    grades: &Grades,
    graders: &BTreeSet<&str>,
    resampling: &Resampling,
) -> (Option<Agreed>, Option<Agreed>) {
    type Row = Vec<Option<f64>>;
    let places: BTreeMap<&str, usize> = graders.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let mut rows: BTreeMap<(&str, &str, &str), Row> = BTreeMap::new();
    for grade in &grades.grades {
        let answer = (grade.group.as_str(), grade.item.as_str(), grade.system.as_str());
        let row = rows.entry(answer).or_insert_with(|| vec![None; graders.len()]);
        row[places[grade.grader.as_str()]] = Some(grade.grade);
    }
    let mut clusters: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for ((group, ..), row) in rows {
        if row.iter().flatten().count() > 1 {
            clusters.entry(group).or_default().push(row);
        }
    }
    let clusters: Vec<Vec<Row>> = clusters.into_values().collect();
    let n = clusters.iter().map(Vec::len).sum();
    let mut values: Vec<f64> = grades.grades.iter().map(|grade| grade.grade).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let flat =
        |drawn: &[&Vec<Row>]| -> Vec<Row> { drawn.iter().flat_map(|rows| rows.iter().cloned()).collect() };
    let fleiss = |drawn: &[&Vec<Row>]| {
        let count = |row: &Row| -> Vec<u64> {
            values
                .iter()
                .map(|value| row.iter().flatten().filter(|grade| *grade == value).count() as u64)
                .collect()
        };
        fleiss_kappa(&flat(drawn).iter().map(count).collect::<Vec<_>>())
    };
    let alpha = |drawn: &[&Vec<Row>]| krippendorff_alpha(&flat(drawn), Level::Ordinal);
    let resampling = Resampling { resamples: resampling.resamples.min(DRAWS), ..*resampling };
    let whole: Vec<&Vec<Row>> = clusters.iter().collect();
    let fleiss = fleiss(&whole).map(|value| Agreed {
        value,
        interval: bca_interval_of(&clusters, fleiss, &resampling),
        n,
    });
    let alpha = alpha(&whole).map(|value| Agreed {
        value,
        interval: bca_interval_of(&clusters, alpha, &resampling),
        n,
    });
    (fleiss, alpha)
}
