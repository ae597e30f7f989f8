//! The split into train, validation and test: whole groups only, the same for the same rows in any order.
//!
//! Groups are put in the order of `blake3(seed, smallest content hash of the group)` and fill test, then validation,
//! up to their number of rows; a group that is too large for what is left is passed over, and what fits nowhere
//! trains. With `stratify` this is done topic by topic (or source by source), and what a stratum could not fill
//! carries over to the next. A group with a row that brings its side goes there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::given;
use crate::groups::{By, Components, Fingerprint};
use crate::rows::Row;

/// A side of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Rows to train on.
    Train,
    /// Rows to choose by.
    Val,
    /// Rows to report on.
    Test,
}

impl Side {
    /// All sides.
    pub const ALL: [Side; 3] = [Side::Train, Side::Val, Side::Test];

    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Train => "train",
            Side::Val => "val",
            Side::Test => "test",
        }
    }
}

/// What is to be spread evenly over the sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stratify {
    /// The topic.
    Topic,
    /// The source.
    Source,
}

/// How to split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitOptions {
    /// What makes rows belong together.
    pub by: Vec<By>,
    /// Share of rows to test on.
    pub test: f64,
    /// Share of rows to validate on.
    pub val: f64,
    /// Seed of the order of groups.
    pub seed: u64,
    /// What to spread evenly.
    pub stratify: Option<Stratify>,
    /// Whether a row goes to the side that its column `split` names.
    pub given: bool,
}

impl Default for SplitOptions {
    fn default() -> Self {
        let by = vec![By::Document, By::Question];
        SplitOptions { by, test: 0.1, val: 0.1, seed: 42, stratify: None, given: true }
    }
}

impl SplitOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// A share is not in [0, 1), or nothing is left to train on.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, share) in [("test", self.test), ("val", self.val)] {
            if !(0.0..1.0).contains(&share) {
                return Err(Error::Option {
                    field,
                    reason: format!("{share} is not a share from 0 to below 1"),
                });
            }
        }
        if self.test + self.val >= 1.0 {
            let reason = format!("{} and {} leave nothing to train on", self.test, self.val);
            return Err(Error::Option {
                field: "test",
                reason: reason.replace(" and ", " for test and val "),
            });
        }
        Ok(())
    }
}

/// Where each row goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The side of each row.
    pub sides: Vec<Side>,
    /// The group of each row, an index into `groups`.
    pub group_of: Vec<usize>,
    /// The groups.
    pub groups: Vec<Group>,
}

/// Rows that stay together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The smallest content hash of its rows, in hex: its name in any order of rows.
    pub name: String,
    /// Its rows, ascending.
    pub rows: Vec<usize>,
    /// Its side.
    pub side: Side,
}

/// Assigns every group to a side.
///
/// # Errors
/// Options without sense, or fewer groups than sides.
pub fn split(
    rows: &[&Row],
    prints: &[&Fingerprint],
    components: &mut Components,
    options: &SplitOptions,
) -> Result<Split, Error> {
    options.validate()?;
    let mut strata: BTreeMap<Option<&str>, Vec<(blake3::Hash, usize)>> = BTreeMap::new();
    let (mut groups, mut any_given) = (Vec::new(), false);
    for members in components.members() {
        let Some(&first) = members.iter().min_by_key(|&&row| prints[row].content.as_bytes()) else {
            continue;
        };
        let content = prints[first].content;
        let stratum = match options.stratify {
            None => None,
            Some(Stratify::Topic) => rows[first].topic.as_deref(),
            Some(Stratify::Source) => rows[first].source.as_deref(),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&options.seed.to_le_bytes()).update(content.as_bytes());
        let name = content.to_hex()[..16].to_string();
        let given = members.iter().filter_map(|&row| given::side(rows[row], options)).max();
        groups.push(Group { name, rows: members, side: given.unwrap_or(Side::Train) });
        if given.is_some() {
            any_given = true;
        } else {
            strata.entry(stratum).or_default().push((hasher.finalize(), groups.len() - 1));
        }
    }

    let mut wanted = [(Side::Test, options.test, 0.0), (Side::Val, options.val, 0.0)];
    for order in strata.values_mut() {
        order.sort_unstable_by_key(|(key, _)| *key.as_bytes());
        let count: usize = order.iter().map(|(_, group)| groups[*group].rows.len()).sum();
        for (side, share, carried) in &mut wanted {
            *carried += *share * count as f64;
            for (_, group) in order.iter() {
                let group = &mut groups[*group];
                // Half a row over the target is as near to it as half a row under.
                if group.side == Side::Train && group.rows.len() as f64 <= *carried + 0.5 {
                    group.side = *side;
                    *carried -= group.rows.len() as f64;
                }
            }
        }
    }
    // Sides that were given may be empty, but for the one to train on.
    match any_given {
        false => fill_empty_sides(&mut groups, &strata, options)?,
        true if groups.iter().any(|group| group.side == Side::Train) => {}
        true => {
            let reason =
                "no row is left on the side `train`; the sides are those that the rows bring with them";
            return Err(Error::Option { field: "split", reason: reason.into() });
        }
    }

    let (mut sides, mut group_of) = (vec![Side::Train; rows.len()], vec![0; rows.len()]);
    for (at, group) in groups.iter().enumerate() {
        for &row in &group.rows {
            sides[row] = group.side;
            group_of[row] = at;
        }
    }
    Ok(Split { sides, group_of, groups })
}

/// A side that was asked for and got nothing, in a small set, takes the smallest group of train.
fn fill_empty_sides(
    groups: &mut [Group],
    strata: &BTreeMap<Option<&str>, Vec<(blake3::Hash, usize)>>,
    options: &SplitOptions,
) -> Result<(), Error> {
    let asked = [(Side::Test, options.test), (Side::Val, options.val)];
    let asked: Vec<_> = asked.into_iter().filter(|(_, share)| *share > 0.0).map(|(side, _)| side).collect();
    for &side in &asked {
        if groups.iter().any(|group| group.side == side) {
            continue;
        }
        let training = strata.values().flatten().filter(|(_, group)| groups[*group].side == Side::Train);
        let training: Vec<_> =
            training.map(|(key, group)| (groups[*group].rows.len(), *key.as_bytes(), *group)).collect();
        match training.iter().min() {
            Some((_, _, group)) if training.len() > 1 => groups[*group].side = side,
            _ => {
                let (groups, sides) = (groups.len(), asked.len() + 1);
                return Err(Error::EmptySide { side: side.as_str(), groups, sides });
            }
        }
    }
    match groups.iter().any(|group| group.side == Side::Train) {
        true => Ok(()),
        false => Err(Error::EmptySide { side: "train", groups: groups.len(), sides: asked.len() + 1 }),
    }
}
