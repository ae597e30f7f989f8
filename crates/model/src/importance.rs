//! What the inputs of the linear layers are like on a text: the importance matrix of quantization.

use compute::{Backend, Segment};
use formats::gguf::{Importance, gguf_name};

use crate::forward::Pass;
use crate::projection::Projection;
use crate::{Activations, Context, Decoder, Tokens};

impl<B: Backend> Decoder<B> {
    /// Runs the decoder, adapter included, over `tokens` cut into `segments`, and adds the squares of the inputs of its
    /// linear layers, by the names that GGUF gives their weights.
    ///
    /// # Panics
    /// As [`Decoder::forward`].
    pub fn add_input_squares(
        &self,
        tokens: Tokens<'_>,
        segments: &[Segment],
        activations: &mut Activations<B>,
        importance: &mut Importance,
    ) {
        let count = tokens.ids.len();
        self.embed(tokens, activations, true);
        let mut values = Vec::new();
        let mut add = |l: usize, projection: &Projection<B>, input: &B::Buffer| {
            values.resize(count * projection.input, 0.0);
            self.backend.read(input, 0, &mut values);
            for module in &projection.modules {
                let name = format!("model.layers.{l}.{}.weight", module.name);
                if let Some(name) = gguf_name(&name, self.config.features.post_norms) {
                    importance.add(name, projection.input, &values);
                }
            }
        };
        for (l, layer) in self.layers.iter().enumerate() {
            let memory = &mut activations.layer(l);
            let pass = Pass { tokens, adapter: true, wanted: None };
            self.attention_forward(l, pass, &mut Context::Segments(segments), memory);
            add(l, &layer.qkv, memory.normed);
            self.attention_output(l, count, memory, true);
            add(l, &layer.out, memory.attended.as_deref().unwrap_or(&memory.mlp.gates));
            self.mlp_forward(l, count, memory, true);
            add(l, &layer.gate_up, memory.normed);
            self.mlp_output(l, count, memory, true);
            add(l, &layer.down, memory.activation);
        }
    }
}
