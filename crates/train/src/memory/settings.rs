//! Settings with which a run would fit.

use compute::{Backend, Waiting};
use model::{Checkpointing, Decoder, InitLoraWeights};

use super::{Examinations, GradientCheckpointing, Longest, MemoryPlan, Needs, binary};
use crate::{Adapter, OptimizerKind, Recipe};

/// Bytes of a value in four bits with its share of the scales, and of one in 16 bits.
const FOUR_BITS: f64 = 0.53;
const SIXTEEN_BITS: f64 = 2.0;
/// Shorter texts teach nobody.
const SHORTEST: usize = 64;

/// A run as it is planned.
#[derive(Debug, Clone)]
struct Case {
    needs: Needs,
    longest: Longest,
    layers: Vec<Checkpointing>,
}

/// A setting, and what it changes.
struct Change {
    setting: String,
    apply: Box<dyn Fn(&mut Case)>,
}

impl Change {
    fn new(setting: impl Into<String>, apply: impl Fn(&mut Case) + 'static) -> Self {
        Change { setting: setting.into(), apply: Box::new(apply) }
    }

    /// Batches of at most `tokens` tokens.
    fn shorter(setting: String, tokens: usize) -> Self {
        Change::new(setting, move |case| {
            case.longest.labels = case.longest.labels.min(tokens);
            case.longest.tokens = case.longest.tokens.min(tokens);
        })
    }
}

/// Settings each of which makes the run fit into `available` bytes, with what it then needs; where none does alone,
/// those that do together; nothing where nothing does.
pub(super) fn that_fit<B: Backend>(
    decoder: &Decoder<B>,
    recipe: &Recipe,
    (longest, examinations): (Longest, Examinations),
    available: u64,
) -> Vec<String> {
    let layers = decoder.config().layers;
    let chosen = recipe.gradient_checkpointing.everywhere(layers);
    // What loading has left behind would not be there.
    let needs = Needs { loading: 0, ..Needs::of(decoder, recipe, examinations) };
    let start = Case { needs, longest, layers: chosen.unwrap_or_else(|| vec![Checkpointing::Full; layers]) };
    let total = |changes: &[&Change]| {
        let mut case = start.clone();
        changes.iter().for_each(|change| (change.apply)(&mut case));
        MemoryPlan::with(decoder, case.needs, case.longest, &case.layers).total
    };
    let shown = |changes: &[&Change], bytes: u64| {
        let names: Vec<&str> = changes.iter().map(|change| change.setting.as_str()).collect();
        format!("`{}` ({})", names.join("` and `"), binary(bytes))
    };
    let changes = changes(decoder, recipe, longest);
    let alone: Vec<String> = changes
        .iter()
        .map(|change| ([change], total(&[change])))
        .filter(|(_, bytes)| *bytes <= available)
        .map(|(change, bytes)| shown(&change, bytes))
        .collect();
    if !alone.is_empty() {
        return alone;
    }
    let mut together: Vec<&Change> = Vec::new();
    for change in &changes {
        let before = total(&together);
        together.push(change);
        match total(&together) {
            bytes if bytes <= available => return vec![shown(&together, bytes)],
            bytes if bytes >= before => drop(together.pop()),
            _ => {}
        }
    }
    Vec::new()
}

/// What would save memory, the mildest first.
fn changes<B: Backend>(decoder: &Decoder<B>, recipe: &Recipe, longest: Longest) -> Vec<Change> {
    let mut changes = Vec::new();
    let keeps = [GradientCheckpointing::None, GradientCheckpointing::Attention];
    if keeps.contains(&recipe.gradient_checkpointing) {
        changes.push(Change::new("gradient_checkpointing: full", |case| {
            case.layers.fill(Checkpointing::Full);
        }));
    }
    if recipe.bf16 && !recipe.activations_8bit {
        changes.push(Change::new("activations_8bit: true", |case| case.needs.waiting = Waiting::Codes));
    }
    if recipe.optimizer == OptimizerKind::AdamwTorch {
        changes.push(Change::new("optimizer: adamw_8bit", |case| {
            case.needs.optimizer = OptimizerKind::Adamw8bit;
        }));
    }
    if longest.tokens > longest.example {
        let setting = match recipe.sample_packing {
            true => format!("micro_batch_tokens: {}", longest.example),
            false => "micro_batch_size: 1".to_owned(),
        };
        changes.push(Change::shorter(setting, longest.example));
    }
    changes.extend(smaller_adapter(decoder, recipe));
    if recipe.bench_steps > 0 {
        changes.push(Change::new("bench_steps: 0", |case| case.needs.examinations.during = 0));
    }
    if recipe.evaluation.max_answers > 0 {
        changes.push(Change::new("evaluation.max_answers: 0", |case| case.needs.examinations.answers = 0));
    }
    let lengths = [2, 4, 8].map(|part| longest.example / part);
    let lengths = lengths.into_iter().filter(|length| *length >= SHORTEST);
    changes.extend(lengths.map(|length| Change::shorter(format!("sequence_len: {length}"), length)));
    changes
}

/// An adapter instead of all weights, or on a base in four bits.
fn smaller_adapter<B: Backend>(decoder: &Decoder<B>, recipe: &Recipe) -> Option<Change> {
    let (setting, bytes) = match recipe.adapter {
        Adapter::Full if recipe.base_model.is_some() => ("adapter: lora", SIXTEEN_BITS),
        Adapter::Lora => ("adapter: qlora", FOUR_BITS),
        Adapter::Full | Adapter::Qlora => return None,
    };
    let c = decoder.config();
    let tables = c.vocab_size * c.hidden_size * if c.tie_word_embeddings { 1 } else { 2 };
    let projections = c.parameters().saturating_sub(tables);
    let values = adapter_values(decoder, recipe);
    // PiSSA keeps the adapter that it starts from beside the base.
    let is_pissa = matches!(recipe.init(), Some(InitLoraWeights::Pissa { .. }));
    let anchors = if is_pissa { 4 * values } else { 0 };
    let weights = (projections as f64 * bytes + tables as f64 * SIXTEEN_BITS) as u64 + anchors;
    Some(Change::new(setting, move |case| {
        // A base that is quantized on the disk is as small already.
        if case.needs.weights == 0 || weights < case.needs.weights {
            (case.needs.weights, case.needs.values) = (weights, values);
        }
    }))
}

/// Values of the recipe's adapter.
fn adapter_values<B: Backend>(decoder: &Decoder<B>, recipe: &Recipe) -> u64 {
    if recipe.adapter != Adapter::Full {
        return decoder.parameters.len() as u64;
    }
    let (c, a) = (decoder.config(), decoder.config().attention());
    let (h, i) = (c.hidden_size, c.intermediate_size);
    // q, k, v; o; gate and up; down: an input for each A, an output for each B.
    let widths = 3 * h + a.qkv_width() + a.q_width() + h + 2 * (h + i) + i + h;
    (c.layers * recipe.lora_r * widths) as u64
}
