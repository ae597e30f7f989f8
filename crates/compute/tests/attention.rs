//! Attention: right values, right gradients, and bits that do not depend on company.

mod support;

use compute::{
    AttentionBackward, AttentionForward, AttentionShape, Backend, BlockTables, CachedAttention, Cpu,
    KV_BLOCK, Segment,
};
use support::*;

fn shape(heads: usize, kv_heads: usize, head_dim: usize) -> AttentionShape {
    AttentionShape::new(heads, kv_heads, head_dim)
}

/// The shape with nothing else, with windows (inside a block, over several, one key) and with capped scores.
fn variants(shape: AttentionShape) -> Vec<AttentionShape> {
    let windowed = |window| AttentionShape { window: Some(window), ..shape };
    let capped = |shape| AttentionShape { softcap: Some(2.5), ..shape };
    vec![shape, windowed(1), windowed(16), windowed(100), capped(shape), capped(windowed(33))]
}

fn tokens(segments: &[Segment]) -> usize {
    segments.iter().map(|s| s.start + s.len).max().unwrap_or(0)
}

/// Queries and keys wide enough for peaked distributions.
fn random_qkv(seed: u64, shape: AttentionShape, tokens: usize) -> Vec<f32> {
    random(seed, tokens * shape.qkv_width()).into_iter().map(|v| v * 3.0).collect()
}

fn forward(cpu: &Cpu, shape: AttentionShape, segments: &[Segment], qkv: &[f32]) -> (Vec<f32>, Vec<f32>) {
    forward_of(cpu, shape, segments, (qkv, None))
}

/// Of rows that are not wanted the output is left at zero.
fn forward_of(
    cpu: &Cpu,
    shape: AttentionShape,
    segments: &[Segment],
    (qkv, wanted): (&[f32], Option<&[u32]>),
) -> (Vec<f32>, Vec<f32>) {
    let t = tokens(segments);
    let qkv = buffer(cpu, qkv);
    let (mut out, mut log_sum_exp) = (zeros(cpu, t * shape.q_width()), zeros(cpu, t * shape.heads));
    cpu.attention(AttentionForward {
        shape,
        segments,
        qkv: &qkv,
        out: &mut out,
        log_sum_exp: &mut log_sum_exp,
        wanted,
    });
    (values(&out), values(&log_sum_exp))
}

fn backward(cpu: &Cpu, shape: AttentionShape, segments: &[Segment], qkv: &[f32], d_out: &[f32]) -> Vec<f32> {
    let (out, log_sum_exp) = forward(cpu, shape, segments, qkv);
    let mut d_qkv = buffer(cpu, &vec![f32::NAN; qkv.len()]);
    cpu.attention_backward(AttentionBackward {
        shape,
        segments,
        qkv: &buffer(cpu, qkv),
        out: &buffer(cpu, &out),
        log_sum_exp: &buffer(cpu, &log_sum_exp),
        d_out: &buffer(cpu, d_out),
        d_qkv: &mut d_qkv,
    });
    values(&d_qkv)
}

/// `rows[i]`, a sequence and a position, is row `i` of `qkv`; `batch` rows at a time. The blocks of the sequences lie
/// mixed up, and what they hold at first is of no meaning.
fn cached(cpu: &Cpu, shape: AttentionShape, rows: &[(u32, u32)], batch: usize, qkv: &[f32]) -> Vec<f32> {
    let width = rows.iter().map(|r| r.1 as usize / KV_BLOCK + 1).max().unwrap_or(0);
    let sequences = rows.iter().map(|r| r.0 as usize + 1).max().unwrap_or(0);
    let count = width * sequences;
    let blocks: Vec<u32> = (0..count).map(|i| ((i * 7 + 3) % count.max(1)) as u32).collect();
    let blocks = if count.is_multiple_of(7) { (0..count as u32).rev().collect() } else { blocks };
    let tables = BlockTables { blocks: &blocks, width };
    let before = vec![f32::NAN; count * cpu.kv_block_len(shape)];
    let (mut keys, mut cached_values) = (buffer(cpu, &before), buffer(cpu, &before));
    let mut all = Vec::new();
    for (rows, qkv) in rows.chunks(batch).zip(qkv.chunks(batch * shape.qkv_width())) {
        let mut out = zeros(cpu, rows.len() * shape.q_width());
        cpu.attention_cached(CachedAttention {
            shape,
            sequences: &rows.iter().map(|r| r.0).collect::<Vec<_>>(),
            positions: &rows.iter().map(|r| r.1).collect::<Vec<_>>(),
            tables,
            qkv: &buffer(cpu, qkv),
            keys: &mut keys,
            values: &mut cached_values,
            out: &mut out,
        });
        all.extend(values(&out));
    }
    all
}

fn capped(shape: AttentionShape, score: f64) -> f64 {
    shape.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
}

/// Attention as in the textbook, in f64.
fn naive(shape: AttentionShape, segments: &[Segment], qkv: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (width, d) = (shape.qkv_width(), shape.head_dim);
    let mut out = vec![0.0; tokens(segments) * shape.q_width()];
    let mut log_sum_exp = vec![0.0; tokens(segments) * shape.heads];
    for segment in segments {
        for t in segment.start..segment.start + segment.len {
            let prefix =
                segment.prefix.map_or(0..0, |p| segments[p].start..segments[p].start + segments[p].len);
            let all: Vec<usize> = prefix.chain(segment.start..=t).collect();
            let seen = &all[all.len() - shape.window.unwrap_or(all.len()).min(all.len())..];
            for head in 0..shape.heads {
                let kv_head = head / (shape.heads / shape.kv_heads);
                let key = shape.q_width() + kv_head * d;
                let value = key + shape.kv_width();
                let scores: Vec<f64> = seen
                    .iter()
                    .map(|j| {
                        let dot: f64 =
                            (0..d).map(|i| qkv[t * width + head * d + i] * qkv[j * width + key + i]).sum();
                        capped(shape, dot * f64::from(shape.scale))
                    })
                    .collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                for (score, j) in scores.iter().zip(seen) {
                    let p = (score - max).exp() / total;
                    for i in 0..d {
                        out[t * shape.q_width() + head * d + i] += p * qkv[j * width + value + i];
                    }
                }
                log_sum_exp[t * shape.heads + head] = max + total.ln();
            }
        }
    }
    (out, log_sum_exp)
}

/// A prefix with two continuations and a text of its own, with lengths that fill no block.
fn mixed_segments() -> Vec<Segment> {
    vec![
        Segment::whole(0, 70),
        Segment { start: 70, len: 9, prefix: Some(0) },
        Segment { start: 79, len: 65, prefix: Some(0) },
        Segment::whole(144, 1),
        Segment::whole(145, 130),
    ]
}

#[test]
fn attention_agrees_with_the_textbook_for_every_head_width() {
    for (heads, kv_heads, head_dim) in
        [(9, 3, 64), (2, 2, 8), (4, 1, 24), (3, 1, 32), (2, 1, 128), (1, 1, 10)]
    {
        for shape in variants(shape(heads, kv_heads, head_dim)) {
            let segments = mixed_segments();
            let qkv = random_qkv(1, shape, tokens(&segments));
            let (expected, expected_log_sum_exp) = naive(shape, &segments, &to_f64(&qkv));
            for cpu in devices() {
                let (out, log_sum_exp) = forward(&cpu, shape, &segments, &qkv);
                assert_close(&out, &expected, 2e-5, &format!("{shape:?} {:?} out", cpu.isa()));
                assert_close(&log_sum_exp, &expected_log_sum_exp, 1e-5, "log_sum_exp");
            }
        }
    }
}

#[test]
fn the_gradient_of_attention_agrees_with_finite_differences() {
    for (heads, kv_heads, head_dim) in [(4, 2, 8), (3, 1, 10)] {
        let full = shape(heads, kv_heads, head_dim);
        let few = AttentionShape { window: Some(4), ..full };
        for shape in [full, few, AttentionShape { softcap: Some(0.5), ..few }] {
            let segments = [
                Segment::whole(0, 5),
                Segment { start: 5, len: 3, prefix: Some(0) },
                Segment { start: 8, len: 4, prefix: Some(0) },
                Segment::whole(12, 3),
            ];
            let qkv = random(2, tokens(&segments) * shape.qkv_width());
            let d_out = random(3, tokens(&segments) * shape.q_width());
            let expected =
                finite_differences(&to_f64(&qkv), |qkv| inner(&naive(shape, &segments, qkv).0, &d_out));
            for cpu in devices() {
                let d_qkv = backward(&cpu, shape, &segments, &qkv, &d_out);
                assert_close(&d_qkv, &expected, 1e-5, &format!("{shape:?} {:?} d_qkv", cpu.isa()));
            }
        }
    }
}

/// Derivative of the textbook's attention, in f64, where finite differences would take too long.
fn naive_backward(shape: AttentionShape, segments: &[Segment], qkv: &[f64], d_out: &[f64]) -> Vec<f64> {
    let (width, d) = (shape.qkv_width(), shape.head_dim);
    let scale = f64::from(shape.scale);
    let (out, log_sum_exp) = naive(shape, segments, qkv);
    let mut d_qkv = vec![0.0; qkv.len()];
    for segment in segments {
        for t in segment.start..segment.start + segment.len {
            let prefix =
                segment.prefix.map_or(0..0, |p| segments[p].start..segments[p].start + segments[p].len);
            let all: Vec<usize> = prefix.chain(segment.start..=t).collect();
            for &j in &all[all.len() - shape.window.unwrap_or(all.len()).min(all.len())..] {
                for head in 0..shape.heads {
                    let kv_head = head / (shape.heads / shape.kv_heads);
                    let query = t * width + head * d;
                    let key = j * width + shape.q_width() + kv_head * d;
                    let value = key + shape.kv_width();
                    let o = t * shape.q_width() + head * d;
                    let score: f64 = (0..d).map(|i| qkv[query + i] * qkv[key + i]).sum::<f64>() * scale;
                    let bent = capped(shape, score);
                    let slope = shape.softcap.map_or(1.0, |cap| 1.0 - (bent / f64::from(cap)).powi(2));
                    let p = (bent - log_sum_exp[t * shape.heads + head]).exp();
                    let along: f64 = (0..d).map(|i| d_out[o + i] * (qkv[value + i] - out[o + i])).sum();
                    let d_score = p * along * slope * scale;
                    for i in 0..d {
                        d_qkv[query + i] += d_score * qkv[key + i];
                        d_qkv[key + i] += d_score * qkv[query + i];
                        d_qkv[value + i] += p * d_out[o + i];
                    }
                }
            }
        }
    }
    d_qkv
}

#[test]
fn the_gradient_of_long_texts_agrees_with_the_textbook() {
    for (heads, kv_heads, head_dim) in [(9, 3, 64), (2, 2, 24), (8, 1, 32)] {
        for shape in variants(shape(heads, kv_heads, head_dim)) {
            let segments = mixed_segments();
            let qkv = random_qkv(4, shape, tokens(&segments));
            let d_out = random(5, tokens(&segments) * shape.q_width());
            let expected = naive_backward(shape, &segments, &to_f64(&qkv), &to_f64(&d_out));
            for cpu in devices() {
                let d_qkv = backward(&cpu, shape, &segments, &qkv, &d_out);
                assert_close(&d_qkv, &expected, 2e-5, &format!("{shape:?} {:?} d_qkv", cpu.isa()));
            }
        }
    }
}

#[test]
fn instruction_sets_and_threads_agree() {
    for shape in variants(shape(6, 2, 24)) {
        let segments = mixed_segments();
        let qkv = random_qkv(6, shape, tokens(&segments));
        let d_out = random(7, tokens(&segments) * shape.q_width());
        assert_devices_agree(2e-5, true, |cpu| {
            let (out, log_sum_exp) = forward(cpu, shape, &segments, &qkv);
            vec![out, log_sum_exp, backward(cpu, shape, &segments, &qkv, &d_out)]
        });
    }
}

#[test]
fn a_text_alone_has_the_bits_that_it_has_in_a_batch() {
    let segments = mixed_segments();
    for (shape, cpu) in variants(shape(9, 3, 64))
        .into_iter()
        .flat_map(|shape| devices().into_iter().map(move |cpu| (shape, cpu)))
    {
        let qkv = random_qkv(8, shape, tokens(&segments));
        let d_out = random(9, tokens(&segments) * shape.q_width());
        let (out, _) = forward(&cpu, shape, &segments, &qkv);
        let d_qkv = backward(&cpu, shape, &segments, &qkv, &d_out);
        for segment in segments.iter().skip(3) {
            let rows = |width: usize| segment.start * width..(segment.start + segment.len) * width;
            let alone = [Segment::whole(0, segment.len)];
            let qkv = &qkv[rows(shape.qkv_width())];
            let (out_alone, _) = forward(&cpu, shape, &alone, qkv);
            assert_eq!(bits(&out_alone), bits(&out[rows(shape.q_width())]), "{segment:?} forward");
            let d_alone = backward(&cpu, shape, &alone, qkv, &d_out[rows(shape.q_width())]);
            assert_eq!(bits(&d_alone), bits(&d_qkv[rows(shape.qkv_width())]), "{segment:?} backward");
        }
    }
}

#[test]
fn a_text_cut_into_prefix_and_segment_has_the_bits_of_the_whole() {
    for shape in variants(shape(9, 3, 64)).into_iter().chain(variants(shape(4, 4, 24))) {
        let length = 210;
        let qkv = random_qkv(10, shape, length);
        for cpu in devices() {
            let (whole, whole_log_sum_exp) = forward(&cpu, shape, &[Segment::whole(0, length)], &qkv);
            for cut in [1, 37, 64, 127, 209] {
                let parts =
                    [Segment::whole(0, cut), Segment { start: cut, len: length - cut, prefix: Some(0) }];
                let (out, log_sum_exp) = forward(&cpu, shape, &parts, &qkv);
                assert_eq!(bits(&out), bits(&whole), "{:?} cut at {cut}", cpu.isa());
                assert_eq!(bits(&log_sum_exp), bits(&whole_log_sum_exp), "{:?} cut at {cut}", cpu.isa());
            }
        }
    }
}

#[test]
fn a_text_read_from_the_cache_has_the_bits_of_the_whole() {
    for shape in variants(shape(9, 3, 64)).into_iter().chain(variants(shape(4, 4, 24))) {
        let length = 150u32;
        let qkv = random_qkv(11, shape, length as usize);
        let rows: Vec<(u32, u32)> = (0..length).map(|position| (1, position)).collect();
        for cpu in devices() {
            let (whole, _) = forward(&cpu, shape, &[Segment::whole(0, length as usize)], &qkv);
            for batch in [1, 7, 150] {
                let out = cached(&cpu, shape, &rows, batch, &qkv);
                assert_eq!(bits(&out), bits(&whole), "{:?}, {batch} at a time", cpu.isa());
            }
        }
    }
}

/// Beside products of integers keys and values are halves in the cache.
fn devices_of_halves() -> Vec<Cpu> {
    instruction_sets().into_iter().map(|isa| Cpu::with_isa(2, isa).with_integer_products()).collect()
}

#[test]
fn a_cache_of_halves_has_the_bits_of_the_whole_and_takes_half_the_room() {
    for shape in variants(shape(9, 3, 64)).into_iter().chain(variants(shape(4, 4, 24))) {
        let length = 150u32;
        let qkv = random_qkv(14, shape, length as usize);
        let rows: Vec<(u32, u32)> = (0..length).map(|position| (1, position)).collect();
        for cpu in devices_of_halves() {
            assert_eq!(2 * cpu.kv_block_len(shape), shape.kv_block_len());
            let (whole, _) = forward(&cpu, shape, &[Segment::whole(0, length as usize)], &qkv);
            for batch in [1, 7, 150] {
                let out = cached(&cpu, shape, &rows, batch, &qkv);
                assert_eq!(bits(&out), bits(&whole), "{:?}, {batch} at a time", cpu.isa());
            }
        }
    }
}

#[test]
fn attention_to_halves_is_that_of_the_textbook_to_rounded_keys_and_values() {
    let shape = shape(4, 2, 24);
    let segments = mixed_segments();
    let qkv = random_qkv(15, shape, tokens(&segments));
    let round = |(i, &value): (usize, &f32)| match i % shape.qkv_width() < shape.q_width() {
        true => f64::from(value),
        false => f64::from(half::f16::from_f32(value)),
    };
    let rounded: Vec<f64> = qkv.iter().enumerate().map(round).collect();
    let (expected, _) = naive(shape, &segments, &rounded);
    for cpu in devices_of_halves() {
        let (out, _) = forward(&cpu, shape, &segments, &qkv);
        assert_close(&out, &expected, 2e-5, &format!("{:?}", cpu.isa()));

        // One token has its own value; one beyond the halves becomes the largest of them.
        let mut alone = random_qkv(16, shape, 1);
        alone[shape.q_width() + shape.kv_width()] = -1e6;
        let (out, _) = forward(&cpu, shape, &[Segment::whole(0, 1)], &alone);
        assert_eq!(out[0], -65_504.0, "{:?}", cpu.isa());
    }
}

#[test]
fn texts_in_the_cache_do_not_touch_each_other() {
    let shape = shape(4, 2, 32);
    let qkv = random_qkv(12, shape, 60);
    // Two texts, a token of each in turn.
    let rows: Vec<(u32, u32)> = (0..60).map(|i| (i % 2, i / 2)).collect();
    for cpu in devices() {
        let both = cached(&cpu, shape, &rows, 2, &qkv);
        for slot in 0..2 {
            let pick = |from: &[f32], width: usize| -> Vec<f32> {
                from.chunks(width).skip(slot).step_by(2).flatten().copied().collect()
            };
            let alone = pick(&qkv, shape.qkv_width());
            let (alone, _) = forward(&cpu, shape, &[Segment::whole(0, 30)], &alone);
            assert_eq!(bits(&alone), bits(&pick(&both, shape.q_width())));
        }
    }
}

#[test]
fn wanted_rows_have_the_bits_that_they_have_among_all() {
    let shape = shape(4, 2, 8);
    // A text of several tasks, one that goes on from it, one of which nothing is wanted, and a short one.
    let go_on = Segment { start: 300, len: 70, prefix: Some(0) };
    let segments = [Segment::whole(0, 300), go_on, Segment::whole(370, 40), Segment::whole(410, 3)];
    let wanted: Vec<u32> = vec![1, 2, 150, 299, 300, 369, 412];
    let qkv = random_qkv(17, shape, 413);
    for cpu in devices() {
        let (all, _) = forward(&cpu, shape, &segments, &qkv);
        let (some, _) = forward_of(&cpu, shape, &segments, (&qkv, Some(&wanted)));
        let width = shape.q_width();
        for row in wanted.iter().map(|row| *row as usize * width..(*row as usize + 1) * width) {
            assert_eq!(bits(&some[row.clone()]), bits(&all[row]));
        }
        assert!(
            some[370 * width..410 * width].iter().all(|value| *value == 0.0),
            "work for what nobody wants"
        );
    }
}

#[test]
fn tokens_of_no_segment_are_left_alone() {
    let shape = shape(2, 1, 8);
    let cpu = Cpu::new(2);
    let qkv = buffer(&cpu, &random(13, 10 * shape.qkv_width()));
    let mut out = buffer(&cpu, &vec![7.0; 10 * shape.q_width()]);
    let mut log_sum_exp = zeros(&cpu, 10 * shape.heads);
    let segments = [Segment::whole(2, 3)];
    cpu.attention(AttentionForward {
        shape,
        segments: &segments,
        qkv: &qkv,
        out: &mut out,
        log_sum_exp: &mut log_sum_exp,
        wanted: None,
    });
    let covered = 2 * shape.q_width()..5 * shape.q_width();
    for (i, &v) in out.iter().enumerate() {
        assert_eq!(v != 7.0, covered.contains(&i), "element {i}");
    }
}
