//! Products against a naive sum in f64, and the promise that bits do not depend on company.

use half::{bf16, f16};

use super::*;

/// Reproducible numbers in -1..1 and small integers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    fn value(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 31) as f32 - 1.0
    }
}

/// An operand's own memory.
#[derive(Clone)]
struct Stored {
    f32s: Vec<f32>,
    f16s: Vec<f16>,
    bf16s: Vec<bf16>,
    kind: usize,
    row_stride: usize,
    depth_stride: usize,
}

impl Stored {
    /// `[rows, depth]` of a random type and order, with a random gap between rows (or columns).
    fn new(random: &mut Random, rows: usize, depth: usize, kind: usize, rows_contiguous: bool) -> Self {
        let gap = [0, 0, 1, 7][random.below(4)];
        let (row_stride, depth_stride) = if rows_contiguous { (1, rows + gap) } else { (depth + gap, 1) };
        let len = (rows - 1) * row_stride + depth.saturating_sub(1) * depth_stride + 1;
        let f16s: Vec<_> = (0..len).map(|_| f16::from_f32(random.value())).collect();
        let bf16s: Vec<_> = f16s.iter().map(|x| bf16::from_f32(x.to_f32())).collect();
        let f32s = (0..len).map(|_| random.value()).collect();
        Stored { f32s, f16s, bf16s, kind, row_stride, depth_stride }
    }

    fn operand(&self) -> Operand<'_> {
        let elements = match self.kind {
            0 => Elements::F32(&self.f32s),
            1 => Elements::F16(&self.f16s),
            _ => Elements::Bf16(&self.bf16s),
        };
        Operand { elements, row_stride: self.row_stride, depth_stride: self.depth_stride }
    }

    fn at(&self, row: usize, p: usize) -> f64 {
        let index = row * self.row_stride + p * self.depth_stride;
        match self.kind {
            0 => f64::from(self.f32s[index]),
            1 => self.f16s[index].to_f64(),
            _ => self.bf16s[index].to_f64(),
        }
    }
}

struct Case {
    rows: usize,
    cols: usize,
    depth: usize,
    tail: usize,
    left: Stored,
    right: Stored,
    low: Vec<f32>,
    tail_right: Stored,
    alpha: f32,
    init: usize,
    before: Vec<f32>,
    from: Vec<f32>,
    stride: usize,
}

impl Case {
    fn new(random: &mut Random, rows: usize, cols: usize, depth: usize, tail: usize) -> Self {
        let (left_kind, right_kind) = ([0, 0, 1, 2][random.below(4)], random.below(3));
        let left_rows = random.below(2) == 0;
        let right_rows = random.below(2) == 0;
        let stride = cols + [0, 3, 16][random.below(3)];
        Case {
            rows,
            cols,
            depth,
            tail,
            left: Stored::new(random, rows, depth, left_kind, left_rows),
            right: Stored::new(random, cols, depth, right_kind, right_rows),
            low: (0..rows * tail).map(|_| random.value()).collect(),
            tail_right: Stored::new(random, cols, tail.max(1), random.0 as usize % 3, !right_rows),
            alpha: [1.0, -0.75][random.below(2)],
            init: random.below(3),
            before: (0..rows * stride).map(|_| random.value()).collect(),
            from: (0..rows * (cols + 5)).map(|_| random.value()).collect(),
            stride,
        }
    }

    /// The output memory after the product of rows `first..first + rows`.
    fn run(&self, threads: &Threads, how: Method, first: usize, rows: usize) -> Vec<f32> {
        let mut c = self.before[first * self.stride..(first + rows) * self.stride].to_vec();
        // The tail's left side is what a low-rank side without columns holds.
        let mut low = self.low[first * self.tail..].to_vec();
        let tail = Tail { column: 0, depth: self.tail, right: self.tail_right.operand() };
        let part = Part {
            column: 0,
            cols: self.cols,
            right: self.right.operand(),
            tail: (self.tail > 0).then_some(tail),
            alpha: self.alpha,
            init: match self.init {
                0 => Init::Zero,
                1 => Init::Output,
                _ => Init::From(&self.from[first * (self.cols + 5)..], self.cols + 5),
            },
        };
        let g = Gemm {
            rows,
            depth: self.depth,
            left: from_row(&self.left, first),
            low: (self.tail > 0).then_some(Low { parts: &[], c: &mut low, stride: self.tail }),
            parts: &[part],
            c: &mut c,
            stride: self.stride,
        };
        gemm(threads, how, g);
        c
    }

    fn check(&self, threads: &Threads, how: Method) {
        let c = self.run(threads, how, 0, self.rows);
        for i in 0..self.rows {
            for j in 0..self.stride {
                let got = c[i * self.stride + j];
                if j >= self.cols {
                    assert_eq!(got, self.before[i * self.stride + j], "the gap between rows was written");
                    continue;
                }
                let start = match self.init {
                    0 => 0.0,
                    1 => f64::from(self.before[i * self.stride + j]),
                    _ => f64::from(self.from[i * (self.cols + 5) + j]),
                };
                let seen = |x| seen(how, x);
                let main: f64 =
                    (0..self.depth).map(|p| seen(self.left.at(i, p)) * seen(self.right.at(j, p))).sum();
                let low = self.low[i * self.tail..][..self.tail].iter().enumerate();
                let tail: f64 = low.map(|(p, l)| seen(f64::from(*l)) * seen(self.tail_right.at(j, p))).sum();
                let expected = start + f64::from(self.alpha) * main + tail;
                let tolerance = 1e-6 * (4.0 + (self.depth + self.tail) as f64).sqrt() * 4.0;
                assert!(
                    (f64::from(got) - expected).abs() < tolerance,
                    "{} {how:?} at {i}, {j}: {got} for {expected}",
                    self.describe()
                );
            }
        }
    }

    fn describe(&self) -> String {
        format!(
            "{}x{}x{}+{} left {}/{} right {}/{} init {}",
            self.rows,
            self.cols,
            self.depth,
            self.tail,
            self.left.row_stride,
            self.left.depth_stride,
            self.right.row_stride,
            self.right.depth_stride,
            self.init
        )
    }
}

fn from_row(stored: &Stored, row: usize) -> Operand<'_> {
    let operand = stored.operand();
    let skip = row * stored.row_stride;
    let elements = match operand.elements {
        Elements::F32(x) => Elements::F32(&x[skip..]),
        Elements::F16(x) => Elements::F16(&x[skip..]),
        Elements::Bf16(x) => Elements::Bf16(&x[skip..]),
        Elements::Quantized(_) => unreachable!("cases hold plain values"),
    };
    Operand { elements, ..operand }
}

fn methods() -> Vec<Method> {
    let isas = [Isa::Plain, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| *isa <= Isa::available());
    let exact = isas.map(|isa| Method { isa, precision: Precision::F32 });
    let pairs = Method { isa: Isa::Avx512, precision: Precision::Bf16 };
    exact.chain(Precision::Bf16.available().then_some(pairs)).collect()
}

/// What a product sees of a factor.
fn seen(how: Method, x: f64) -> f64 {
    match how.precision {
        Precision::F32 => x,
        // `bf16::from_f64` does not look at the last bits of its argument.
        Precision::Bf16 => bf16::from_f32(x as f32).to_f64(),
    }
}

/// Shapes with everything at an edge, then larger ones that take every path of the driver.
fn shapes(random: &mut Random) -> Vec<(usize, usize, usize, usize)> {
    let mut shapes = vec![
        (1, 1, 1, 0),
        (1, 1, 1, 1),
        (14, 32, 16, 0),
        (15, 33, 17, 3),
        (1, 64, 64, 16),
        (2, 200, 1600, 8),
        (6, 65, 31, 4),
        (7, 65, 31, 4),
        (300, 16, 90, 0),
        (16, 200, 300, 0),
        (250, 170, 16, 0),
        (130, 100, 1700, 64),
        (400, 300, 40, 16),
    ];
    for _ in 0..150 {
        let tail = [0, 0, 4, 8, 16, 21][random.below(6)];
        shapes.push((1 + random.below(40), 1 + random.below(140), 1 + random.below(70), tail));
    }
    shapes
}

#[test]
fn agrees_with_a_naive_product() {
    let threads = Threads::new(2);
    let mut random = Random(7);
    for (rows, cols, depth, tail) in shapes(&mut random) {
        let case = Case::new(&mut random, rows, cols, depth, tail);
        for how in methods() {
            case.check(&threads, how);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_on_avx() {
    let (one, two) = (Threads::new(1), Threads::new(2));
    let mut random = Random(11);
    for (rows, cols, depth, tail) in shapes(&mut random) {
        let case = Case::new(&mut random, rows, cols, depth, tail);
        let mut fused = Vec::new();
        for how in methods() {
            let alone = case.run(&one, how, 0, rows);
            assert_eq!(bits(&alone), bits(&case.run(&two, how, 0, rows)), "{} {how:?}", case.describe());
            if how.isa > Isa::Plain && how.precision == Precision::F32 {
                fused.push(alone);
            }
        }
        for pair in fused.windows(2) {
            assert_eq!(bits(&pair[0]), bits(&pair[1]), "AVX2 and AVX-512: {}", case.describe());
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_in_a_batch() {
    let threads = Threads::new(2);
    let mut random = Random(13);
    for (rows, cols, depth, tail) in shapes(&mut random) {
        let mut case = Case::new(&mut random, rows, cols, depth, tail);
        case.left = Stored::new(&mut random, rows, depth, 0, false);
        for how in methods() {
            let batch = case.run(&threads, how, 0, rows);
            let first = random.below(rows);
            let count = 1 + random.below((rows - first).min(9));
            let some = case.run(&threads, how, first, count);
            let same = &batch[first * case.stride..(first + count) * case.stride];
            assert_eq!(bits(&some), bits(same), "{} rows {first}+{count} {how:?}", case.describe());
        }
    }
}

#[test]
fn a_group_is_its_products_one_after_another() {
    let mut random = Random(17);
    for (rows, depth) in [(1, 40), (9, 33), (30, 900), (200, 64), (260, 1700)] {
        let (cols, ranks) = ([48, 16, 21], [4, 0, 6]);
        let x = Stored::new(&mut random, rows, depth, 0, false);
        let weights = cols.map(|n| Stored::new(&mut random, n, depth, 2, false));
        let downs = ranks.map(|r| Stored::new(&mut random, r.max(1), depth, 0, false));
        let ups: [Stored; 3] =
            std::array::from_fn(|i| Stored::new(&mut random, cols[i], ranks[i].max(1), 0, false));
        let (width, rank): (usize, usize) = (cols.iter().sum(), ranks.iter().sum());
        let start = |of: &[usize; 3], i: usize| of[..i].iter().sum::<usize>();
        for how in methods() {
            for threads in [Threads::new(1), Threads::new(2)] {
                let run = |wanted: &[usize], low: &mut Vec<f32>, c: &mut Vec<f32>| {
                    let low_parts: Vec<Part<'_>> = wanted
                        .iter()
                        .filter(|i| ranks[**i] > 0)
                        .map(|&i| Part {
                            column: start(&ranks, i),
                            alpha: 0.5 + i as f32,
                            ..Part::whole(ranks[i], downs[i].operand(), Init::Zero)
                        })
                        .collect();
                    let parts: Vec<Part<'_>> = wanted
                        .iter()
                        .map(|&i| {
                            let column = start(&ranks, i);
                            let tail = Tail { column, depth: ranks[i], right: ups[i].operand() };
                            let tail = (ranks[i] > 0).then_some(tail);
                            let whole = Part::whole(cols[i], weights[i].operand(), Init::Output);
                            Part { column: start(&cols, i), tail, ..whole }
                        })
                        .collect();
                    let low = Some(Low { parts: &low_parts, c: low, stride: rank });
                    let (left, parts) = (x.operand(), &parts[..]);
                    gemm(&threads, how, Gemm { rows, depth, left, low, parts, c, stride: width });
                };
                let (mut low, mut c) = (vec![0.0; rows * rank], vec![0.25; rows * width]);
                run(&[0, 1, 2], &mut low, &mut c);
                let (mut low_alone, mut c_alone) = (vec![0.0; rows * rank], vec![0.25; rows * width]);
                (0..3).for_each(|i| run(&[i], &mut low_alone, &mut c_alone));
                assert_eq!(bits(&low), bits(&low_alone), "{rows}x{depth} {how:?}");
                assert_eq!(bits(&c), bits(&c_alone), "{rows}x{depth} {how:?}");
                // One element from its definition.
                let (i, j) = (rows - 1, cols[2] - 1);
                let seen = |x| seen(how, x);
                let base: f64 = (0..depth).map(|p| seen(x.at(i, p)) * seen(weights[2].at(j, p))).sum();
                let adapter: f64 = (0..ranks[2])
                    .map(|q| {
                        let down: f64 = (0..depth).map(|p| seen(x.at(i, p)) * seen(downs[2].at(q, p))).sum();
                        seen(2.5 * down) * seen(ups[2].at(j, q))
                    })
                    .sum();
                let got = f64::from(c[i * width + start(&cols, 2) + j]);
                // A low-rank value that lies near the middle of two may be rounded to either.
                let tolerance = if how.precision == Precision::F32 { 1e-3 } else { 1e-2 };
                assert!((got - 0.25 - base - adapter).abs() < tolerance * (1.0 + adapter.abs()), "{got}");
            }
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}
