//! Names of an adapter's tensors.

/// What stands before a module's name in the tensors' names.
const PREFIX: &str = "base_model.model.";

/// A tensor that belongs to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The input side of a linear layer's adapter, `[r, in]`.
    A,
    /// Its output side, `[out, r]`.
    B,
    /// The length of each row of a linear layer's weight in DoRA, `[out]`.
    Magnitude,
    /// The side of an embedding's adapter that is looked up, `[r, tokens]`.
    EmbeddingA,
    /// Its other side, `[width, r]`.
    EmbeddingB,
    /// The frozen weight below the adapter of an embedding or head, which PEFT saves beside it, `[out, in]`.
    Base,
    /// A weight that was trained in full (`modules_to_save`), `[out, in]`.
    Saved,
}

impl Part {
    /// Longer endings first: `.weight` ends others too.
    const ALL: [Part; 7] =
        [Part::A, Part::B, Part::Magnitude, Part::EmbeddingA, Part::EmbeddingB, Part::Base, Part::Saved];

    /// What follows the module's path.
    fn ending(self) -> &'static str {
        match self {
            Part::A => ".lora_A.weight",
            Part::B => ".lora_B.weight",
            Part::Magnitude => ".lora_magnitude_vector",
            Part::EmbeddingA => ".lora_embedding_A",
            Part::EmbeddingB => ".lora_embedding_B",
            Part::Base => ".base_layer.weight",
            Part::Saved => ".weight",
        }
    }

    /// The part without which this one means nothing.
    pub(super) fn partner(self) -> Option<Part> {
        match self {
            Part::A => Some(Part::B),
            Part::B | Part::Magnitude => Some(Part::A),
            Part::EmbeddingA => Some(Part::EmbeddingB),
            Part::EmbeddingB => Some(Part::EmbeddingA),
            Part::Base | Part::Saved => None,
        }
    }
}

/// The name of a tensor: `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` for
/// module `model.layers.0.self_attn.q_proj`.
pub fn tensor_name(module: &str, part: Part) -> String {
    format!("{PREFIX}{module}{}", part.ending())
}

/// The module and part that a tensor's name means, if it is one of an adapter's.
pub fn parse_tensor_name(name: &str) -> Option<(&str, Part)> {
    let rest = name.strip_prefix(PREFIX)?;
    let module = |part: Part| Some((rest.strip_suffix(part.ending())?, part));
    Part::ALL.into_iter().find_map(module).filter(|(module, _)| !module.contains(".lora_"))
}
