//! Sides that rows bring with them, in a column `split`.
//!
//! They are kept to: nothing moves a row to another side. Where they contradict what the split keeps apart, the side that
//! is held out wins, and the row of the other side is left out: a test stays what it was, and nothing of it is trained on.
//! Rows without a side go with the rows that they belong to, and are drawn where there are none.

use std::collections::{BTreeSet, HashMap};

use crate::certificate::Part;
use crate::dropped::{Dropped, Fault, Rule};
use crate::groups::{By, components};
use crate::rows::Row;
use crate::split::{Side, SplitOptions};

impl Side {
    /// The side that a value of the column `split` names: `train`, `val`, `validation`, `dev`, `test` and the like.
    pub fn named(value: &str) -> Option<Side> {
        match value.trim().to_lowercase().as_str() {
            "train" | "training" => Some(Side::Train),
            "val" | "valid" | "validation" | "dev" | "development" | "eval" => Some(Side::Val),
            "test" | "testing" => Some(Side::Test),
            _ => None,
        }
    }
}

/// The side that a row brings, where that is to be kept to.
pub(crate) fn side(row: &Row, options: &SplitOptions) -> Option<Side> {
    row.split.as_deref().filter(|_| options.given).and_then(Side::named)
}

/// Takes out the rows whose side cannot be kept to: those that name none that is known, and those that have a document or
/// a question in common with a side that is held out from theirs.
pub(crate) fn without_conflicts<'a>(part: Part<'a>, options: &SplitOptions) -> (Part<'a>, Vec<Dropped>) {
    if !options.given || part.rows.iter().all(|row| row.split.is_none()) {
        return (part, Vec::new());
    }
    let mut search = Search::new(&part, options);
    search.refuse_unknown();
    search.compare(Side::Val, Side::Test);
    search.compare(Side::Train, Side::Test);
    search.compare(Side::Train, Side::Val);
    search.refuse_between();
    let faults = search.faults;
    let (mut kept, mut dropped) = (Part::default(), Vec::new());
    for ((row, print), fault) in part.rows.into_iter().zip(part.prints).zip(faults) {
        match fault {
            Some(fault) => dropped.push(Dropped::new(Some(row.id.clone()), row.origin.clone(), fault)),
            None => {
                kept.rows.push(row);
                kept.prints.push(print);
            }
        }
    }
    (kept, dropped)
}

struct Search<'p, 'a> {
    part: &'p Part<'a>,
    options: &'p SplitOptions,
    sides: Vec<Option<Side>>,
    /// Why a row is left out.
    faults: Vec<Option<Fault>>,
}

impl<'p, 'a> Search<'p, 'a> {
    fn new(part: &'p Part<'a>, options: &'p SplitOptions) -> Self {
        let sides = part.rows.iter().map(|row| side(row, options)).collect();
        Search { part, options, sides, faults: vec![None; part.rows.len()] }
    }

    fn refuse_unknown(&mut self) {
        for (at, row) in self.part.rows.iter().enumerate() {
            if let (Some(value), None) = (&row.split, self.sides[at]) {
                let detail = format!("`split` is `{value}`, which is not train, validation or test");
                self.faults[at] = Some(Fault::new(Rule::UnknownSplit, detail));
            }
        }
    }

    fn places(&self, side: Option<Side>) -> Vec<usize> {
        let stays = |at: &usize| self.sides[*at] == side && self.faults[*at].is_none();
        (0..self.sides.len()).filter(stays).collect()
    }

    /// Leaves out the rows of `side` that have something in common with those of `held_out`.
    fn compare(&mut self, side: Side, held_out: Side) {
        let (own, theirs) = (self.places(Some(side)), self.places(Some(held_out)));
        let rows = &self.part.rows;
        let conflict = |what: String| {
            let detail = format!("given as {}, but {what} {}", side.as_str(), held_out.as_str());
            Some(Fault::new(Rule::SplitConflict, detail))
        };
        if self.options.by.contains(&By::Document) {
            let documents: BTreeSet<&str> =
                theirs.iter().filter_map(|at| rows[*at].document.as_deref()).collect();
            for at in &own {
                if let Some(document) = rows[*at].document.as_deref().filter(|name| documents.contains(name))
                {
                    self.faults[*at] = conflict(format!("its document `{document}` has rows in"));
                }
            }
        }
        if self.options.by.contains(&By::Question) {
            let prints = &self.part.prints;
            let question = |at: &usize| prints[*at].question.as_str();
            let questions: HashMap<&str, usize> = theirs.iter().map(|at| (question(at), *at)).collect();
            for at in &own {
                if let Some(other) = questions.get(question(at)) {
                    self.faults[*at] = conflict(format!("its question is that of `{}` in", rows[*other].id));
                }
            }
            let place = |places: &[usize]| Part::new(rows, prints, places.iter().copied());
            let by_answer = self.options.by.contains(&By::Answer);
            for (at, other) in place(&own).near_duplicates(&place(&theirs), by_answer) {
                let (at, other) = (own[at], theirs[other]);
                if self.faults[at].is_none() {
                    self.faults[at] = conflict(format!("it is nearly `{}` in", rows[other].id));
                }
            }
        }
    }

    /// Leaves out the rows without a side that belong to rows of two.
    fn refuse_between(&mut self) {
        if self.places(None).is_empty() {
            return;
        }
        let stay: Vec<usize> = (0..self.sides.len()).filter(|at| self.faults[*at].is_none()).collect();
        let Part { rows, prints } = Part::new(&self.part.rows, &self.part.prints, stay.iter().copied());
        for group in components(&rows, &prints, &self.options.by).members() {
            let sides: BTreeSet<Side> = group.iter().filter_map(|at| self.sides[stay[*at]]).collect();
            let without = group.iter().map(|at| stay[*at]).filter(|at| self.sides[*at].is_none());
            if sides.len() > 1 {
                for at in without {
                    let names: Vec<&str> = sides.iter().map(|side| side.as_str()).collect();
                    let detail = format!("without a side, and belongs to rows of {}", names.join(" and "));
                    self.faults[at] = Some(Fault::new(Rule::SplitConflict, detail));
                }
            }
        }
    }
}
