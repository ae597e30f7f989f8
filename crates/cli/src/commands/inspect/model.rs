//! A model's shape and tensors, read from the headers of its files alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use ::model::Config;
use formats::{Checkpoint, GgufFile};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Outcome, io};
use crate::output;

/// A tensor as its file describes it.
struct Stored {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    parameters: usize,
    bytes: u64,
}

pub(super) fn run(name: &str, json: bool) -> Outcome<()> {
    let place = formats::hub::resolve(name)?;
    let (config, tensors) = match place.is_file() {
        true => of_gguf(&place)?,
        false => of_folder(&place)?,
    };
    let parameters: usize = tensors.iter().map(|t| t.parameters).sum();
    let bytes: u64 = tensors.iter().map(|t| t.bytes).sum();
    if json {
        let tensors: Vec<Value> = tensors
            .iter()
            .map(|t| {
                json!({"name": t.name, "dtype": t.dtype, "shape": t.shape, "parameters": t.parameters, "bytes": t.bytes})
            })
            .collect();
        return output::print_json(&json!({
            "folder": place,
            "config": shape(&config),
            "parameters": parameters,
            "bytes": bytes,
            "tensors": tensors,
        }));
    }
    let mut page = format!("{}\n\n", place.display());
    for (key, value) in shape(&config) {
        let _ = writeln!(page, "  {key:<24} {value}");
    }
    let width = tensors.iter().map(|t| t.name.len()).max().unwrap_or(0);
    page.push('\n');
    for t in &tensors {
        let shape = format!("{:?}", t.shape);
        let _ = writeln!(page, "  {:<width$}  {:<5} {shape:<16} {:>12}", t.name, t.dtype, t.parameters);
    }
    let _ = writeln!(page, "\n{} tensors, {parameters} parameters, {}", tensors.len(), output::bytes(bytes));
    output::print(&page)
}

fn of_folder(folder: &Path) -> Outcome<(Config, Vec<Stored>)> {
    let config = Config::from_dir(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    let tensors = checkpoint.names().map(|name| stored(&checkpoint, name)).collect::<Outcome<Vec<_>>>()?;
    Ok((config, tensors))
}

/// The tensors of a GGUF file, under its own names and in its own types.
fn of_gguf(path: &Path) -> Outcome<(Config, Vec<Stored>)> {
    let file = GgufFile::open(path)?;
    let config = Config::from_gguf(&file)?;
    let stored = |name: &str| {
        let info = file.info(name)?;
        Ok(Stored {
            name: name.to_owned(),
            dtype: info.kind.name().to_owned(),
            shape: info.shape.clone(),
            parameters: info.shape.iter().product(),
            bytes: info.bytes as u64,
        })
    };
    let tensors = file.names().map(stored).collect::<Outcome<Vec<_>>>()?;
    Ok((config, tensors))
}

fn stored(checkpoint: &Checkpoint, name: &str) -> Outcome<Stored> {
    let (dtype, shape) = checkpoint.info(name)?;
    let parameters = shape.iter().product();
    let bytes = (parameters as u64 * dtype.bitsize() as u64).div_ceil(8);
    Ok(Stored { name: name.to_owned(), dtype: dtype.to_string(), shape: shape.to_vec(), parameters, bytes })
}

/// Architecture, container and most frequent type of the weights of a base, by bytes.
pub(crate) fn storage(place: &Path) -> Outcome<[String; 3]> {
    let (architecture, container, tensors) = if place.is_file() {
        let file = GgufFile::open(place)?;
        let architecture = file.get::<&str>("general.architecture")?.map(str::to_owned);
        (architecture, "gguf", of_gguf(place)?.1)
    } else {
        let path = place.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(io(&path))?;
        let config: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        (config["model_type"].as_str().map(str::to_owned), "safetensors", of_folder(place)?.1)
    };
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in &tensors {
        *bytes.entry(&tensor.dtype).or_default() += tensor.bytes;
    }
    let dtype = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map_or("", |(dtype, _)| dtype);
    Ok([architecture.unwrap_or_default(), container.to_owned(), dtype.to_owned()])
}

/// The shape under the keys of `config.json`.
fn shape(config: &Config) -> Map<String, Value> {
    let mut shape = Map::new();
    let mut put = |key: &str, value: Value| shape.insert(key.to_owned(), value);
    put("vocab_size", config.vocab_size.into());
    put("hidden_size", config.hidden_size.into());
    put("intermediate_size", config.intermediate_size.into());
    put("num_hidden_layers", config.layers.into());
    put("num_attention_heads", config.heads.into());
    put("num_key_value_heads", config.kv_heads.into());
    put("head_dim", config.head_dim.into());
    put("max_position_embeddings", config.max_positions.into());
    put("rope_theta", config.rope_theta.into());
    if let Some(scaling) = config.rope_scaling {
        put("rope_scaling", json!(scaling));
    }
    put("tie_word_embeddings", config.tie_word_embeddings.into());
    shape
}
