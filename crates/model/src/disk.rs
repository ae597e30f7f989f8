//! Decoders from and to disk: bases with PEFT adapters, and Hugging Face folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use compute::{Backend, DType};
use formats::gguf::AdapterFile;
use formats::peft::{self, Part, Patterns, TargetModules, names_module};
use formats::safetensors::{TensorShape, write_with};
use formats::{AdapterConfig, Dtype, SafetensorsFile, TensorBytes};

use crate::gguf_adapter;
use crate::lora::{InitLoraWeights, LoraConfig, PROJECTIONS, Trainable, module_paths};
use crate::projection::{Module, Projection};
use crate::tensors::{LowRank, ModelPart};
use crate::weights::{Quantize, QuantizeOnLoad, encode};
use crate::{Base, Config, Decoder, Error, Parameter, Result};

/// A shape and its values.
type Shaped = (Vec<usize>, Vec<f32>);

impl<B: Backend> Decoder<B> {
    /// Loads the decoder in the Hugging Face folder or GGUF file `path`.
    ///
    /// # Errors
    /// When a file is missing, broken or describes a model that is not supported; when all of a quantized base should
    /// be trained.
    pub fn load(backend: Arc<B>, path: &Path, trainable: &Trainable) -> Result<Self> {
        Self::load_as(backend, path, trainable, None)
    }

    /// As [`Decoder::load`], with the projections in the storage of the file, or quantized as they are loaded.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn load_as(
        backend: Arc<B>,
        path: &Path,
        trainable: &Trainable,
        quantize: Option<Quantize>,
    ) -> Result<Self> {
        let base = Base::open(path)?;
        let config = base.config().clone();
        let decoder = match quantize {
            Some(bits) => Decoder::new(backend, config, &QuantizeOnLoad::new(&base, bits), trainable)?,
            None => Decoder::new(backend, config, &base, trainable)?,
        };
        base.refuse_strays()?;
        Ok(decoder)
    }

    /// Loads the decoder in `path`, quantized or not, with the adapter in `adapter`, which can be trained on: a folder as
    /// PEFT saves it, or a GGUF file as llama.cpp loads it.
    ///
    /// # Errors
    /// As [`Decoder::load`]; also when the adapter does not fit the decoder.
    pub fn load_with_adapter(
        backend: Arc<B>,
        path: &Path,
        adapter: &Path,
        quantize: Option<Quantize>,
    ) -> Result<Self> {
        if adapter.is_file() {
            return Self::load_with_gguf_adapter(backend, path, adapter, quantize);
        }
        let (settings, file) = peft::read(adapter)?;
        let config = lora_config(&settings, file.names(), Base::open(path)?.config())?;
        let trainable = Trainable::Lora { config, seed: 0 };
        let mut decoder = Decoder::load_as(backend, path, &trainable, quantize)?;
        decoder.fill_from_peft(&file)?;
        Ok(decoder)
    }

    /// The adapter in `adapter`, a folder or file as in [`Decoder::load_with_adapter`], on this decoder's base, which
    /// both share.
    ///
    /// # Errors
    /// As [`Decoder::with_another`]; also when the adapter cannot be read.
    pub fn load_another(&self, adapter: &Path) -> Result<Self> {
        if adapter.is_file() {
            let file = AdapterFile::open(adapter)?;
            let mut decoder = self.with_another(gguf_adapter::lora_config(&file, &self.config)?, 0)?;
            decoder.fill_from_gguf(&file)?;
            return Ok(decoder);
        }
        let (settings, file) = peft::read(adapter)?;
        let mut decoder = self.with_another(lora_config(&settings, file.names(), &self.config)?, 0)?;
        decoder.fill_from_peft(&file)?;
        Ok(decoder)
    }

    fn fill_from_peft(&mut self, file: &SafetensorsFile) -> Result<()> {
        let mut used = 0;
        for parameter in self.parameters.list.clone() {
            let name = peft_name(&parameter);
            let (_, shape) = file.info(&name)?;
            if shape != parameter.shape() {
                let (expected, got) = (parameter.shape(), shape.to_vec());
                let origin = file.path().display().to_string();
                return Err(Error::TensorShape { origin, tensor: name, expected, got });
            }
            let values = parameter.from_disk(file.f32(&name)?);
            self.backend.write(&mut self.parameters.values, parameter.offset, &values);
            used += 1;
        }
        for name in file.names() {
            // PEFT saves the base below the adapter of an embedding or head beside it.
            if let Some((module, Part::Base)) = peft::parse_tensor_name(name) {
                self.check_base(module, &file.f32(name)?)?;
                used += 1;
            }
        }
        let stray = file.names().count() - used;
        if stray > 0 {
            let path = file.path().display();
            return Err(Error::Adapter(format!(
                "{path}: {stray} tensors belong to no projection of this model"
            )));
        }
        Ok(())
    }

    fn load_with_gguf_adapter(
        backend: Arc<B>,
        path: &Path,
        adapter: &Path,
        quantize: Option<Quantize>,
    ) -> Result<Self> {
        let file = AdapterFile::open(adapter)?;
        let config = gguf_adapter::lora_config(&file, Base::open(path)?.config())?;
        let mut decoder = Decoder::load_as(backend, path, &Trainable::Lora { config, seed: 0 }, quantize)?;
        decoder.fill_from_gguf(&file)?;
        Ok(decoder)
    }

    /// Saves the adapter as PEFT does; `base` is where its base came from.
    ///
    /// # Errors
    /// When there is no adapter, or the system refuses.
    pub fn save_adapter(&self, dir: &Path, base: &str) -> Result<()> {
        let Some(lora) = &self.adapter else { return Err(Error::Adapter("this model has none".into())) };
        // PiSSA's is saved as PEFT converts it: a plain adapter of twice the rank, which carries along the part that was
        // taken off the base, and so fits the base as it is.
        let lora = &if lora.init.is_pissa() { lora.doubled() } else { lora.clone() };
        let mut settings = AdapterConfig::new(lora.rank, f64::from(lora.alpha), lora.targets.clone());
        settings.use_rslora = lora.rslora;
        settings.use_dora = lora.dora;
        settings.modules_to_save = (!lora.modules_to_save.is_empty()).then(|| lora.modules_to_save.clone());
        settings.lora_dropout = lora.dropout;
        settings.rank_pattern = lora.rank_pattern.clone();
        settings.alpha_pattern =
            lora.alpha_pattern.iter().map(|(key, alpha)| (key.clone(), f64::from(*alpha))).collect();
        settings.base_model_name_or_path = Some(base.to_owned());
        let mut tensors: BTreeMap<String, Shaped> = BTreeMap::new();
        for p in &self.parameters.list {
            let values = p.on_disk(self.parameters.read(&self.backend, p));
            tensors.insert(peft_name(p), (p.shape(), values));
        }
        for (l, group, module) in self.modules().filter(|(_, group, _)| group.anchor.is_some()) {
            let path = format!("model.layers.{l}.{}", module.name);
            tensors.extend(self.converted(&path, group, module));
        }
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, (shape, values))| (name, shape, encode(&values, DType::F32)))
            .collect();
        let views: Vec<TensorBytes<'_>> = tensors
            .iter()
            .map(|(name, shape, bytes)| TensorBytes { name, dtype: Dtype::F32, shape, bytes })
            .collect();
        Ok(peft::write(dir, &settings, &views)?)
    }

    /// Both sides of one module's adapter under PEFT's names, as [`Decoder::low_rank`] has them.
    fn converted(&self, path: &str, group: &Projection<B>, module: &Module<B>) -> Vec<(String, Shaped)> {
        let Some(LowRank { a, b, .. }) = self.low_rank(group, module) else { return Vec::new() };
        let (rows, cols) = (module.weight.rows, module.weight.cols);
        let rank = a.len() / cols;
        vec![
            (peft::tensor_name(path, Part::A), (vec![rank, cols], a)),
            (peft::tensor_name(path, Part::B), (vec![rows, rank], b)),
        ]
    }

    /// Saves `config.json` and `model.safetensors`, adapters merged, in `dtype`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save(&self, dir: &Path, dtype: DType, (bos, eos): (Option<u32>, Option<u32>)) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let (name, stored) = match dtype {
            DType::F32 => ("float32", Dtype::F32),
            DType::F16 => ("float16", Dtype::F16),
            DType::Bf16 => ("bfloat16", Dtype::BF16),
        };
        let (tensors, parts): (Vec<TensorShape>, Vec<ModelPart<'_, B>>) = self
            .parts(true)
            .map(|(name, part)| (TensorShape { name, dtype: stored, shape: part.shape() }, part))
            .unzip();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        // One tensor at a time: a merged model may be larger than what is left beside this one.
        write_with(dir.join("model.safetensors"), &tensors, &metadata, |number, writer| {
            writer.write_all(&encode(&self.part_values(parts[number], true), dtype))
        })?;
        let mut text = format!("{:#}", self.merged_config().to_json(name, bos, eos));
        text.push('\n');
        Ok(formats::atomic::write_atomic(dir.join("config.json"), text.as_bytes())?)
    }
}

/// PEFT's name of an adapter's parameter such as `model.layers.0.self_attn.q_proj.lora_A.weight`.
pub fn peft_name(parameter: &Parameter) -> String {
    format!("base_model.model.{}", parameter.name)
}

/// The shape of a PEFT adapter for the decoder of `config`. Which modules it has is read from its tensors, since
/// `target_modules` may be a pattern, and layers or modules may be excluded.
fn lora_config<'a>(
    settings: &AdapterConfig,
    names: impl Iterator<Item = &'a str>,
    config: &Config,
) -> Result<LoraConfig> {
    let adapter =
        |n: &'a str| peft::parse_tensor_name(n).filter(|(_, p)| matches!(p, Part::A | Part::EmbeddingA));
    let present: BTreeSet<&str> = names.filter_map(|n| Some(adapter(n)?.0)).collect();
    let saved = settings.modules_to_save.as_deref().unwrap_or_default();
    let modules = module_paths(config).filter(|module| !saved.iter().any(|name| names_module(name, module)));
    let modules: Vec<String> = modules.collect();
    let (adapted, plain): (Vec<String>, Vec<String>) =
        modules.into_iter().partition(|module| present.contains(module.as_str()));
    if let Some(TargetModules::Names(named)) =
        settings.target_modules.as_ref().filter(|_| !settings.narrows_targets())
    {
        let means = |name: &String, modules: &[String]| modules.iter().any(|m| names_module(name, m));
        if let Some(missing) = named.iter().find(|name| !means(name, &adapted)) {
            return Err(Error::Adapter(format!(
                "target {missing} has no tensors, or is no projection of a layer"
            )));
        }
        if let Some(missing) = plain.iter().find(|module| named.iter().any(|name| names_module(name, module)))
        {
            return Err(Error::Adapter(format!("module {missing} is targeted and has no tensors")));
        }
    }
    // By the file's names or by short ones where these mean the same modules.
    let means_all = |names: &[String]| {
        let named = |module: &String| names.iter().any(|name| names_module(name, module));
        adapted.iter().all(named) && !plain.iter().any(named)
    };
    let short: Vec<String> = PROJECTIONS
        .iter()
        .chain(&["embed_tokens", "lm_head"])
        .filter(|name| adapted.iter().any(|module| names_module(name, module)))
        .map(|name| (*name).to_owned())
        .collect();
    let targets = match &settings.target_modules {
        Some(TargetModules::Names(named)) if means_all(named) => named.clone(),
        _ if means_all(&short) => short,
        _ => adapted.clone(),
    };
    let mut lora = LoraConfig {
        rank: settings.r,
        alpha: settings.lora_alpha as f32,
        rslora: settings.use_rslora,
        targets,
        rank_pattern: settings.rank_pattern.clone(),
        alpha_pattern: settings
            .alpha_pattern
            .iter()
            .map(|(key, alpha)| (key.clone(), *alpha as f32))
            .collect(),
        modules_to_save: settings.modules_to_save.clone().unwrap_or_default(),
        dropout: settings.lora_dropout,
        dora: settings.use_dora,
        init: InitLoraWeights::Default,
    };
    // As in PEFT, a pattern that matches nothing means nothing.
    retain_matching(&mut lora.rank_pattern, &adapted);
    retain_matching(&mut lora.alpha_pattern, &adapted);
    Ok(lora)
}

fn retain_matching<T: Copy>(patterns: &mut BTreeMap<String, T>, modules: &[String]) {
    let Ok(compiled) = Patterns::new(patterns) else { return };
    for pattern in compiled.unmatched(modules) {
        patterns.remove(pattern);
    }
}
