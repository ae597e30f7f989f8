//! Where adapters begin: their places among the trainable values, and their values before the first step.

use compute::{Backend, DType};

use crate::Result;
use crate::adapters::Anchor;
use crate::decoder::Builder;
use crate::lora::{AdapterShape, InitLoraWeights, LoraConfig, PROJECTIONS};
use crate::principal::{Principal, Wanted, principal};
use crate::projection::{GroupAdapter, Module, ModuleAdapter, ModuleDora, Projection, Stored};

/// A layer, and what the groups of it that are built take so far.
#[derive(Debug)]
pub(crate) struct AdapterPlace {
    pub(crate) layer: usize,
    /// Sum of their ranks.
    pub(crate) ranks: usize,
    /// Sum of their outputs, with DoRA.
    pub(crate) outputs: usize,
}

/// One module's adapter before it has a place.
struct Start {
    path: String,
    shape: AdapterShape,
    /// `[R, K]`.
    a: Vec<f32>,
    /// `[N, R]`.
    b: Vec<f32>,
}

impl<B: Backend> Builder<'_, B> {
    /// Gives the modules of `group` their adapters.
    pub(crate) fn adapters(
        &mut self,
        group: &mut Projection<B>,
        (config, seed): (&LoraConfig, u64),
        place: &mut AdapterPlace,
    ) -> Result<()> {
        let mut starts = Vec::new();
        for module in &group.modules {
            starts.push(self.start(place.layer, module, config.init, seed)?);
        }
        if starts.iter().all(Option::is_none) {
            return Ok(());
        }
        if config.init.is_pissa() {
            group.anchor = Some(self.anchor(group, starts.iter().flatten())?);
        }
        // The `A` sides of a group lie together, as one product makes them.
        let mut first = None;
        for start in starts.iter_mut().flatten() {
            let (name, a) = (format!("{}.lora_A.weight", start.path), std::mem::take(&mut start.a));
            let offset = self.layout.push(name, start.shape.rank, group.input, a);
            first.get_or_insert(offset);
        }
        let mut column = 0;
        for (module, start) in group.modules.iter_mut().zip(starts) {
            let Some(Start { path, shape: AdapterShape { rank, scale }, b, .. }) = start else { continue };
            let b = self.layout.push(format!("{path}.lora_B.weight"), module.weight.rows, rank, b);
            let number = place.layer * PROJECTIONS.len() + place_in_layer(module.name);
            let dora = if config.dora { self.dora(module, &path) } else { None };
            module.adapter = Some(ModuleAdapter { b, column, rank, scale, number: number as u64, dora });
            column += rank;
        }
        group.adapter = Some(GroupAdapter {
            a: first.unwrap_or_default(),
            rank: column,
            column: place.ranks,
            dropout: config.dropout as f32,
            dora: config.dora.then_some(place.outputs),
        });
        place.ranks += column;
        place.outputs += if config.dora { group.output } else { 0 };
        Ok(())
    }

    /// The start of a module's adapter, if it has one: PEFT's, with `A` by kaiming_uniform with a = sqrt(5), which is
    /// uniform in ±1/sqrt(K), and `B` zero; or PiSSA's.
    fn start(
        &self,
        layer: usize,
        module: &Module<B>,
        init: InitLoraWeights,
        seed: u64,
    ) -> Result<Option<Start>> {
        let path = format!("model.layers.{layer}.{}", module.name);
        let Some(shape) = self.adapters.of(&path) else { return Ok(None) };
        let (rows, cols, name) = (module.weight.rows, module.weight.cols, format!("{path}.lora_A.weight"));
        let (a, b) = match (init, &module.weight.stored) {
            (InitLoraWeights::Pissa { passes }, Stored::Frozen(weight)) => {
                let wanted = Wanted { rank: shape.rank, scale: shape.scale, passes, seed: (seed, &name) };
                let Principal { a, b } = principal(self.backend, weight, wanted)?;
                (a, b)
            }
            _ => {
                let bound = 1.0 / (cols as f32).sqrt();
                let a = crate::random::uniform(seed, &name, bound, shape.rank * cols).collect();
                (a, vec![0.0; rows * shape.rank])
            }
        };
        Ok(Some(Start { path, shape, a, b }))
    }

    fn anchor<'s>(
        &self,
        group: &Projection<B>,
        starts: impl Iterator<Item = &'s Start> + Clone,
    ) -> Result<Anchor<B>> {
        let ranks: usize = starts.clone().map(|start| start.shape.rank).sum();
        let mut down = vec![0.0; group.input * ranks];
        let (mut column, mut ups) = (0, Vec::new());
        for Start { shape: AdapterShape { rank, scale }, a, b, .. } in starts {
            for (q, row) in a.chunks_exact(group.input).enumerate() {
                for (k, &value) in row.iter().enumerate() {
                    down[k * ranks + column + q] = value;
                }
            }
            let up: Vec<f32> = b.iter().map(|b| -scale * b).collect();
            ups.push(self.anchor_side(b.len() / rank, *rank, &up)?);
            column += rank;
        }
        Ok(Anchor { down: self.anchor_side(group.input, ranks, &down)?, ups })
    }

    fn anchor_side(&self, rows: usize, cols: usize, values: &[f32]) -> Result<B::Weight> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(self.backend.weight(DType::F32, rows, cols, &bytes)?)
    }

    /// The lengths of a weight's rows, which start as the base has them.
    fn dora(&mut self, module: &Module<B>, path: &str) -> Option<ModuleDora> {
        let Stored::Frozen(weight) = &module.weight.stored else { return None };
        let norm = self.squares.len();
        let square = |row: &[f32]| row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() as f32;
        let weight = self.backend.read_weight(weight);
        self.squares.extend(weight.chunks_exact(module.weight.cols).map(square));
        // As the device takes the root, so that an adapter that has learned nothing changes no bit.
        let lengths = self.squares[norm..].iter().map(|&square| f64::from(square).sqrt() as f32).collect();
        let magnitude = self.layout.push_vector(format!("{path}.lora_magnitude_vector"), lengths);
        Some(ModuleDora { magnitude, norm })
    }
}

/// The number of a projection in its layer, from its path below the layer.
fn place_in_layer(name: &str) -> usize {
    let last = name.rsplit('.').next().unwrap_or_default();
    PROJECTIONS.iter().position(|projection| *projection == last).unwrap_or_default()
}
