//! Does a model prefer a place among the options?

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::comparison::Choice;

/// How often each place was taken, against how often the right option stood there.
///
/// Without shuffling, a place is also a letter and a habit of those who wrote the questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionBias {
    /// Questions whose answer names a place.
    pub n: usize,
    /// The places, first to last.
    pub places: Vec<Position>,
    /// Test that places are taken as often as they are right, over the same questions: marginal homogeneity (Stuart
    /// 1955, Biometrika 42:412-416; Maxwell 1970, Br. J. Psychiatry 116:651-655), chi-squared.
    pub chi_squared: f64,
    /// Its degrees of freedom: the places that occur, less one.
    pub degrees: usize,
    /// Its p; 1 where every answer is right.
    pub p: f64,
}

/// One place among the options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Questions that have an option there.
    pub shown: usize,
    /// Questions whose right option stands there.
    pub gold: usize,
    /// Answers that take it.
    pub picked: usize,
}

impl PositionBias {
    /// Of the choices whose options were shown in places.
    pub(super) fn of(choices: &[&Choice]) -> Option<Self> {
        let place = |choice: &Choice, label: &String| choice.shown.iter().position(|shown| shown == label);
        let pairs = choices.iter().filter_map(|choice| {
            let picked = place(choice, choice.picked.as_ref()?)?;
            Some((choice.shown.len(), place(choice, &choice.gold)?, picked))
        });
        let pairs: Vec<(usize, usize, usize)> = pairs.collect();
        let count = pairs.iter().map(|pair| pair.0).max()?;
        let mut places = vec![Position::default(); count];
        let mut table = vec![vec![0.0; count]; count];
        for &(shown, gold, picked) in &pairs {
            places[..shown].iter_mut().for_each(|place| place.shown += 1);
            places[gold].gold += 1;
            places[picked].picked += 1;
            table[gold][picked] += 1.0;
        }
        let (chi_squared, degrees) = stuart_maxwell(&table);
        let p = match ChiSquared::new(degrees as f64) {
            Ok(distribution) if chi_squared > 0.0 => distribution.sf(chi_squared),
            _ => 1.0,
        };
        Some(PositionBias { n: pairs.len(), places, chi_squared, degrees, p })
    }
}

/// The statistic `dᵀ S⁻¹ d` of a square table and its degrees of freedom, with the differences `d` of the margins and
/// `S_ii = n_i. + n_.i − 2 n_ii`, `S_ij = −(n_ij + n_ji)`; the last category is left out, and so is one that has no
/// answer off the diagonal, whose margins cannot differ.
fn stuart_maxwell(table: &[Vec<f64>]) -> (f64, usize) {
    let row = |i: usize| table[i].iter().sum::<f64>();
    let column = |i: usize| table.iter().map(|row| row[i]).sum::<f64>();
    let variance = |i: usize| row(i) + column(i) - 2.0 * table[i][i];
    let kept: Vec<usize> = (0..table.len()).filter(|i| variance(*i) > 0.0).collect();
    let Some((_, kept)) = kept.split_last() else { return (0.0, 0) };
    let d: Vec<f64> = kept.iter().map(|&i| row(i) - column(i)).collect();
    let covariance = |i: usize, j: usize| match i == j {
        true => variance(i),
        false => -(table[i][j] + table[j][i]),
    };
    let matrix = kept.iter().map(|&i| kept.iter().map(|&j| covariance(i, j)).collect()).collect();
    match solve(matrix, d.clone()) {
        Some(solved) => (d.iter().zip(solved).map(|(d, x)| d * x).sum::<f64>().max(0.0), kept.len()),
        None => (0.0, 0),
    }
}

/// `x` of `matrix x = right`, by elimination with pivots; `None` where the matrix is singular (places that exchange
/// answers only among themselves).
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for step in 0..n {
        let pivot = (step..n).max_by(|&a, &b| matrix[a][step].abs().total_cmp(&matrix[b][step].abs()))?;
        if matrix[pivot][step].abs() < 1e-9 {
            return None;
        }
        matrix.swap(step, pivot);
        right.swap(step, pivot);
        let (above, below) = matrix.split_at_mut(step + 1);
        let pivot = &above[step];
        for (at, row) in below.iter_mut().enumerate() {
            let factor = row[step] / pivot[step];
            row.iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= factor * pivot);
            right[step + 1 + at] -= factor * right[step];
        }
    }
    for step in (0..n).rev() {
        let known: f64 = (step + 1..n).map(|column| matrix[step][column] * right[column]).sum();
        right[step] = (right[step] - known) / matrix[step][step];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_that_of_stuart_and_maxwell() {
        // Two places: McNemar's without correction, (15 − 5)² / 20 = 5.
        let (statistic, degrees) = stuart_maxwell(&[vec![40.0, 15.0], vec![5.0, 40.0]]);
        assert!((statistic - 5.0).abs() < 1e-12 && degrees == 1);
        // By hand: d = (12, 3), S = (18 −13; −13 33), so (33·12² + 2·13·12·3 + 18·3²) / 425.
        let table = [vec![20.0, 10.0, 5.0], vec![3.0, 30.0, 15.0], vec![0.0, 5.0, 40.0]];
        let (statistic, degrees) = stuart_maxwell(&table);
        assert!((statistic - 5850.0 / 425.0).abs() < 1e-9 && degrees == 2, "{statistic}");
        assert_eq!(stuart_maxwell(&[vec![3.0, 0.0], vec![0.0, 4.0]]), (0.0, 0));
    }
}
