//! Values to four-bit codes, on all processors.

use super::{Bnb4Options, Bnb4Type};

/// Elements that a thread takes at a time.
const PIECE: usize = 1 << 18;
/// Elements that are looked up together: as many as fit into the registers of any processor.
const GROUP: usize = 32;

/// Codes, two a byte, and the scale of each block.
pub(super) struct Encoded {
    pub(super) packed: Vec<u8>,
    pub(super) scales: Vec<f32>,
}

/// Quantizes `elements` values; `decode(first, out)` writes those from `first` on. The block is not empty.
pub(super) fn encode(
    elements: usize,
    options: Bnb4Options,
    decode: impl Fn(usize, &mut [f32]) + Sync,
) -> Encoded {
    let Bnb4Options { kind, block, .. } = options;
    let levels = Levels::new(kind);
    let mut packed = vec![0; elements.div_ceil(2)];
    let mut scales = vec![0.0; elements.div_ceil(block)];
    // Whole blocks and whole bytes.
    let unit = if block.is_multiple_of(2) { block } else { 2 * block };
    let piece = unit * (PIECE / unit).max(1);
    let pieces = packed.chunks_mut(piece / 2).zip(scales.chunks_mut(piece / block)).enumerate();
    let run = |values: &mut Vec<f32>, number: usize, packed: &mut [u8], scales: &mut [f32]| {
        let first = number * piece;
        values.resize(piece.min(elements - first), 0.0);
        decode(first, values);
        levels.encode(values, block, packed, scales);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 1 || elements <= piece {
        let mut values = Vec::new();
        pieces.for_each(|(number, (packed, scales))| run(&mut values, number, packed, scales));
    } else {
        let pieces = std::sync::Mutex::new(pieces);
        std::thread::scope(|scope| {
            let work = || {
                let mut values = Vec::new();
                loop {
                    // Taken from the list before the work begins, so that the lock is not held during it.
                    let next = pieces.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                    let Some((number, (packed, scales))) = next else { break };
                    run(&mut values, number, packed, scales);
                }
            };
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
    }
    if elements % 2 == 1
        && let Some(last) = packed.last_mut()
    {
        // The half byte that belongs to no element holds a zero, as torch's padding does.
        *last |= levels.nearest(0.0);
    }
    Encoded { packed, scales }
}

/// The levels in ascending order, with the middles between them.
struct Levels {
    middles: [f32; 15],
    codes: [u8; 16],
}

impl Levels {
    fn new(kind: Bnb4Type) -> Self {
        let levels = kind.levels();
        let mut codes: [u8; 16] = std::array::from_fn(|code| code as u8);
        // Equal levels (FP4's two zeros) stay in the order of their codes.
        codes.sort_by(|a, b| levels[usize::from(*a)].total_cmp(&levels[usize::from(*b)]));
        let level = |place: usize| levels[usize::from(codes[place])];
        Levels { middles: std::array::from_fn(|place| (level(place) + level(place + 1)) / 2.0), codes }
    }

    /// Quantizes whole blocks, of which the last of a matrix may be shorter.
    fn encode(&self, values: &mut [f32], block: usize, packed: &mut [u8], scales: &mut [f32]) {
        for (values, scale) in values.chunks_mut(block).zip(scales) {
            let largest = scale_of(values);
            // bitsandbytes keeps a floored scale for a last, shorter block only, and divides by it.
            let floored = floor_at_smallest(largest);
            if values.len() < block {
                *scale = floored;
                values.iter_mut().for_each(|value| *value = (*value / floored).clamp(-1.0, 1.0));
            } else {
                *scale = largest;
                let factor = 1.0 / floored;
                values.iter_mut().for_each(|value| *value = (*value * factor).clamp(-1.0, 1.0));
            }
        }
        let mut bytes = packed.iter_mut();
        let (groups, rest) = values.as_chunks::<GROUP>();
        for group in groups {
            let places = self.places(group);
            for (pair, byte) in places.as_chunks::<2>().0.iter().zip(&mut bytes) {
                *byte = self.codes[pair[0] as usize & 15] << 4 | self.codes[pair[1] as usize & 15];
            }
        }
        for (pair, byte) in rest.chunks(2).zip(bytes) {
            *byte = self.nearest(pair[0]) << 4 | pair.get(1).map_or(0, |value| self.nearest(*value));
        }
    }

    /// How many middles lie below each value, all 15 for a NaN (`torch.bucketize`).
    fn places(&self, values: &[f32; GROUP]) -> [u32; GROUP] {
        let mut places = [0; GROUP];
        for middle in self.middles {
            for (place, value) in places.iter_mut().zip(values) {
                // Not `middle < value`, which a NaN is not.
                #[allow(clippy::neg_cmp_op_on_partial_ord)]
                let below = !(*value <= middle);
                *place += u32::from(below);
            }
        }
        places
    }

    /// The code of the nearest level, the lower one in the middle of two.
    fn nearest(&self, value: f32) -> u8 {
        let place = if value.is_nan() { 15 } else { self.middles.partition_point(|middle| *middle < value) };
        self.codes[place]
    }
}

/// The largest magnitude; a NaN stays one. Without their sign, floats are ordered as their bits, NaN last.
fn scale_of(values: &[f32]) -> f32 {
    let bits = values.iter().map(|value| value.to_bits() & 0x7fff_ffff).fold(0, u32::max);
    let largest = f32::from_bits(bits);
    if largest.is_nan() { f32::NAN } else { largest }
}

/// At least 1e-38, so that a block of zeros can be divided; a NaN stays one.
fn floor_at_smallest(scale: f32) -> f32 {
    if scale < 1e-38 { 1e-38 } else { scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_finds_the_codes_that_single_values_find() {
        for kind in [Bnb4Type::Nf4, Bnb4Type::Fp4] {
            let levels = Levels::new(kind);
            let edges = levels.middles.iter().flat_map(|m| [m.next_down(), *m, m.next_up()]);
            let mut values: Vec<f32> = edges.chain([f32::NAN, -1.0, -0.0, 0.0, 1.0]).collect();
            values.resize(values.len().next_multiple_of(GROUP), 0.5);
            for group in values.as_chunks::<GROUP>().0 {
                let found = levels.places(group).map(|place| levels.codes[place as usize]);
                assert_eq!(found, group.map(|value| levels.nearest(value)), "{group:?}");
            }
        }
    }

    #[test]
    fn pieces_join_to_what_one_thread_writes() {
        let count = 3 * PIECE + 4321;
        let value = |i: usize| ((i * 2_654_435_761) % 10_007) as f32 / 10_007.0 - 0.4;
        for block in [64, 63, 4096] {
            let options = Bnb4Options { kind: Bnb4Type::Nf4, block, double: false };
            let all = encode(count, options, |first, out| {
                out.iter_mut().enumerate().for_each(|(i, out)| *out = value(first + i));
            });
            let levels = Levels::new(options.kind);
            let mut values: Vec<f32> = (0..count).map(value).collect();
            let mut packed = vec![0; count.div_ceil(2)];
            let mut scales = vec![0.0; count.div_ceil(block)];
            levels.encode(&mut values, block, &mut packed, &mut scales);
            *packed.last_mut().unwrap() |= levels.nearest(0.0);
            assert_eq!((all.packed, all.scales), (packed, scales), "blocks of {block}");
        }
    }
}
