//! The model that a command works with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::Cpu;
use compute::cpu::Precision;
use dataset::Example;
use formats::Checkpoint;
use model::{ChatTemplate, Config, Decoder, Features, RandomStart, Tokenizer, Trainable};
use train::{Adapter, NewModel, Recipe};

use super::quantization;
use crate::failure::{Failure, Outcome, no_room};
use crate::output;

/// A decoder with all that belongs to it.
#[derive(Debug)]
pub(crate) struct Model {
    /// Folder of the base.
    pub(crate) folder: PathBuf,
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

/// The device with `threads`, multiplying in bf16 if asked to.
pub(crate) fn device_with(threads: usize, bf16: bool) -> Outcome<Arc<Cpu>> {
    let cpu = Cpu::new(threads);
    if !bf16 {
        return Ok(Arc::new(cpu));
    }
    if !Precision::Bf16.available() {
        return Err(Failure::input("bf16: this processor (or MEDTUNE_ISA) has no products of bf16 pairs")
            .hint("leave bf16 out: products in f32 run everywhere"));
    }
    Ok(Arc::new(cpu.with_precision(Precision::Bf16)))
}

/// The template of a model: the one that its adapter was trained with goes before the base's.
pub(crate) fn template(folder: &Path, adapter: Option<&Path>) -> Outcome<ChatTemplate> {
    let own = adapter.filter(|adapter| adapter.join("chat_template.jinja").is_file());
    Ok(ChatTemplate::from_dir(own.unwrap_or(folder))?)
}

/// Bytes of a weight with its gradient and the least that an optimizer keeps.
const TRAINED: u64 = 10;

/// Refuses a base whose weights alone have no room, before the system ends the program while it loads them.
fn refuse_too_large(recipe: &Recipe, folder: &Path) -> Outcome<()> {
    let (Ok(checkpoint), Some(available)) = (Checkpoint::open(folder), track::memory::available()) else {
        return Ok(()); // Whoever loads it says what is wrong with it.
    };
    let mut needed = 0;
    for name in checkpoint.names() {
        let (_, shape) = checkpoint.info(name)?;
        let values = shape.iter().product::<usize>() as u64;
        needed += match recipe.adapter {
            Adapter::Full => values * TRAINED,
            Adapter::Qlora if name.ends_with("_proj.weight") => values / 2 + values / 64,
            _ => checkpoint.byte_length(name)? as u64,
        };
    }
    if needed <= available || !recipe.memory_check {
        return Ok(());
    }
    let smaller = match recipe.adapter {
        Adapter::Full => vec!["`adapter: lora`".to_owned(), "`adapter: qlora`".to_owned()],
        Adapter::Lora => vec!["`adapter: qlora`".to_owned()],
        Adapter::Qlora => Vec::new(),
    };
    let [needed, available] = [needed, available].map(output::bytes);
    Err(no_room(
        format!(
            "the weights of {} need about {needed} of memory, {available} are available",
            folder.display()
        ),
        &smaller,
    ))
}

impl Model {
    /// Loads a base and, where one is named, its adapter.
    pub(crate) fn load(name: &str, adapter: Option<&Path>) -> Outcome<Self> {
        let folder = formats::hub::resolve(name)?;
        let decoder = match adapter {
            Some(adapter) => {
                Decoder::load_with_adapter(device(), &folder, adapter, quantization::read(adapter)?)?
            }
            None => Decoder::load(device(), &folder, &Trainable::Nothing)?,
        };
        let template = template(&folder, adapter)?;
        let tokenizer = Tokenizer::from_dir(&folder)?;
        Ok(Model { folder, decoder, tokenizer, template })
    }

    /// Loads the base of `recipe` with what the recipe trains.
    pub(crate) fn for_training(recipe: &Recipe, name: &str, device: Arc<Cpu>) -> Outcome<Self> {
        let folder = formats::hub::resolve(name)?;
        refuse_too_large(recipe, &folder)?;
        let decoder = Decoder::load_as(device, &folder, &recipe.trainable(), recipe.quantization())?;
        let tokenizer = Tokenizer::from_dir(&folder)?;
        let template = match recipe.chat_template.as_str() {
            "" => ChatTemplate::from_dir(&folder)?,
            name => ChatTemplate::builtin(name)?,
        };
        Ok(Model { folder, decoder, tokenizer, template })
    }

    /// A model of `shape` from random weights; its vocabulary is learned from `examples` and written to `folder`.
    pub(crate) fn random(
        shape: &NewModel,
        recipe: &Recipe,
        examples: &[Example],
        (folder, device): (&Path, Arc<Cpu>),
    ) -> Outcome<Self> {
        std::fs::create_dir_all(folder).map_err(crate::failure::io(folder))?;
        if !folder.join("tokenizer.json").exists() {
            let texts = examples.iter().flat_map(|e| e.messages.iter().map(|m| m.content.as_str()));
            let texts: Vec<&str> = texts.collect();
            let json = model::train_bpe(texts.iter(), shape.vocab_size, &model::SPECIALS)?;
            model::write_tokenizer(folder, &json, shape.max_position_embeddings)?;
        }
        let tokenizer = Tokenizer::from_dir(folder)?;
        let decoder = random_decoder(shape, recipe, tokenizer.vocab_size(), device)?;
        let template = ChatTemplate::from_dir(folder)?;
        Ok(Model { folder: folder.to_owned(), decoder, tokenizer, template })
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
