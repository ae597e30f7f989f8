//! Does an answer say the same as its reference where it matters: numbers, units, negations, urgency?
//!
//! "Take 40 g" against "take 4 g" scores 92 BLEU, "fever" against "no fever" loses one word. These checks are lists of
//! findings, never an average: each names what stands in the reference and what stands in the answer. They read
//! English by rules that can be wrong, so a finding is a reason to look, and the absence of findings is no proof.

mod negation;
mod quantity;
mod units;
mod urgency;

pub use negation::{Polarity, PolarityConflict, polarity_conflicts};
pub use quantity::{Quantity, quantities};
pub use units::Dimension;
pub use urgency::{Advice, Urgency, UrgencyOutcome, urgency, urgency_outcome};

use serde::{Deserialize, Serialize};

/// A quantity of the reference that the answer gives differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What the reference says.
    pub reference: Quantity,
    /// What the answer says instead.
    pub answer: Quantity,
    /// What differs.
    pub kind: ChangeKind,
}

/// What differs between two quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The amount: 4 g and 40 g.
    Amount,
    /// The unit of the same number: 4 g and 4 mg, 5 mg and 5 ml.
    Unit,
}

/// How the quantities of an answer agree with those of its reference. Each different quantity counts once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuantityAgreement {
    /// Quantities of the reference that the answer gives too, in whatever unit.
    pub agreed: Vec<Quantity>,
    /// Quantities that the answer gives differently.
    pub changed: Vec<Change>,
    /// Quantities of the reference without a counterpart.
    pub missing: Vec<Quantity>,
    /// Quantities of the answer without a counterpart.
    pub added: Vec<Quantity>,
}

/// The outcome of an item, for counting: no share of agreeing numbers makes up for one wrong dose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantityOutcome {
    /// Every quantity of the reference is in the answer.
    Agrees,
    /// One is missing, none is changed.
    Incomplete,
    /// At least one is changed.
    Conflicts,
    /// The reference has no quantity.
    NothingToCompare,
}

impl QuantityAgreement {
    /// Compares the quantities of two texts.
    ///
    /// A quantity without counterpart is "changed" if the other text has one of the same number in another unit, or
    /// one of the same dimension; plain numbers must also share a neighbouring word.
    pub fn of(reference: &str, answer: &str) -> Self {
        let (mut expected, mut given) = (distinct(quantities(reference)), distinct(quantities(answer)));
        let agrees = |quantity: &mut Quantity| given.iter().any(|other| quantity.equals(other));
        let agreed = expected.extract_if(.., agrees).collect();
        let mut agreement = Self { agreed, ..Self::default() };
        given.retain(|quantity| !agreement.agreed.iter().any(|other| other.equals(quantity)));
        for kind in [ChangeKind::Unit, ChangeKind::Amount] {
            for reference in std::mem::take(&mut expected) {
                let matches = |answer: &Quantity| match kind {
                    ChangeKind::Unit => reference.same_number_other_unit(answer),
                    ChangeKind::Amount => reference.comparable(answer),
                };
                match given.iter().position(matches) {
                    Some(at) => {
                        let answer = given.remove(at);
                        agreement.changed.push(Change { reference, answer, kind });
                    }
                    None => expected.push(reference),
                }
            }
        }
        agreement.missing = expected;
        agreement.added = given;
        agreement
    }

    /// The outcome for counting.
    pub fn outcome(&self) -> QuantityOutcome {
        if !self.changed.is_empty() {
            QuantityOutcome::Conflicts
        } else if !self.missing.is_empty() {
            QuantityOutcome::Incomplete
        } else if self.agreed.is_empty() {
            QuantityOutcome::NothingToCompare
        } else {
            QuantityOutcome::Agrees
        }
    }
}

fn distinct(quantities: Vec<Quantity>) -> Vec<Quantity> {
    let mut distinct: Vec<Quantity> = Vec::with_capacity(quantities.len());
    for quantity in quantities {
        if !distinct.iter().any(|other| other.equals(&quantity)) {
            distinct.push(quantity);
        }
    }
    distinct
}
