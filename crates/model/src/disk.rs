//! Decoders from and to disk: Hugging Face folders and PEFT adapters.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use compute::{Backend, DType};
use formats::peft::{self, Part, TargetModules};
use formats::quant::{Bnb4Options, QuantizedMatrix};
use formats::{AdapterConfig, Checkpoint, Dtype, TensorBytes};

use crate::lora::{LoraConfig, PROJECTIONS, Trainable};
use crate::weights::{QuantizeOnLoad, StoredTensor, TensorSource};
use crate::{Config, Decoder, Error, Parameter, Result, read_range};

impl TensorSource for Checkpoint {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        let (dtype, shape) = stored(self, name)?;
        Ok(StoredTensor { dtype, shape, bytes: Checkpoint::tensor(self, name)?.bytes })
    }

    fn info(&self, name: &str) -> Result<Option<(DType, Vec<usize>)>> {
        stored(self, name).map(Some)
    }

    fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        Ok(Checkpoint::read_into(self, name, into)?)
    }

    fn origin(&self) -> String {
        self.path().display().to_string()
    }
}

/// Type and shape of a tensor, from the header of its file.
fn stored(checkpoint: &Checkpoint, name: &str) -> Result<(DType, Vec<usize>)> {
    let origin = || checkpoint.path().display().to_string();
    if !checkpoint.contains(name) {
        return Err(Error::MissingTensor { origin: origin(), tensor: name.to_owned() });
    }
    let (dtype, shape) = checkpoint.info(name)?;
    let dtype = match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::Bf16,
        other => {
            let dtype = format!("{other:?}");
            return Err(Error::TensorType { origin: origin(), tensor: name.to_owned(), dtype });
        }
    };
    Ok((dtype, shape.to_vec()))
}

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

    fn info(&self, name: &str) -> Result<Option<(DType, Vec<usize>)>> {
        TensorSource::info(self.checkpoint, name)
    }

    fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        self.used.borrow_mut().insert(name.to_owned());
        TensorSource::read_into(self.checkpoint, name, into)
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
                let source = QuantizeOnLoad::new(&source, options);
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
        let config = lora_config(&settings, file.names())?;
        let trainable = Trainable::Lora { config, seed: 0 };
        let mut decoder = Decoder::load_as(backend, dir, &trainable, quantize)?;
        let mut used = 0;
        for parameter in decoder.parameters.list.clone() {
            let name = peft_name(&parameter.name);
            let (_, shape) = file.info(&name)?;
            if shape != parameter.shape() {
                let (expected, got) = (parameter.shape(), shape.to_vec());
                let origin = file.path().display().to_string();
                return Err(Error::TensorShape { origin, tensor: name, expected, got });
            }
            let values = file.f32(&name)?;
            decoder.backend.write(&mut decoder.parameters.values, parameter.offset, &values);
            used += 1;
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
        let mut settings = AdapterConfig::new(lora.rank, f64::from(lora.alpha), lora.targets.clone());
        settings.use_rslora = lora.rslora;
        settings.base_model_name_or_path = Some(base.to_owned());
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .parameters
            .list
            .iter()
            .map(|p| (peft_name(&p.name), p.shape(), self.parameter_bytes(p)))
            .collect();
        let views: Vec<TensorBytes<'_>> = tensors
            .iter()
            .map(|(name, shape, bytes)| TensorBytes { name, dtype: Dtype::F32, shape, bytes })
            .collect();
        Ok(peft::write(dir, &settings, &views)?)
    }

    fn parameter_bytes(&self, parameter: &Parameter) -> Vec<u8> {
        let values = read_range(&*self.backend, &self.parameters.values, parameter);
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
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
            self.merged().map(|(name, t)| (name, t.shape.clone(), t.to(dtype).bytes)).collect();
        let views: Vec<TensorBytes<'_>> = tensors
            .iter()
            .map(|(name, shape, bytes)| TensorBytes { name, dtype: stored, shape, bytes })
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        formats::safetensors::write(dir.join("model.safetensors"), &views, &metadata)?;
        let mut text = format!("{:#}", self.config.to_json(name, bos, eos));
        text.push('\n');
        Ok(formats::atomic::write_atomic(dir.join("config.json"), text.as_bytes())?)
    }
}

/// PEFT's name of an adapter's parameter `model.layers.0.self_attn.q_proj.lora_A.weight`.
fn peft_name(parameter: &str) -> String {
    let module = |side| parameter.strip_suffix(side);
    if let Some(module) = module(".lora_A.weight") {
        return peft::tensor_name(module, Part::A);
    }
    if let Some(module) = module(".lora_B.weight") {
        return peft::tensor_name(module, Part::B);
    }
    parameter.to_owned()
}

/// The shape of a PEFT adapter. Which projections it has is read from its tensors, since `target_modules` may be a
/// pattern.
fn lora_config<'a>(settings: &AdapterConfig, names: impl Iterator<Item = &'a str>) -> Result<LoraConfig> {
    if !settings.rank_pattern.is_empty() || !settings.alpha_pattern.is_empty() {
        return Err(Error::Adapter("rank_pattern and alpha_pattern are not supported".into()));
    }
    if settings.modules_to_save.as_ref().is_some_and(|m| !m.is_empty()) {
        return Err(Error::Adapter("modules_to_save is not supported".into()));
    }
    let present: Vec<&str> = names.filter_map(|n| peft::parse_tensor_name(n)?.0.rsplit('.').next()).collect();
    let targets: Vec<String> =
        PROJECTIONS.iter().filter(|p| present.contains(*p)).map(|p| (*p).to_owned()).collect();
    if let Some(TargetModules::Names(named)) = &settings.target_modules
        && let Some(missing) = named.iter().find(|n| !targets.contains(n))
    {
        return Err(Error::Adapter(format!(
            "target {missing} has no tensors, or is no projection of a layer"
        )));
    }
    Ok(LoraConfig {
        rank: settings.r,
        alpha: settings.lora_alpha as f32,
        rslora: settings.use_rslora,
        targets,
    })
}
