//! Decoders from and to disk: bases with PEFT adapters, and Hugging Face folders.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use compute::{Backend, DType};
use formats::gguf::AdapterFile;
use formats::peft::{self, Part, TargetModules};
use formats::safetensors::{TensorShape, write_with};
use formats::{AdapterConfig, Dtype, TensorBytes};

use crate::decoder::ModelPart;
use crate::gguf_adapter;
use crate::lora::{LoraConfig, PROJECTIONS, Trainable};
use crate::weights::{Quantize, QuantizeOnLoad, encode};
use crate::{Base, Decoder, Error, Parameter, Result, read_range};

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
        let config = lora_config(&settings, file.names())?;
        let trainable = Trainable::Lora { config, seed: 0 };
        let mut decoder = Decoder::load_as(backend, path, &trainable, quantize)?;
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
        let (tensors, parts): (Vec<TensorShape>, Vec<ModelPart<'_, B>>) = self
            .parts()
            .map(|(name, part)| (TensorShape { name, dtype: stored, shape: part.shape() }, part))
            .unzip();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        // One tensor at a time: a merged model may be larger than what is left beside this one.
        write_with(dir.join("model.safetensors"), &tensors, &metadata, |number, writer| {
            writer.write_all(&encode(&self.part_values(parts[number], true), dtype))
        })?;
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
