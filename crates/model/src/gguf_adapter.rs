//! LoRA adapters in GGUF, as llama.cpp loads them on a base of the same format.

use std::collections::BTreeSet;
use std::path::Path;

use compute::Backend;
use formats::gguf::{self, AdapterFactors, AdapterFile, AdapterTensor, GgufAdapter};

use crate::lora::{LoraConfig, PROJECTIONS};
use crate::weights::RandomStart;
use crate::{Config, Decoder, Error, Result};

/// The file's name in the folder of an adapter.
pub const GGUF_ADAPTER: &str = "adapter.gguf";

/// The shape of the adapter in `file`, for a base of `config`: the largest rank of its modules, and the projections
/// that any layer has one for. Every factor fits the base, so that the file is not small beside what is made of it.
pub(crate) fn lora_config(file: &AdapterFile, config: &Config) -> Result<LoraConfig> {
    let path = file.path().display();
    let (given, own) = (file.architecture()?, config.gguf_architecture());
    if given != own {
        return Err(Error::Adapter(format!(
            "{path} is for a base of architecture {given}, this one is {own}"
        )));
    }
    let shapes = RandomStart::new(config.clone(), 0);
    let (mut rank, mut present) = (0, BTreeSet::new());
    for module in file.modules() {
        let (module, extents) = module?;
        let name = module.rsplit('.').next().unwrap_or_default();
        let shape = shapes.shape(&format!("{module}.weight")).filter(|_| PROJECTIONS.contains(&name));
        let Some([rows, columns]) = shape.and_then(|shape| <[usize; 2]>::try_from(shape).ok()) else {
            return Err(Error::Adapter(format!("{path}: {module} is no projection of a layer")));
        };
        for (side, expected, got) in [
            ("A", [extents.rank, columns], [extents.rank, extents.columns]),
            ("B", [rows, extents.rank], [extents.rows, extents.rank]),
        ] {
            if expected != got {
                return Err(Error::TensorShape {
                    origin: path.to_string(),
                    tensor: format!("{module}.lora_{side}.weight"),
                    expected: expected.to_vec(),
                    got: got.to_vec(),
                });
            }
        }
        rank = rank.max(extents.rank);
        present.insert(name.to_owned());
    }
    let targets = PROJECTIONS.iter().filter(|name| present.contains(**name)).map(|name| (*name).to_owned());
    let alpha = (file.scale(rank) * rank as f64) as f32;
    Ok(LoraConfig { rank, alpha, rslora: false, targets: targets.collect() })
}

impl<B: Backend> Decoder<B> {
    /// Fills the adapter with the factors in `file`. Modules of lower rank are filled up with zeros, and modules that
    /// the file leaves out have no effect.
    pub(crate) fn fill_from_gguf(&mut self, file: &AdapterFile) -> Result<()> {
        let full_rank = self.adapter.as_ref().map_or(1, |lora| lora.rank);
        for factors in file.factors(self.config.interleaved_heads()) {
            let AdapterFactors { module, scale, rank, a, b } = factors?;
            let (cols, rows) = (a.len() / rank, b.len() / rank);
            // The decoder has one scale for all ranks.
            let factor = scale / file.scale(full_rank);
            self.fill_factor(file, &format!("{module}.lora_A.weight"), [rank, cols], a.into_iter())?;
            let b = b.into_iter().map(|value| (f64::from(value) * factor) as f32);
            self.fill_factor(file, &format!("{module}.lora_B.weight"), [rows, rank], b)?;
        }
        Ok(())
    }

    /// Writes `values` `[rows, cols]` into the upper left corner of a parameter, and zeros into the rest of it.
    fn fill_factor(
        &mut self,
        file: &AdapterFile,
        name: &str,
        [rows, cols]: [usize; 2],
        mut values: impl Iterator<Item = f32>,
    ) -> Result<()> {
        let Some(parameter) = self.parameters.list.iter().find(|p| p.name == name).cloned() else {
            let path = file.path().display();
            return Err(Error::Adapter(format!("{path}: {name} belongs to no module of this model")));
        };
        let shape = parameter.shape();
        let mut filled = vec![0.0; shape[0] * shape[1]];
        for row in filled.chunks_exact_mut(shape[1]).take(rows) {
            row[..cols].iter_mut().zip(&mut values).for_each(|(to, from)| *to = from);
        }
        self.backend.write(&mut self.parameters.values, parameter.offset, &filled);
        Ok(())
    }

    /// Saves the adapter as llama.cpp loads it beside a base in GGUF, under the name `name`. What it adds is what the
    /// adapter adds here, rsLoRA's scale included.
    ///
    /// # Errors
    /// When there is no adapter, something else is trained beside it that the format has no place for, or the system
    /// refuses.
    pub fn save_gguf_adapter(&self, path: &Path, name: &str) -> Result<()> {
        let sides = [".lora_A.weight", ".lora_B.weight"];
        let other = |p: &&crate::Parameter| !sides.iter().any(|side| p.name.ends_with(side));
        if let Some(other) = self.parameters.list.iter().find(other) {
            let what = format!("{} has no place in an adapter in GGUF", other.name);
            return Err(Error::Adapter(what));
        }
        let mut factors = Vec::new();
        for (layer, group, module) in self.modules() {
            let (Some(shared), Some(own)) = (group.adapter, module.adapter) else { continue };
            let (rows, cols, rank) = (module.weight.rows, module.weight.cols, own.rank);
            let (mut a, mut b) = (vec![0.0; rank * cols], vec![0.0; rows * rank]);
            self.backend.read(&self.parameters.values, shared.a + own.column * cols, &mut a);
            self.backend.read(&self.parameters.values, own.b, &mut b);
            let module = format!("model.layers.{layer}.{}", module.name);
            factors.push((module, f64::from(shared.scale), rank, a, b));
        }
        let tensors: Vec<AdapterTensor<'_>> = factors
            .iter()
            .map(|(module, scale, rank, a, b)| AdapterTensor { module, scale: *scale, rank: *rank, a, b })
            .collect();
        let adapter = GgufAdapter {
            architecture: self.config.gguf_architecture(),
            name,
            interleaved_heads: self.config.interleaved_heads(),
            tensors: &tensors,
        };
        Ok(gguf::write_adapter(path, &adapter)?)
    }
}
