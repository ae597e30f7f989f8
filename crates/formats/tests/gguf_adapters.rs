//! LoRA adapters in GGUF: what is written is read back, and what is no adapter is refused by name.

use std::borrow::Cow;
use std::path::Path;

use formats::Error;
use formats::gguf::{
    AdapterFactors, AdapterFile, AdapterTensor, Extents, GgufAdapter, NewTensor, Value, write, write_adapter,
};
use formats::quant::BlockType;

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|n| n as f32 - 3.5).collect()
}

#[test]
fn factors_come_back_in_hugging_faces_order_with_their_own_scales() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    let (a, b, small) = (numbers(8), numbers(16), numbers(4));
    let tensors = [
        AdapterTensor { module: "model.layers.0.self_attn.q_proj", scale: 0.75, rank: 2, a: &a, b: &b },
        AdapterTensor { module: "model.layers.1.mlp.down_proj", scale: 3.0, rank: 1, a: &small, b: &small },
    ];
    let adapter =
        GgufAdapter { architecture: "llama", name: "a", interleaved_heads: Some(4), tensors: &tensors };
    write_adapter(&path, &adapter).unwrap();
    let file = AdapterFile::open(&path).unwrap();
    assert_eq!(file.architecture().unwrap(), "llama");
    let extents: Vec<_> = file.modules().map(|module| module.unwrap().1).collect();
    assert_eq!(extents[0], Extents { rank: 2, rows: 8, columns: 4 });
    assert_eq!(extents[1], Extents { rank: 1, rows: 4, columns: 4 });
    let factors: Vec<AdapterFactors> = file.factors(Some(4)).collect::<Result<_, _>>().unwrap();
    for (got, written) in factors.iter().zip(&tensors) {
        assert_eq!((got.module.as_str(), got.rank), (written.module, written.rank));
        assert_eq!(got.a, written.a);
        // The file has one alpha, so that the product of scale and B is what comes back.
        for (own, ours) in got.b.iter().zip(written.b) {
            assert_eq!(f64::from(*own) * got.scale, f64::from(*ours) * written.scale);
        }
    }
}

/// A file with these tensors of one value, and its error.
fn refused(metadata: &[(&str, Value)], tensors: &[(&str, &[usize])]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    write_ones(&path, metadata, tensors);
    match AdapterFile::open(&path) {
        Err(error) => error,
        Ok(file) => file.factors(Some(4)).find_map(Result::err).expect("an error"),
    }
}

fn write_ones(path: &Path, metadata: &[(&str, Value)], tensors: &[(&str, &[usize])]) {
    let described: Vec<NewTensor<'_>> =
        tensors.iter().map(|(name, shape)| NewTensor { name, kind: BlockType::F32, shape }).collect();
    let ones = |number: usize| {
        let count = tensors[number].1.iter().product();
        Ok(Cow::Owned(BlockType::F32.encode(&vec![1.0; count]).expect("F32 is encoded")))
    };
    write(path, metadata, &described, ones).unwrap();
}

fn metadata() -> Vec<(&'static str, Value)> {
    vec![
        ("general.architecture", "llama".into()),
        ("general.type", "adapter".into()),
        ("adapter.type", "lora".into()),
        ("adapter.lora.alpha", 8.0f32.into()),
    ]
}

#[test]
fn what_is_no_adapter_is_refused_by_name() {
    let (a, b) = ("blk.0.attn_v.weight.lora_a", "blk.0.attn_v.weight.lora_b");
    let pair: [(&str, &[usize]); 2] = [(a, &[2, 4]), (b, &[4, 2])];
    let changed = |key: &'static str, value: Value| {
        let mut metadata = metadata();
        metadata.retain(|(own, _)| *own != key);
        metadata.push((key, value));
        refused(&metadata, &pair).to_string()
    };
    assert!(changed("general.type", "model".into()).contains("general.type"));
    assert!(changed("adapter.type", "control_vector".into()).contains("adapter.type"));
    assert!(changed("adapter.lora.alpha", f32::NAN.into()).contains("adapter.lora.alpha"));
    let of = |tensors: &[(&str, &[usize])]| refused(&metadata(), tensors);
    assert!(of(&[]).to_string().contains("no adapter tensors"));
    assert!(matches!(of(&pair[..1]), Error::MissingTensor { tensor, .. } if tensor == b));
    for name in ["blk.0.attn_norm.weight", "blk.0.attn_norm.weight.lora_a", "blk.0.attn_v.lora_a"] {
        assert!(of(&[(name, &[2, 4])]).to_string().contains(name), "{name}");
    }
    for shapes in [[[2, 4], [4, 3]], [[0, 4], [4, 0]], [[2, 0], [4, 2]]] {
        let [down, up] = &shapes;
        assert!(
            matches!(of(&[(a, down), (b, up)]), Error::Shape { tensor, .. } if tensor == b),
            "{shapes:?}"
        );
    }
    let (a, b) = ("blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b");
    let error = of(&[(a, &[2, 4]), (b, &[6, 2])]).to_string();
    assert!(error.contains("rows of heads of 4"), "{error}");
}
