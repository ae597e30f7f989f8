//! Measures what a frozen base costs by its storage: the products of a training step, `x Wᵀ` and `dy W`, through layers of
//! SmolLM2-135M's shape and through its head. All types take turns at each product, and what is printed is the sum over
//! products of the best and of the median of many rounds: a machine that is shared disturbs single ones.
//!
//! `cargo run --release -p compute --example base_peak [threads [rounds [tokens [f32|bf16 [type…]]]]]`, the fourth being what
//! products are computed in, with `MEDTUNE_ISA` to lower the instruction set.

use std::time::Instant;

use compute::cpu::Precision;
use compute::{Backend, Cpu, DType, DeviceBuffer, Linear, LinearGroup, Matrix, Start};
use formats::quant::{BlockMatrix, BlockType, Bnb4Matrix, Bnb4Options, Bnb4Type};

type Weight = <Cpu as Backend>::Weight;
type Buffer = <Cpu as Backend>::Buffer;

const TYPES: [&str; 6] = ["f32", "bf16", "f16", "nf4", "Q8_0", "Q4_0"];
/// q, k and v, o, gate and up, and down of a layer, `[N, K]`.
const LAYER: [&[[usize; 2]]; 4] =
    [&[[576, 576], [192, 576], [192, 576]], &[[576, 576]], &[[1536, 576], [1536, 576]], &[[576, 1536]]];
/// More than a cache holds.
const LAYERS: usize = 10;
const HEAD: &[[usize; 2]] = &[[49152, 576]];
/// Most rows that the head projects at once.
const LABELS: usize = 256;

/// Layers that share their input, and how many rows go through them.
struct Group {
    weights: Vec<Weight>,
    rows: usize,
    width: usize,
    depth: usize,
}

impl Group {
    fn new(cpu: &Cpu, kind: &str, shapes: &[[usize; 2]], rows: usize) -> Self {
        let weights = shapes.iter().map(|&[n, k]| weight(cpu, kind, n, k)).collect();
        Group { weights, rows, width: shapes.iter().map(|[n, _]| n).sum(), depth: shapes[0][1] }
    }
}

/// A type's weights, and the seconds that its products have taken, forward and backward.
struct Base {
    kind: String,
    /// The layers', then the head's.
    groups: Vec<Group>,
    seconds: Vec<[Vec<f64>; 2]>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(2);
    let rounds: usize = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(15);
    let tokens = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1024);
    let mut cpu = Cpu::new(threads);
    if arguments.next().as_deref() == Some("bf16") {
        assert!(Precision::Bf16.available(), "no products in bf16 on this machine");
        cpu = cpu.with_precision(Precision::Bf16);
    }
    let asked: Vec<String> = arguments.collect();
    let kinds = TYPES.into_iter().filter(|kind| asked.is_empty() || asked.iter().any(|asked| asked == kind));
    let mut bases: Vec<Base> = kinds.map(|kind| Base::new(&cpu, kind, tokens)).collect();
    let zeros = |what, len| cpu.zeros(what, len).expect("room");
    let mut narrow = zeros("input", tokens * 1536);
    let mut wide = zeros("output", (tokens * 3072).max(LABELS * 49152));
    for round in 0..=rounds {
        for product in 0..=LAYERS * LAYER.len() {
            for Base { groups, seconds, .. } in &mut bases {
                let group = &groups[product];
                let forward = timed(|| run_forward(&cpu, group, &narrow, &mut wide));
                let backward = timed(|| run_backward(&cpu, group, &mut narrow, &wide));
                // The first round touches memory.
                if round > 0 {
                    seconds[product][0].push(forward);
                    seconds[product][1].push(backward);
                }
            }
        }
    }
    println!(
        "{:?}, {threads} threads, products in {:?}, {tokens} tokens, {rounds} rounds; ms, best and median",
        cpu.isa(),
        cpu.precision()
    );
    println!("{:<5} {:>17} {:>17} {:>17} {:>17}", "", "layers x Wᵀ", "dy W", "head x Wᵀ", "dy W");
    for Base { kind, seconds, .. } in &mut bases {
        let mut line = format!("{kind:<5}");
        for products in [0..LAYERS * LAYER.len(), LAYERS * LAYER.len()..seconds.len()] {
            for direction in 0..2 {
                let (mut best, mut median) = (0.0, 0.0);
                for of_product in &mut seconds[products.clone()] {
                    let of_product = &mut of_product[direction];
                    of_product.sort_by(f64::total_cmp);
                    best += of_product[0];
                    median += of_product[of_product.len() / 2];
                }
                line += &format!(" {:>8.1} {:>8.1}", best * 1e3, median * 1e3);
            }
        }
        println!("{line}");
    }
}

impl Base {
    fn new(cpu: &Cpu, kind: &str, tokens: usize) -> Self {
        let layers = (0..LAYERS).flat_map(|_| LAYER).map(|shapes| Group::new(cpu, kind, shapes, tokens));
        let groups: Vec<Group> = layers.chain([Group::new(cpu, kind, HEAD, tokens.min(LABELS))]).collect();
        let seconds = groups.iter().map(|_| Default::default()).collect();
        Base { kind: kind.to_string(), groups, seconds }
    }
}

fn weight(cpu: &Cpu, kind: &str, n: usize, k: usize) -> Weight {
    let values: Vec<f32> = (0..n * k).map(|i| (i % 31) as f32 / 31.0 - 0.5).collect();
    let plain = |dtype, bytes: Vec<u8>| cpu.weight(dtype, n, k, &bytes);
    let weight = match kind {
        "f32" => plain(DType::F32, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
        "bf16" => {
            plain(DType::Bf16, values.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect())
        }
        "f16" => {
            plain(DType::F16, values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect())
        }
        "nf4" => {
            let options = Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double: true };
            cpu.quantized_weight(Bnb4Matrix::quantize([n, k], &values, options).expect("its values").into())
        }
        name => {
            let kinds = [BlockType::Q8_0, BlockType::Q4_0];
            let kind = kinds.into_iter().find(|kind| kind.name() == name).expect("a known type");
            let data = kind.encode(&values).expect("whole blocks");
            cpu.quantized_weight(BlockMatrix::new(kind, n, k, data).expect("blocks").into())
        }
    };
    weight.expect("room")
}

fn run_forward(cpu: &Cpu, group: &Group, x: &Buffer, y: &mut Buffer) {
    let Group { rows, width, depth, .. } = *group;
    with_layers(group, |group| {
        cpu.linear(y.view_mut(0, rows, width), None, x.view(0, rows, depth), group, Start::Zero)
    });
}

fn run_backward(cpu: &Cpu, group: &Group, dx: &mut Buffer, dy: &Buffer) {
    let Group { rows, width, depth, .. } = *group;
    with_layers(group, |group| {
        cpu.linear_backward_input(Some(dx.view_mut(0, rows, depth)), None, dy.view(0, rows, width), group);
    });
}

fn with_layers(group: &Group, run: impl FnOnce(&LinearGroup<'_, Cpu>)) {
    let layers: Vec<Linear<'_, Cpu>> =
        group.weights.iter().map(|weight| Linear { weight: Matrix::Weight(weight), adapter: None }).collect();
    run(&LinearGroup { layers: &layers, rank: 0 });
}

fn timed(run: impl FnOnce()) -> f64 {
    let clock = Instant::now();
    run();
    clock.elapsed().as_secs_f64()
}
