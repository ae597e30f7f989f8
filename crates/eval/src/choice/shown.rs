//! What is drawn for a question: the order of its options, and its examples. A draw depends on its seed and the
//! question's id alone, so it is the same for every model and every part of a task.

/// The order in which `count` options are shown.
pub(super) fn order(id: &str, count: usize, seed: Option<u64>) -> Vec<usize> {
    seed.map_or((0..count).collect(), |seed| drawn(id, count, seed))
}

/// Which `count` of `of` examples stand before a question: the first ones, or drawn by `seed`.
pub(super) fn examples(id: &str, (count, of): (usize, usize), seed: Option<u64>) -> Vec<usize> {
    let mut places = order(id, of, seed);
    places.truncate(count);
    places
}

/// A permutation.
fn drawn(id: &str, count: usize, seed: u64) -> Vec<usize> {
    // FNV-1a of the id, so that questions have streams of their own.
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    dataset::shuffled(count, seed, id.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_the_options_is_drawn_about_as_often() {
        let mut firsts = [0; 4];
        for item in 0..2000 {
            let order = order(&format!("medmcqa/{item}"), 4, Some(1));
            firsts[order[0]] += 1;
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
        }
        assert!(firsts.iter().all(|count| (430..570).contains(count)), "{firsts:?}");
        assert_eq!(order("a", 4, None), [0, 1, 2, 3]);
        assert_eq!(order("a", 9, Some(3)), order("a", 9, Some(3)));
        assert_ne!(order("a", 9, Some(3)), order("b", 9, Some(3)));
    }
}
