//! Decoders from and to disk: Hugging Face folders and PEFT adapters.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use compute::{Backend, DType};
use formats::peft::{self, Part, Patterns, TargetModules, names_module};
use formats::quant::{Bnb4Options, QuantizedMatrix};
use formats::{AdapterConfig, Checkpoint, Dtype, TensorBytes};

use crate::lora::{InitLoraWeights, LoraConfig, PROJECTIONS, Trainable, module_paths};
use crate::projection::{Module, Projection};
use crate::tensors::LowRank;
use crate::weights::{QuantizeOnLoad, StoredTensor, TensorSource};
use crate::{Config, Decoder, Error, Parameter, Result};

impl TensorSource for Checkpoint {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        if !self.contains(name) {
            return Err(Error::MissingTensor { origin: self.origin(), tensor: name.to_owned() });
        }
        let tensor = Checkpoint::tensor(self, name)?;
        let dtype = match tensor.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::Bf16,
            other => {
                let dtype = format!("{other:?}");
                return Err(Error::TensorType { origin: self.origin(), tensor: name.to_owned(), dtype });
            }
        };
        Ok(StoredTensor { dtype, shape: tensor.shape, bytes: tensor.bytes })
    }

    fn origin(&self) -> String {
        self.path().display().to_string()
    }
}

/// A shape and its values.
type Shaped = (Vec<usize>, Vec<f32>);

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A checkpoint that notes which of its tensors were taken.
struct Noting<'a> {
    checkpoint: &'a Checkpoint,
    used: RefCell<BTreeSet<String>>,
}

impl TensorSource for Noting<'_> {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        self.used.borrow_mut().insert(name.to_owned());
        TensorSource::tensor(self.checkpoint, name)
    }

    fn quantized(&self, name: &str) -> Result<Option<QuantizedMatrix>> {
        let matrix = self.checkpoint.quantized(name)?;
        if matrix.is_some() {
            self.used.borrow_mut().insert(name.to_owned());
        }
        Ok(matrix)
    }

    fn origin(&self) -> String {
        self.checkpoint.origin()
    }
}

impl Noting<'_> {
    /// A tensor that nothing reads belongs to a feature that the config does not name.
    fn refuse_strays(&self, config: &Config) -> Result<()> {
        let used = self.used.borrow();
        let harmless = |name: &str| name == HEAD || name.ends_with(".rotary_emb.inv_freq");
        let mut strays = self.checkpoint.names().filter(|name| !used.contains(*name) && !harmless(name));
        let Some(first) = strays.next() else { return Ok(()) };
        let (count, family) = (1 + strays.count(), config.features.family.model_type());
        Err(Error::Unsupported {
            path: self.checkpoint.path().to_owned(),
            reason: format!(
                "the {family} decoder of its config has no place for {count} tensors, such as {first}"
            ),
        })
    }
}

impl<B: Backend> Decoder<B> {
    /// Loads the decoder in the Hugging Face folder `dir`.
    ///
    /// # Errors
    /// When a file is missing, broken or describes a model that is not supported.
    pub fn load(backend: Arc<B>, dir: &Path, trainable: &Trainable) -> Result<Self> {
        Self::load_as(backend, dir, trainable, None)
    }

    /// As [`Decoder::load`], with the projections in the storage of the checkpoint, or quantized as they are loaded.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn load_as(
        backend: Arc<B>,
        dir: &Path,
        trainable: &Trainable,
        quantize: Option<Bnb4Options>,
    ) -> Result<Self> {
        let mut config = Config::from_dir(dir)?;
        let checkpoint = Checkpoint::open(dir)?;
        // As transformers 5 does: a head that is stored and differs from the embedding is not tied to it.
        if config.tie_word_embeddings && checkpoint.contains(HEAD) {
            config.tie_word_embeddings =
                checkpoint.tensor(HEAD)?.bytes == checkpoint.tensor(EMBEDDING)?.bytes;
        }
        let source = Noting { checkpoint: &checkpoint, used: RefCell::default() };
        let decoder = match quantize {
            Some(options) => {
                let source = QuantizeOnLoad { source: &source, options };
                Decoder::new(backend, config, &source, trainable)?
            }
            None => Decoder::new(backend, config, &source, trainable)?,
        };
        source.refuse_strays(&decoder.config)?;
        Ok(decoder)
    }

    /// Loads the decoder in `dir`, quantized or not, with the PEFT adapter in `adapter`, which can be trained on.
    ///
    /// # Errors
    /// As [`Decoder::load`]; also when the adapter does not fit the decoder.
    pub fn load_with_adapter(
        backend: Arc<B>,
        dir: &Path,
        adapter: &Path,
        quantize: Option<Bnb4Options>,
    ) -> Result<Self> {
        let (settings, file) = peft::read(adapter)?;
        let config = lora_config(&settings, file.names(), &Config::from_dir(dir)?)?;
        let trainable = Trainable::Lora { config, seed: 0 };
        let mut decoder = Decoder::load_as(backend, dir, &trainable, quantize)?;
        let mut used = 0;
        for parameter in decoder.parameters.list.clone() {
            let name = peft_name(&parameter);
            let (_, shape) = file.info(&name)?;
            if shape != parameter.shape() {
                let (expected, got) = (parameter.shape(), shape.to_vec());
                let origin = file.path().display().to_string();
                return Err(Error::TensorShape { origin, tensor: name, expected, got });
            }
            let values = parameter.from_disk(file.f32(&name)?);
            decoder.backend.write(&mut decoder.parameters.values, parameter.offset, &values);
            used += 1;
        }
        for name in file.names() {
            // PEFT saves the base below the adapter of an embedding or head beside it.
            if let Some((module, Part::Base)) = peft::parse_tensor_name(name) {
                decoder.check_base(module, &file.f32(name)?)?;
                used += 1;
            }
        }
        let stray = file.names().count() - used;
        if stray > 0 {
            let path = adapter.display();
            return Err(Error::Adapter(format!(
                "{path}: {stray} tensors belong to no projection of this model"
            )));
        }
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

    /// `[A; A₀]` and `[B, -B₀]` of one module under PEFT's names.
    fn converted(&self, path: &str, group: &Projection<B>, module: &Module<B>) -> Vec<(String, Shaped)> {
        let (rows, cols) = (module.weight.rows, module.weight.cols);
        let parts = self.low_ranks(group, module);
        let [LowRank { scale, a, b }, LowRank { a: a0, b: b0, .. }] = &parts[..] else { return Vec::new() };
        let rank = a.len() / cols;
        let mut up = Vec::with_capacity(2 * rows * rank);
        for (b, b0) in b.chunks_exact(rank).zip(b0.chunks_exact(rank)) {
            up.extend(b);
            up.extend(b0.iter().map(|b0| (f64::from(*b0) / scale) as f32));
        }
        vec![
            (peft::tensor_name(path, Part::A), (vec![2 * rank, cols], [&a[..], a0].concat())),
            (peft::tensor_name(path, Part::B), (vec![rows, 2 * rank], up)),
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
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> =
            self.merged().map(|(name, t)| (name, t.shape.clone(), encode(&t.to_f32(), dtype))).collect();
        let views: Vec<TensorBytes<'_>> = tensors
            .iter()
            .map(|(name, shape, bytes)| TensorBytes { name, dtype: stored, shape, bytes })
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        formats::safetensors::write(dir.join("model.safetensors"), &views, &metadata)?;
        let mut text = format!("{:#}", self.merged_config().to_json(name, bos, eos));
        text.push('\n');
        Ok(formats::atomic::write_atomic(dir.join("config.json"), text.as_bytes())?)
    }
}

fn encode(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F16 => values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect(),
        DType::Bf16 => values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect(),
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
