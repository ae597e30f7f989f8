//! An adapter's config is read or refused; what is read has usable scales.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Once;

use formats::peft::{self, Part, Patterns};
use formats::{Dtype, TensorBytes};
use libfuzzer_sys::fuzz_target;

const MODULE: &str = "model.layers.0.self_attn.q_proj";

fuzz_target!(|bytes: &[u8]| {
    static WEIGHTS: Once = Once::new();
    WEIGHTS.call_once(|| {
        let names = [Part::A, Part::B].map(|part| peft::tensor_name(MODULE, part));
        let tensors = names.iter().zip([[2, 3], [3, 2]]);
        let shapes: Vec<_> = tensors.collect();
        let list: Vec<TensorBytes<'_>> = shapes
            .iter()
            .map(|(name, shape)| TensorBytes { name, dtype: Dtype::F32, shape, bytes: &[0; 24] })
            .collect();
        formats::safetensors::write(fuzz::folder().join(peft::WEIGHTS_FILE), &list, &BTreeMap::new())
            .expect("the weights are written");
    });
    fuzz::file(peft::CONFIG_FILE, bytes);
    if let Ok((config, file)) = peft::read(fuzz::folder()) {
        assert_eq!(file.names().count(), 2);
        let ranks = Patterns::new(&config.rank_pattern).expect("the patterns were checked");
        assert!(ranks.get(MODULE).unwrap_or(config.r) > 0);
    }
});
