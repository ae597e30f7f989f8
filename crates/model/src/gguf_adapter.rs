//! LoRA adapters in GGUF, as llama.cpp loads them on a base of the same format.

use std::collections::BTreeSet;
use std::path::Path;

use compute::Backend;
use formats::gguf::{self, AdapterFactors, AdapterFile, AdapterTensor, GgufAdapter};

use crate::lora::{HEAD, LoraConfig, PROJECTIONS};
use crate::tensors::LowRank;
use crate::weights::RandomStart;
use crate::{Config, Decoder, Error, Parameter, Result};

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
    Ok(LoraConfig { targets: targets.collect(), ..LoraConfig::all(rank, alpha) })
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

    /// Refuses what is trained beside or beyond the adapters of projections: the format has no place for it.
    ///
    /// # Errors
    /// [`Error::Adapter`] with the first of it.
    pub fn check_gguf_adapter(&self) -> Result<()> {
        let fits = |p: &&Parameter| {
            let module =
                [".lora_A.weight", ".lora_B.weight"].iter().find_map(|side| p.name.strip_suffix(side));
            module.is_some_and(|module| module != HEAD)
        };
        match self.parameters.list.iter().find(|p| !fits(p)) {
            Some(other) => Err(Error::Adapter(format!("{} has no place in an adapter in GGUF", other.name))),
            None => Ok(()),
        }
    }

    /// Saves the adapter as llama.cpp loads it beside a base in GGUF, under the name `name`. What it adds is what the
    /// adapter adds here, the scales of rsLoRA and of single modules included; PiSSA's has twice the rank, as for PEFT.
    ///
    /// # Errors
    /// As [`Decoder::check_gguf_adapter`]; also when there is no adapter, or the system refuses.
    pub fn save_gguf_adapter(&self, path: &Path, name: &str) -> Result<()> {
        self.check_gguf_adapter()?;
        let factors: Vec<(String, usize, LowRank)> = self
            .modules()
            .filter_map(|(layer, group, module)| {
                let factors = self.low_rank(group, module)?;
                let rank = factors.a.len() / module.weight.cols;
                Some((format!("model.layers.{layer}.{}", module.name), rank, factors))
            })
            .collect();
        let tensors: Vec<AdapterTensor<'_>> = factors
            .iter()
            .map(|(module, rank, LowRank { scale, a, b })| AdapterTensor {
                module,
                scale: *scale,
                rank: *rank,
                a,
                b,
            })
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
