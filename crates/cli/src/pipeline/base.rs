//! The model that a command works with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::cpu::Precision;
use compute::{Cpu, Waiting};
use dataset::Example;
use formats::gguf::hugging_face_module;
use formats::peft::{Patterns, names_module};
use formats::quant::BlockType;
use formats::{Checkpoint, GgufFile};
use model::{ChatTemplate, Config, Decoder, Features, Golden, Quantize, RandomStart, Tokenizer, Trainable};
use train::{Adapter, NewModel, Recipe};

use super::quantization;
use crate::args::ModelArgs;
use crate::failure::{Failure, Outcome, io, no_room};
use crate::output;

const TEMPLATE: &str = "chat_template.jinja";
const CONFIG: &str = "config.json";
/// The files that a vocabulary may be made of, with the roles of its special tokens.
const VOCABULARY: [&str; 8] = [
    "tokenizer.json",
    "tokenizer.model",
    "qwen.tiktoken",
    "tokenizer.tiktoken",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// A decoder with all that belongs to it.
#[derive(Debug)]
pub(crate) struct Model {
    /// Folder or GGUF file of the base.
    pub(crate) base: PathBuf,
    pub(crate) decoder: Decoder<Cpu>,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: ChatTemplate,
}

/// `MEDTUNE_THREADS`, or as many threads as there are cores.
pub(crate) fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::env::var("MEDTUNE_THREADS").ok().and_then(|t| t.parse().ok()).unwrap_or(cores)
}

/// The device: all cores, or `MEDTUNE_THREADS`.
pub(crate) fn device() -> Arc<Cpu> {
    Arc::new(Cpu::new(threads()))
}

/// The device for writing texts; `fast` multiplies ggml blocks as integers.
pub(crate) fn writing_device(fast: bool) -> Arc<Cpu> {
    let cpu = Cpu::new(threads());
    Arc::new(if fast { cpu.with_integer_products() } else { cpu })
}

/// The device with `threads`; it multiplies in bf16 where values shall wait for the backward in that or in less.
pub(crate) fn device_with(threads: usize, waiting: Waiting) -> Outcome<Arc<Cpu>> {
    let cpu = Cpu::new(threads);
    if waiting == Waiting::Exact {
        return Ok(Arc::new(cpu));
    }
    if !Precision::Bf16.available() {
        return Err(Failure::input("bf16: this processor (or MEDTUNE_ISA) has no products of bf16 pairs")
            .hint("leave bf16 out: products in f32 run everywhere"));
    }
    let cpu = cpu.with_precision(Precision::Bf16);
    Ok(Arc::new(if waiting == Waiting::Codes { cpu.with_8bit_activations() } else { cpu }))
}

/// The folder that a model's own files lie in: itself, or the one around a file.
pub(crate) fn folder_of(place: &Path) -> &Path {
    if place.is_file() { place.parent().unwrap_or(Path::new(".")) } else { place }
}

/// The vocabulary of a base: of a GGUF file the one inside it, else the one beside it.
pub(crate) fn tokenizer(base: &Path) -> Outcome<Tokenizer> {
    match gguf_with(base, "tokenizer.ggml.model")? {
        Some(file) => Ok(Tokenizer::from_gguf(&file)?),
        None => Ok(Tokenizer::from_dir(folder_of(base))?),
    }
}

/// The template of a model: the one that its adapter was trained with goes before the base's.
pub(crate) fn template(base: &Path, adapter: Option<&Path>) -> Outcome<ChatTemplate> {
    let own = adapter.map(folder_of).filter(|adapter| adapter.join(TEMPLATE).is_file());
    if let Some(adapter) = own {
        return Ok(ChatTemplate::from_dir(adapter)?);
    }
    // An adapter's folder has a vocabulary and a template, and no more is asked of it where only they are shown.
    let parts = [CONFIG, TEMPLATE, "tokenizer_config.json"];
    if base.is_dir() && !parts.iter().any(|part| base.join(part).is_file()) {
        return Err(Failure::input(format!("{}: no model: no {CONFIG} in it", base.display()))
            .hint("a model is a folder in Hugging Face layout or a file that ends in .gguf"));
    }
    match gguf_with(base, "tokenizer.chat_template")? {
        Some(file) => Ok(ChatTemplate::from_gguf(&file)?),
        None => Ok(ChatTemplate::from_dir(folder_of(base))?),
    }
}

/// The GGUF file of a base, if it has that key.
fn gguf_with(base: &Path, key: &str) -> Outcome<Option<GgufFile>> {
    if !base.is_file() {
        return Ok(None);
    }
    let file = GgufFile::open(base)?;
    Ok(file.metadata().contains_key(key).then_some(file))
}

/// Copies the files of a vocabulary.
fn copy_vocabulary(from: &Path, to: &Path) -> Outcome<()> {
    for name in VOCABULARY {
        let source = from.join(name);
        if source.is_file() {
            std::fs::copy(&source, to.join(name)).map_err(io(&source))?;
        }
    }
    Ok(())
}

/// The decoder of a base, with its adapter where one is named, on the bits that the adapter was trained on.
pub(crate) fn decoder(device: Arc<Cpu>, base: &Path, adapter: Option<&Path>) -> Outcome<Decoder<Cpu>> {
    Ok(match adapter {
        Some(adapter) => Decoder::load_with_adapter(device, base, adapter, quantization::read(adapter)?)?,
        None => Decoder::load(device, base, &Trainable::Nothing)?,
    })
}

/// The decoder that `args` name, multiplying as they say.
pub(crate) fn decoder_of(args: &ModelArgs, base: &Path) -> Outcome<Decoder<Cpu>> {
    let waiting = if args.bf16 { Waiting::Bf16 } else { Waiting::Exact };
    let device = if args.fast { writing_device(true) } else { device_with(threads(), waiting)? };
    let blocks = args.fast.then_some(Quantize::Blocks(BlockType::Q8_0));
    let decoder = match &args.adapter {
        None => Decoder::load_as(device, base, &Trainable::Nothing, blocks)?,
        Some(adapter) => {
            let learned_on = quantization::read(adapter)?;
            if args.fast && learned_on.is_some() {
                let message = "--fast: the adapter was trained on a base in bitsandbytes' bits, which no integers multiply";
                return Err(
                    Failure::input(message).hint("leave --fast out, or export the adapter merged into GGUF")
                );
            }
            Decoder::load_with_adapter(device, base, adapter, learned_on.or(blocks))?
        }
    };
    if args.fast {
        check_integers(&decoder, &args.model)?;
    }
    Ok(decoder)
}

/// Refuses `--fast` for a model without products of integers, which would be as slow and as exact as without, and says
/// where only some are.
pub(crate) fn check_integers(decoder: &Decoder<Cpu>, name: &str) -> Outcome<()> {
    let (taken, all) = decoder.integer_projections();
    if taken == 0 {
        let message = format!("--fast: no projection of {name} is in blocks that integers multiply");
        return Err(Failure::input(message).hint(
            "leave --fast out, or take the model as GGUF in Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K: `medtune \
             export MODEL --to gguf --quant q8_0`",
        ));
    }
    if taken < all {
        eprintln!(
            "note: --fast multiplies {taken} of {all} projections of {name} as integers, the others as without it"
        );
    }
    Ok(())
}

/// Bytes of a weight with its gradient and the least that an optimizer keeps.
const TRAINED: u64 = 10;

/// The tensors of a base: Hugging Face names, numbers of values, bytes in the file.
fn sizes(base: &Path) -> formats::Result<Vec<(String, u64, u64)>> {
    let values = |shape: &[usize]| shape.iter().product::<usize>() as u64;
    if base.is_file() {
        let file = GgufFile::open(base)?;
        let size = |name: &str| {
            let info = file.info(name)?;
            let module = name.strip_suffix(".weight").and_then(hugging_face_module);
            let name = module.map_or(name.to_owned(), |module| module + ".weight");
            Ok((name, values(&info.shape), info.bytes as u64))
        };
        return file.names().map(size).collect();
    }
    let checkpoint = Checkpoint::open(base)?;
    let size = |name: &str| {
        let (_, shape) = checkpoint.info(name)?;
        Ok((name.to_owned(), values(shape), checkpoint.byte_length(name)? as u64))
    };
    checkpoint.names().map(size).collect()
}

/// Refuses a base whose weights alone have no room, before the system ends the program while it loads them.
fn refuse_too_large(recipe: &Recipe, base: &Path) -> Outcome<()> {
    let (Ok(sizes), Some(available)) = (sizes(base), track::memory::available()) else {
        return Ok(()); // Whoever loads it says what is wrong with it.
    };
    let needed: u64 = sizes
        .iter()
        .map(|(name, values, bytes)| {
            // What is quantized already stays as it is.
            let quantized = name.ends_with("_proj.weight") && *bytes >= 2 * values;
            match recipe.adapter {
                Adapter::Full => values * TRAINED,
                Adapter::Qlora if quantized => values / 2 + values / 64,
                Adapter::Lora if quantized && recipe.load_in_8bit => *values,
                _ => *bytes,
            }
        })
        .sum();
    let adapter = adapter_bytes(recipe, &sizes);
    if needed.saturating_add(adapter) <= available || !recipe.memory_check {
        return Ok(());
    }
    if needed <= available {
        let [adapter, available] = [adapter, available].map(output::bytes);
        let message = format!("the adapter alone needs about {adapter} of memory, {available} are available");
        return Err(no_room(message, &["a lower `lora_r` or `rank_pattern`".to_owned()]));
    }
    let smaller = match recipe.adapter {
        Adapter::Full => vec!["`adapter: lora`".to_owned(), "`adapter: qlora`".to_owned()],
        Adapter::Lora => vec!["`adapter: qlora`".to_owned()],
        Adapter::Qlora => Vec::new(),
    };
    let [needed, available] = [needed, available].map(output::bytes);
    Err(no_room(
        format!("the weights of {} need about {needed} of memory, {available} are available", base.display()),
        &smaller,
    ))
}

/// The least that the adapter of `recipe` takes, with its gradients and moments, on projections of these sizes. The sum
/// of a matrix's sides is at least twice the root of its number of values, however the file packs them.
fn adapter_bytes(recipe: &Recipe, sizes: &[(String, u64, u64)]) -> u64 {
    let Ok(ranks) = Patterns::new(&recipe.rank_pattern) else { return 0 };
    let bytes = sizes.iter().filter_map(|(name, values, _)| {
        let module = name.strip_suffix(".weight")?;
        let targeted = recipe.lora_target_modules.iter().any(|target| names_module(target, module));
        let rank = ranks.get(module).unwrap_or(recipe.lora_r) as u64;
        targeted.then(|| rank.saturating_mul(2 * values.isqrt()).saturating_mul(TRAINED))
    });
    match recipe.adapter {
        Adapter::Full => 0,
        Adapter::Lora | Adapter::Qlora => bytes.fold(0, u64::saturating_add),
    }
}

impl Model {
    /// Loads a base and, where one is named, its adapter.
    pub(crate) fn load(name: &str, adapter: Option<&Path>) -> Outcome<Self> {
        Self::load_on(device(), name, adapter)
    }

    /// The model that `args` name.
    pub(crate) fn of(args: &ModelArgs) -> Outcome<Self> {
        let base = formats::hub::resolve(&args.model)?;
        let template = template(&base, args.adapter.as_deref())?;
        Ok(Model { decoder: decoder_of(args, &base)?, template, tokenizer: tokenizer(&base)?, base })
    }

    /// The model that `args` name, for bare text: a base without a chat template will do.
    pub(crate) fn for_text(args: &ModelArgs) -> Outcome<Self> {
        let base = formats::hub::resolve(&args.model)?;
        let adapter = args.adapter.as_deref();
        let decoder = decoder_of(args, &base)?;
        // A template stands there so that the rest is as always; nothing is written with it.
        let template =
            template(&base, adapter).or_else(|_| ChatTemplate::builtin("chatml").map_err(Failure::from))?;
        Ok(Model { decoder, template, tokenizer: tokenizer(&base)?, base })
    }

    /// As [`Model::load`].
    pub(crate) fn load_on(device: Arc<Cpu>, name: &str, adapter: Option<&Path>) -> Outcome<Self> {
        let base = formats::hub::resolve(name)?;
        let decoder = decoder(device, &base, adapter)?;
        let (template, tokenizer) = (template(&base, adapter)?, tokenizer(&base)?);
        Ok(Model { base, decoder, tokenizer, template })
    }

    /// Loads the base of `recipe` with what the recipe trains.
    pub(crate) fn for_training(recipe: &Recipe, name: &str, device: Arc<Cpu>) -> Outcome<Self> {
        let base = formats::hub::resolve(name)?;
        refuse_too_large(recipe, &base)?;
        let decoder = Decoder::load_as(device, &base, &recipe.trainable(), recipe.quantization())?;
        let tokenizer = tokenizer(&base)?;
        let template = match recipe.chat_template.as_str() {
            "" => template(&base, None)?,
            name => ChatTemplate::builtin(name)?,
        };
        Ok(Model { base, decoder, tokenizer, template })
    }

    /// Writes vocabulary and template, so that the folder is of use by itself, and what they make of golden
    /// conversations.
    pub(crate) fn save_text(&self, folder: &Path) -> Outcome<()> {
        match gguf_with(&self.base, "tokenizer.ggml.model")? {
            Some(_) => self.tokenizer.save(folder)?,
            None => copy_vocabulary(folder_of(&self.base), folder)?,
        }
        formats::atomic::write_atomic(folder.join(TEMPLATE), self.template.standalone()?.as_bytes())?;
        match Golden::record(&self.tokenizer, &self.template) {
            Ok(golden) => Ok(golden.write(folder)?),
            // A template that takes none of them has nothing to be held to.
            Err(_) => Ok(()),
        }
    }

    /// A model of `shape` from random weights; its vocabulary is learned from `examples` and written to `folder`.
    pub(crate) fn random(
        shape: &NewModel,
        recipe: &Recipe,
        examples: &[Example],
        (folder, device): (&Path, Arc<Cpu>),
    ) -> Outcome<Self> {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        if !folder.join("tokenizer.json").exists() {
            let texts = examples.iter().flat_map(|e| e.messages.iter().map(|m| m.content.as_str()));
            let texts: Vec<&str> = texts.collect();
            let json = model::train_bpe(texts.iter(), shape.vocab_size, &model::SPECIALS)?;
            model::write_tokenizer(folder, &json, shape.max_position_embeddings)?;
        }
        let tokenizer = Tokenizer::from_dir(folder)?;
        let decoder = random_decoder(shape, recipe, tokenizer.vocab_size(), device)?;
        let template = ChatTemplate::from_dir(folder)?;
        Ok(Model { base: folder.to_owned(), decoder, tokenizer, template })
    }
}

/// A decoder of `shape` for a vocabulary of this size, from random weights.
pub(crate) fn random_decoder(
    shape: &NewModel,
    recipe: &Recipe,
    vocab_size: usize,
    device: Arc<Cpu>,
) -> Outcome<Decoder<Cpu>> {
    let config = Config {
        vocab_size,
        hidden_size: shape.hidden_size,
        intermediate_size: shape.intermediate_size,
        layers: shape.num_hidden_layers,
        heads: shape.num_attention_heads,
        kv_heads: shape.num_key_value_heads,
        head_dim: shape.hidden_size / shape.num_attention_heads.max(1),
        max_positions: shape.max_position_embeddings,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    };
    config.validate().map_err(crate::failure::Failure::input)?;
    let start = RandomStart::new(config.clone(), recipe.seed);
    Ok(Decoder::new(device, config, &start, &recipe.trainable())?)
}
