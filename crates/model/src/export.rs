//! A decoder with its vocabulary and template as one GGUF file, adapters merged.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use compute::Backend;
use formats::GgufFile;
use formats::gguf::{self, FileType, Importance, Mix, NewTensor, Value, gguf_name, interleaved_row};
use formats::quant::{BlockType, Unencodable};

use crate::golden::Difference;
use crate::tensors::ModelPart;
use crate::tokenizer::Beginning;
use crate::{ChatTemplate, Config, Decoder, Error, Golden, Result, Tokenizer};

/// The version of ggml's block formats (`GGML_QNT_VERSION`).
const QUANTIZATION_VERSION: u32 = 2;

/// What a GGUF file holds beside the weights, and how it holds them.
#[derive(Debug, Clone, Copy)]
pub struct GgufModel<'a> {
    /// What to call the model.
    pub name: &'a str,
    /// The licence of the base, where it is known.
    pub license: Option<&'a str>,
    /// The vocabulary.
    pub tokenizer: &'a Tokenizer,
    /// The chat template.
    pub template: &'a ChatTemplate,
    /// What matrices are stored as.
    pub file_type: FileType,
    /// What is known of the inputs of the linear layers.
    pub importance: Option<&'a Importance>,
    /// Threads that encode.
    pub threads: usize,
}

/// A tensor of the file and where it comes from.
struct Planned<'a, B: Backend> {
    name: String,
    kind: BlockType,
    shape: Vec<usize>,
    source: Source<'a, B>,
}

enum Source<'a, B: Backend> {
    /// A part of the decoder, by its Hugging Face name.
    Part(String, ModelPart<'a, B>),
    Values(Vec<f32>),
}

impl<B: Backend> Decoder<B> {
    /// Writes the decoder, adapters merged in f32, as a file that llama.cpp runs, one tensor at a time. Returns how many
    /// tensors have which format.
    ///
    /// The file is read back before it gets its name: its shape must be this one's, and its vocabulary and template must
    /// make the same of the [`Golden`] conversations as those that were handed in.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when llama.cpp has no place for the model; [`Error::Tokenizer`] when its vocabulary would
    /// give other ids; [`Error::Encode`] when a weight is not finite; when the system refuses. Then there is no file.
    pub fn save_gguf(&self, path: &Path, model: &GgufModel<'_>) -> Result<BTreeMap<BlockType, usize>> {
        let config = self.merged_config();
        let unsupported = |reason: String| Error::Unsupported { path: path.to_owned(), reason };
        let mut metadata = general(&config, model);
        metadata.extend(config.gguf_metadata().map_err(unsupported)?);
        let tensors = self.plan_gguf(&config, model);
        let partial = beside(path, "partial");
        metadata.extend(text_metadata(&partial, config.vocab_size, model)?);
        let described: Vec<NewTensor<'_>> =
            tensors.iter().map(|t| NewTensor { name: &t.name, kind: t.kind, shape: &t.shape }).collect();
        let mut refused = None;
        let written = write_file(&partial, &metadata, &described, |number| {
            self.encoded(&tensors[number], &config, model).map_err(|error| {
                let told = formats::Error::Malformed { path: path.to_owned(), what: error.to_string() };
                refused = Some(error);
                told
            })
        });
        if let Some(error) = refused {
            return Err(error);
        }
        written?;
        let checked = check_shape(&partial, &config);
        let placed = checked.and_then(|()| std::fs::rename(&partial, path).map_err(|e| Error::io(path, e)));
        if placed.is_err() {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&partial);
        }
        placed?;
        let mut kinds = BTreeMap::new();
        tensors.iter().for_each(|tensor| *kinds.entry(tensor.kind).or_default() += 1);
        Ok(kinds)
    }

    /// The tensors in the order of the file.
    fn plan_gguf(&self, config: &Config, model: &GgufModel<'_>) -> Vec<Planned<'_, B>> {
        let mix = Mix {
            file_type: model.file_type,
            layers: config.layers,
            tied: config.tie_word_embeddings,
            importance: model.importance.is_some(),
            seventy_billion: config.is_seventy_billion(),
        };
        let four_norms = config.features.post_norms;
        let parts = self.parts(true).filter_map(|(own, part)| {
            let (name, shape) = (gguf_name(&own, four_norms)?, part.shape());
            Some(Planned { kind: mix.kind(&name, &shape), name, shape, source: Source::Part(own, part) })
        });
        let factors = config.gguf_rope_factors().map(|(name, factors)| Planned {
            name: name.to_owned(),
            kind: BlockType::F32,
            shape: vec![factors.len()],
            source: Source::Values(factors),
        });
        factors.into_iter().chain(parts).collect()
    }

    /// A tensor in the file's order of rows, with the file's gains, encoded.
    fn encoded(
        &self,
        tensor: &Planned<'_, B>,
        config: &Config,
        model: &GgufModel<'_>,
    ) -> Result<Cow<'static, [u8]>> {
        let values = match &tensor.source {
            Source::Values(values) => values.clone(),
            Source::Part(own, part) => {
                let mut values = self.part_values(*part, true);
                if own.ends_with("norm.weight") {
                    values.iter_mut().for_each(|gain| *gain += config.features.gain_offset());
                }
                match config.interleaved_heads().filter(|_| is_rotary(own)) {
                    Some(head) => interleaved(&values, tensor.shape[0], head),
                    None => values,
                }
            }
        };
        let importance = model.importance.and_then(|importance| importance.columns(&tensor.name));
        let cols = tensor.shape.last().copied().unwrap_or(1);
        let importance = importance.filter(|columns| columns.len() == cols);
        encode_parallel(tensor.kind, &values, (cols, importance.as_deref()), model.threads)
            .map(Cow::Owned)
            .map_err(|reason| Error::Encode { tensor: tensor.name.clone(), reason })
    }
}

/// The keys that say what the file is.
fn general(config: &Config, model: &GgufModel<'_>) -> Vec<(String, Value)> {
    let mut metadata: Vec<(String, Value)> = vec![
        ("general.architecture".into(), config.gguf_architecture().into()),
        ("general.type".into(), "model".into()),
        ("general.name".into(), model.name.into()),
        ("general.file_type".into(), model.file_type.number().into()),
        ("general.quantization_version".into(), QUANTIZATION_VERSION.into()),
    ];
    metadata.extend(model.license.map(|license| ("general.license".into(), license.into())));
    metadata
}

/// Vocabulary and template, with which a file gives the ids that the model was trained on.
///
/// llama.cpp knows two rules for blanks before a text. Where the vocabulary's own is neither, both are tried: what
/// counts are the ids of conversations.
fn text_metadata(path: &Path, rows: usize, model: &GgufModel<'_>) -> Result<Vec<(String, Value)>> {
    let own = model.tokenizer.has_space_prefix();
    let golden = Golden::record(model.tokenizer, model.template)?;
    let bos = model.tokenizer.bos();
    let add_bos = bos.is_some() && golden.conversations.iter().all(|c| c.ids.first().copied() == bos);
    let mut first = None;
    for add_space_prefix in [own, !own] {
        let mut metadata = model.tokenizer.gguf_metadata(rows, Beginning { add_bos, add_space_prefix })?;
        metadata.push(("tokenizer.chat_template".into(), model.template.source().into()));
        match check_text(&beside(path, "vocabulary"), &golden, &metadata) {
            Ok(()) => return Ok(metadata),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or_else(|| Ok(Vec::new()), Err)
}

/// Writes vocabulary and template alone, reads them back and compares what they make of conversations.
fn check_text(path: &Path, golden: &Golden, metadata: &[(String, Value)]) -> Result<()> {
    write_file(path, metadata, &[], |_| Ok(Cow::Borrowed(&[])))?;
    let compared = GgufFile::open(path).map_err(Error::from).and_then(|file| {
        let (tokenizer, template) = (Tokenizer::from_gguf(&file)?, ChatTemplate::from_gguf(&file)?);
        let again = Golden::record(&tokenizer, &template)?;
        match golden.first_difference(&again) {
            None => Ok(()),
            Some(Difference { what, expected, got, .. }) => Err(Error::Tokenizer {
                path: path.to_owned(),
                reason: format!(
                    "in GGUF vocabulary and template would make another {what} of a conversation: expected \
                     {expected}, got {got}"
                ),
            }),
        }
    });
    std::fs::remove_file(path).map_err(|e| Error::io(path, e))?;
    compared
}

/// Refuses a file that reads as a decoder of another shape.
fn check_shape(path: &Path, config: &Config) -> Result<()> {
    let read = Config::from_gguf(&GgufFile::open(path)?)?;
    let positions = config.max_positions.min(64);
    let tables = [config, &read].map(|config| config.rope_table(positions));
    let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-4;
    let turned = tables[0].len() != tables[1].len() || tables[0].iter().zip(&tables[1]).any(far);
    let layers = 0..config.layers;
    let same = |l: usize| read.attention_of(l) == config.attention_of(l);
    if turned || read.parameters() != config.parameters() || !layers.into_iter().all(same) {
        let reason = "as GGUF the model would have another shape, attention or rotation".to_owned();
        return Err(Error::Unsupported { path: path.to_owned(), reason });
    }
    Ok(())
}

/// The file of that name with something before its end, hidden.
fn beside(path: &Path, what: &str) -> std::path::PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{what}"))
}

fn write_file(
    path: &Path,
    metadata: &[(String, Value)],
    tensors: &[NewTensor<'_>],
    bytes: impl FnMut(usize) -> formats::Result<Cow<'static, [u8]>>,
) -> Result<()> {
    let metadata: Vec<(&str, Value)> = metadata.iter().map(|(key, value)| (&**key, value.clone())).collect();
    Ok(gguf::write(path, &metadata, tensors, bytes)?)
}

/// Whether rotary embedding turns what this weight or bias gives.
fn is_rotary(name: &str) -> bool {
    name.contains(".q_proj.") || name.contains(".k_proj.")
}

/// `values` of `rows` rows with the rows of each head as llama.cpp keeps them.
fn interleaved(values: &[f32], rows: usize, head: usize) -> Vec<f32> {
    let cols = values.len() / rows.max(1);
    let mut file = vec![0.0; values.len()];
    for (row, values) in values.chunks_exact(cols).enumerate() {
        file[interleaved_row(row, head) * cols..][..cols].copy_from_slice(values);
    }
    file
}

/// Encodes rows of `cols` values, each thread a run of them.
fn encode_parallel(
    kind: BlockType,
    values: &[f32],
    (cols, importance): (usize, Option<&[f32]>),
    threads: usize,
) -> std::result::Result<Vec<u8>, Unencodable> {
    let (rows, row_bytes) = (values.len() / cols, kind.row_bytes(cols).unwrap_or_default());
    let mut bytes = vec![0; rows * row_bytes];
    let run = rows.div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let runs = values.chunks(run * cols).zip(bytes.chunks_mut(run * row_bytes));
        let encoders: Vec<_> = runs
            .map(|(values, out)| scope.spawn(move || kind.encode_rows(values, importance, out)))
            .collect();
        encoders
            .into_iter()
            .try_for_each(|encoder| encoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(bytes)
}
