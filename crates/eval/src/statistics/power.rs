//! What a test set of a given size can show at all.

use super::Z_95;

/// Quantile of the standard normal distribution at 0.8: power of 80 %.
const Z_POWER: f64 = 0.841_621_233_572_914_3;

/// The smallest difference in accuracy that a paired test at 5 % finds with a power of 80 %, when the two models
/// disagree on a share `discordant` of `n` questions: `(z₀.₉₇₅ + z₀.₈) sqrt(discordant / n)` (Miettinen 1968,
/// Biometrics 24:339-352, first order), at most 1.
pub fn minimal_detectable_difference(n: u64, discordant: f64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    detectable_from_standard_error((discordant / n as f64).sqrt()).min(1.0)
}

/// The smallest difference that a test at 5 % finds with a power of 80 %, from the standard error of the difference.
pub fn detectable_from_standard_error(standard_error: f64) -> f64 {
    (Z_95 + Z_POWER) * standard_error
}
