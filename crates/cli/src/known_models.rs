//! Shapes of well-known models: to measure without their weights, and to say what a machine can train.

use model::{Config, Features};

use crate::args::Shape;

/// The shape that `bench` measures, with room for `positions`.
pub(crate) fn measured(shape: Shape, positions: usize) -> Config {
    let config = match shape {
        Shape::Base => Config {
            vocab_size: 8192,
            hidden_size: 256,
            intermediate_size: 768,
            layers: 7,
            heads: 8,
            kv_heads: 4,
            head_dim: 32,
            rope_theta: 10_000.0,
            ..smollm2_135m()
        },
        Shape::Smollm2135m => smollm2_135m(),
        Shape::Smollm2360m => smollm2_360m(),
        Shape::Tinyllama => tinyllama(),
        Shape::Llama38b => llama_8b(),
    };
    Config { max_positions: positions, ..config }
}

/// Models that people fine-tune, the smallest first.
pub(crate) fn all() -> [(&'static str, Config); 6] {
    let smollm2_1700m = Config {
        hidden_size: 2048,
        intermediate_size: 8192,
        layers: 24,
        heads: 32,
        kv_heads: 32,
        rope_theta: 130_000.0,
        ..smollm2_135m()
    };
    let llama_3b = Config { hidden_size: 3072, layers: 28, heads: 24, head_dim: 128, ..llama_1b() };
    [
        ("SmolLM2-135M", smollm2_135m()),
        ("SmolLM2-360M", smollm2_360m()),
        ("Llama-3.2-1B", llama_1b()),
        ("SmolLM2-1.7B", smollm2_1700m),
        ("Llama-3.2-3B", llama_3b),
        ("Llama-3.1-8B", llama_8b()),
    ]
}

fn smollm2_135m() -> Config {
    Config {
        vocab_size: 49_152,
        hidden_size: 576,
        intermediate_size: 1536,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        max_positions: 8192,
        rms_norm_eps: 1e-5,
        rope_theta: 100_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    }
}

fn smollm2_360m() -> Config {
    Config { hidden_size: 960, intermediate_size: 2560, layers: 32, heads: 15, kv_heads: 5, ..smollm2_135m() }
}

fn tinyllama() -> Config {
    Config {
        vocab_size: 32_000,
        hidden_size: 2048,
        intermediate_size: 5632,
        layers: 22,
        heads: 32,
        kv_heads: 4,
        max_positions: 2048,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        ..smollm2_135m()
    }
}

fn llama_1b() -> Config {
    Config {
        vocab_size: 128_256,
        hidden_size: 2048,
        intermediate_size: 8192,
        layers: 16,
        heads: 32,
        kv_heads: 8,
        head_dim: 64,
        max_positions: 131_072,
        rope_theta: 500_000.0,
        ..smollm2_135m()
    }
}

fn llama_8b() -> Config {
    Config {
        hidden_size: 4096,
        intermediate_size: 14_336,
        layers: 32,
        head_dim: 128,
        tie_word_embeddings: false,
        ..llama_1b()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_shapes_have_the_parameters_that_their_makers_state() {
        let counts: Vec<usize> = all().iter().map(|(_, config)| config.parameters()).collect();
        assert_eq!(counts[..2], [134_515_008, 361_821_120]);
        assert_eq!(tinyllama().parameters(), 1_100_048_384);
        assert_eq!(counts[2..], [1_235_814_400, 1_711_376_384, 3_212_749_824, 8_030_261_248]);
    }

    #[test]
    fn the_shapes_are_possible() {
        for shape in Shape::value_variants() {
            assert_eq!(measured(*shape, 512).validate(), Ok(()));
        }
        assert!(all().iter().all(|(_, config)| config.validate().is_ok()));
    }
}
