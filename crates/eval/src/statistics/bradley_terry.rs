//! Strengths of competitors from who beat whom.

/// Steps after which a fit that has not settled is taken as it is.
const STEPS: usize = 10_000;

/// The strengths of Bradley and Terry's model, `P(i beats j) = 1 / (1 + exp(s_j - s_i))` (1952, Biometrika
/// 39:324-345), as natural logarithms with mean 0, by the most likely fit (the MM algorithm of Hunter 2004, Ann. Stat.
/// 32:384-406). `wins[i][j]` is how often `i` beat `j`; half a win each is a tie.
///
/// `None` where there is no finite fit: where some of the competitors never lost to the others (Ford 1957), or there
/// are fewer than two.
///
/// # Panics
/// When `wins` is not square.
pub fn bradley_terry(wins: &[Vec<f64>]) -> Option<Vec<f64>> {
    let n = wins.len();
    if n < 2 || !(reaches_all(wins, |i, j| wins[i][j] > 0.0) && reaches_all(wins, |i, j| wins[j][i] > 0.0)) {
        return None;
    }
    let won: Vec<f64> = wins.iter().map(|row| row.iter().sum()).collect();
    let mut strengths = vec![1.0; n];
    for _ in 0..STEPS {
        let mut next: Vec<f64> = (0..n)
            .map(|i| {
                let met = (0..n).filter(|j| *j != i);
                let expected: f64 =
                    met.map(|j| (wins[i][j] + wins[j][i]) / (strengths[i] + strengths[j])).sum();
                won[i] / expected
            })
            .collect();
        let scale = (next.iter().map(|s| s.ln()).sum::<f64>() / n as f64).exp();
        next.iter_mut().for_each(|strength| *strength /= scale);
        let moved = next.iter().zip(&strengths).map(|(a, b)| (a / b).ln().abs()).fold(0.0, f64::max);
        strengths = next;
        if moved < 1e-10 {
            break;
        }
    }
    Some(strengths.iter().map(|strength| strength.ln()).collect())
}

/// Whether every competitor can be reached from the first.
fn reaches_all(wins: &[Vec<f64>], edge: impl Fn(usize, usize) -> bool) -> bool {
    let mut seen = vec![false; wins.len()];
    let mut open = vec![0];
    seen[0] = true;
    while let Some(i) = open.pop() {
        for (j, seen) in seen.iter_mut().enumerate() {
            if i != j && !*seen && edge(i, j) {
                *seen = true;
                open.push(j);
            }
        }
    }
    seen.into_iter().all(|seen| seen)
}
