//! The loss of labelled tokens: values, gradients, and independence of the chunk.

mod support;

use compute::{Adapter, Backend, Cpu, DeviceBuffer, Linear, Matrix, TokenLoss, TokenLossOutput};
use support::*;

const TOKENS: usize = 30;
const WIDTH: usize = 20;
const VOCABULARY: usize = 77;

#[derive(Clone)]
struct Case {
    hidden: Vec<f32>,
    head: Vec<f32>,
    rows: Vec<u32>,
    labels: Vec<u32>,
    weights: Vec<f32>,
    softcap: Option<f32>,
}

fn case() -> Case {
    let rows: Vec<u32> = (0..TOKENS as u32).filter(|t| t % 3 != 1).collect();
    Case {
        hidden: random(1, TOKENS * WIDTH).iter().map(|v| v * 2.0).collect(),
        head: random(2, VOCABULARY * WIDTH),
        labels: rows.iter().map(|t| t * 31 % VOCABULARY as u32).collect(),
        weights: random(3, rows.len()),
        rows,
        softcap: None,
    }
}

/// Output, gradient of the hidden states (over leftovers) and of the head (added to ones).
fn token_loss(cpu: &Cpu, case: &Case, chunk: usize) -> (TokenLossOutput, Vec<f32>, Vec<f32>) {
    let (hidden, head) = (buffer(cpu, &case.hidden), buffer(cpu, &case.head));
    let mut d_hidden = buffer(cpu, &vec![f32::NAN; TOKENS * WIDTH]);
    let mut d_head = buffer(cpu, &vec![1.0; VOCABULARY * WIDTH]);
    let output = cpu.token_loss(TokenLoss {
        hidden: hidden.view(0, TOKENS, WIDTH),
        head: Linear { weight: Matrix::View(head.view(0, VOCABULARY, WIDTH)), adapter: None },
        rows: &case.rows,
        labels: &case.labels,
        weights: &case.weights,
        chunk,
        softcap: case.softcap,
        d_hidden: Some(d_hidden.view_mut(0, TOKENS, WIDTH)),
        d_head: Some(d_head.view_mut(0, VOCABULARY, WIDTH)),
        d_adapter: None,
    });
    (output, values(&d_hidden), values(&d_head))
}

fn loss_only(cpu: &Cpu, case: &Case) -> TokenLossOutput {
    let (hidden, head) = (buffer(cpu, &case.hidden), buffer(cpu, &case.head));
    cpu.token_loss(TokenLoss {
        hidden: hidden.view(0, TOKENS, WIDTH),
        head: Linear { weight: Matrix::View(head.view(0, VOCABULARY, WIDTH)), adapter: None },
        rows: &case.rows,
        labels: &case.labels,
        weights: &[],
        chunk: 7,
        softcap: case.softcap,
        d_hidden: None,
        d_head: None,
        d_adapter: None,
    })
}

/// Log-probabilities, entropies, and whether the label wins.
fn naive(case: &Case, hidden: &[f64], head: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<bool>) {
    let mut results = (Vec::new(), Vec::new(), Vec::new());
    for (&row, &label) in case.rows.iter().zip(&case.labels) {
        let h = &hidden[row as usize * WIDTH..][..WIDTH];
        let capped =
            |logit: f64| case.softcap.map_or(logit, |cap| f64::from(cap) * (logit / f64::from(cap)).tanh());
        let logits: Vec<f64> =
            head.chunks(WIDTH).map(|w| capped(w.iter().zip(h).map(|(w, h)| w * h).sum())).collect();
        let log_sum = logits.iter().map(|l| l.exp()).sum::<f64>().ln();
        results.0.push(logits[label as usize] - log_sum);
        results.1.push(logits.iter().map(|l| (l - log_sum).exp() * (log_sum - l)).sum());
        results.2.push(logits.iter().all(|&l| l <= logits[label as usize]));
    }
    results
}

/// Plain logits, and capped ones.
fn cases() -> [Case; 2] {
    [case(), Case { softcap: Some(3.0), ..case() }]
}

#[test]
fn losses_and_gradients_agree_with_f64() {
    for case in cases() {
        let (hidden, head) = (to_f64(&case.hidden), to_f64(&case.head));
        let (log_probs, entropies, correct) = naive(&case, &hidden, &head);
        let loss = |hidden: &[f64], head: &[f64]| -inner(&naive(&case, hidden, head).0, &case.weights);
        let d_hidden_expected = finite_differences(&hidden, |hidden| loss(hidden, &head));
        let d_head_expected: Vec<f64> =
            finite_differences(&head, |head| loss(&hidden, head)).iter().map(|d| d + 1.0).collect();
        for cpu in devices() {
            let (output, d_hidden, d_head) = token_loss(&cpu, &case, 8);
            assert_close(&output.log_probs, &log_probs, 1e-6, "log_probs");
            assert_close(&output.entropies, &entropies, 1e-6, "entropies");
            assert_eq!(output.correct, correct);
            assert_close(&d_hidden, &d_hidden_expected, 2e-6, "d_hidden");
            assert_close(&d_head, &d_head_expected, 2e-6, "d_head");
            assert_eq!(loss_only(&cpu, &case), output, "the loss without a gradient");
        }
    }
}

#[test]
fn the_heads_adapter_is_a_head_with_it_merged() {
    const RANK: usize = 3;
    let scale = 0.5;
    for case in cases() {
        let (a, b) = (random(7, RANK * WIDTH), random(8, VOCABULARY * RANK));
        let mut merged = case.head.clone();
        for (i, w) in merged.iter_mut().enumerate() {
            let (row, col) = (i / WIDTH, i % WIDTH);
            *w += scale * (0..RANK).map(|q| b[row * RANK + q] * a[q * WIDTH + col]).sum::<f32>();
        }
        for cpu in devices() {
            let whole = Case { head: merged.clone(), ..cases()[usize::from(case.softcap.is_some())].clone() };
            let (expected, d_hidden_expected, d_head) = token_loss(&cpu, &whole, 8);
            let (hidden, head) = (buffer(&cpu, &case.hidden), buffer(&cpu, &case.head));
            let sides = buffer(&cpu, &[&a[..], &b].concat());
            let mut d_hidden = buffer(&cpu, &vec![f32::NAN; TOKENS * WIDTH]);
            let mut d_sides = buffer(&cpu, &vec![1.0; RANK * (WIDTH + VOCABULARY)]);
            let adapter = Adapter {
                down: Some(Matrix::View(sides.view(0, RANK, WIDTH))),
                up: Matrix::View(sides.view(RANK * WIDTH, VOCABULARY, RANK)),
                column: 0,
                scale,
            };
            let weight = Matrix::View(head.view(0, VOCABULARY, WIDTH));
            let output = cpu.token_loss(TokenLoss {
                hidden: hidden.view(0, TOKENS, WIDTH),
                head: Linear { weight, adapter: Some(adapter) },
                rows: &case.rows,
                labels: &case.labels,
                weights: &case.weights,
                chunk: 8,
                softcap: case.softcap,
                d_hidden: Some(d_hidden.view_mut(0, TOKENS, WIDTH)),
                d_head: None,
                d_adapter: Some(d_sides.view_mut(0, 1, RANK * (WIDTH + VOCABULARY))),
            });
            assert_close(&output.log_probs, &to_f64(&expected.log_probs), 2e-6, "log_probs");
            assert_close(&values(&d_hidden), &to_f64(&d_hidden_expected), 5e-6, "d_hidden");
            // The gradients were added to ones.
            let d_head: Vec<f64> = d_head.iter().map(|d| f64::from(*d) - 1.0).collect();
            let mut d_expected = vec![1.0; RANK * (WIDTH + VOCABULARY)];
            for (i, d) in d_head.iter().enumerate() {
                let (row, col) = (i / WIDTH, i % WIDTH);
                for q in 0..RANK {
                    d_expected[q * WIDTH + col] += f64::from(scale * b[row * RANK + q]) * d;
                    d_expected[RANK * WIDTH + row * RANK + q] += f64::from(scale * a[q * WIDTH + col]) * d;
                }
            }
            assert_close(&values(&d_sides), &d_expected, 5e-6, "A and B");
        }
    }
}

#[test]
fn the_chunk_changes_no_bit_of_loss_and_hidden_gradient() {
    for (cpu, case) in devices().iter().flat_map(|cpu| cases().map(|case| (cpu, case))) {
        let (output, d_hidden, d_head) = token_loss(cpu, &case, 64);
        for chunk in [1, 7] {
            let (other, d_other, d_head_other) = token_loss(cpu, &case, chunk);
            assert_eq!(other, output, "chunks of {chunk}");
            assert_eq!(bits(&d_other), bits(&d_hidden), "chunks of {chunk}");
            // Tokens are summed here, and chunks cut the sum.
            assert_close(&d_head_other, &to_f64(&d_head), 1e-6, "d_head");
        }
    }
}

#[test]
fn labels_of_one_row_are_judged_as_each_alone() {
    for (cpu, mut case) in devices().iter().flat_map(|cpu| cases().map(|case| (cpu, case))) {
        // One to four answers to a question, of which some are the same.
        let rows: Vec<u32> = case.rows.iter().flat_map(|row| vec![*row; 1 + *row as usize % 4]).collect();
        case.labels = (0..rows.len() as u32).map(|i| i * 29 % 5 * 13 % VOCABULARY as u32).collect();
        case.weights = vec![1.0; rows.len()];
        case.rows = rows;
        let together = loss_only(cpu, &case);
        for (i, (row, label)) in case.rows.iter().zip(&case.labels).enumerate() {
            let alone = Case { rows: vec![*row], labels: vec![*label], weights: vec![1.0], ..case.clone() };
            for alone in [loss_only(cpu, &alone), token_loss(cpu, &alone, 8).0] {
                assert_eq!(alone.log_probs[0].to_bits(), together.log_probs[i].to_bits(), "label {i}");
                assert_eq!(alone.entropies[0].to_bits(), together.entropies[i].to_bits(), "label {i}");
                assert_eq!(alone.correct[0], together.correct[i], "label {i}");
            }
        }
    }
}

#[test]
fn devices_agree() {
    for case in cases() {
        assert_devices_agree(1e-5, false, |cpu| {
            let (output, d_hidden, d_head) = token_loss(cpu, &case, 8);
            vec![output.log_probs, output.entropies, d_hidden, d_head]
        });
    }
}

#[test]
fn logits_to_draw_from_are_capped_as_those_of_the_loss() {
    let logits = random(4, 400).iter().map(|v| v * 90.0).collect::<Vec<_>>();
    let expected: Vec<f64> = to_f64(&logits).iter().map(|l| 30.0 * (l / 30.0).tanh()).collect();
    assert_devices_agree(1e-6, true, |cpu| {
        let mut x = buffer(cpu, &logits);
        cpu.softcap(x.view_mut(0, 4, 100), 30.0);
        assert_close(&x, &expected, 1e-6, "capped");
        vec![values(&x)]
    });
}

#[test]
fn the_lowest_id_wins_a_tie() {
    let head: Vec<f32> = (0..VOCABULARY * WIDTH).map(|i| if i / WIDTH < 2 { 1.0 } else { 0.0 }).collect();
    let mut case = Case { hidden: vec![1.0; TOKENS * WIDTH], head, ..case() };
    (case.rows, case.labels, case.weights) = (vec![0, 1, 2], vec![0, 1, 2], vec![1.0; 3]);
    let output = loss_only(&Cpu::new(2), &case);
    assert_eq!(output.correct, [true, false, false]);
}

#[test]
fn no_labelled_row_gives_no_loss_and_a_zero_gradient() {
    let mut case = case();
    (case.rows, case.labels, case.weights) = (vec![], vec![], vec![]);
    let (output, d_hidden, d_head) = token_loss(&Cpu::new(2), &case, 8);
    assert_eq!(output, TokenLossOutput::default());
    assert!(d_hidden.iter().all(|&d| d == 0.0) && d_head.iter().all(|&d| d == 1.0));
}

#[test]
fn a_logit_that_is_no_number_shows_in_the_loss() {
    let mut case = case();
    case.hidden[case.rows[2] as usize * WIDTH] = f32::NAN;
    let output = loss_only(&Cpu::new(2), &case);
    for (i, log_prob) in output.log_probs.iter().enumerate() {
        assert_eq!(log_prob.is_nan(), i == 2);
    }
}
