//! Packs the base model that the binary carries.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output,
    create_comp_flags_from_zip_params,
};

fn main() -> std::io::Result<()> {
    let from = Path::new("../../models/base");
    let to = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        let path = from.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        std::fs::write(to.join(format!("{name}.packed")), pack(&std::fs::read(path)?)?)?;
    }
    Ok(())
}

/// Even bytes, then odd ones, deflated: the upper halves of bf16 values, sign and exponent, are much alike.
fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let planes: Vec<u8> = bytes.iter().step_by(2).chain(bytes.iter().skip(1).step_by(2)).copied().collect();
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&planes)?;
    let (repeats, codes) = (encoder.finish()?, by_frequency(&planes)?);
    Ok(if codes.len() < repeats.len() { codes } else { repeats })
}

/// Deflated without looking for repeats: what seems to be one among weights costs more than it saves.
fn by_frequency(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let strategy = CompressionStrategy::HuffmanOnly as i32;
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, strategy));
    let mut packed = Vec::new();
    let take = |part: &[u8]| {
        packed.extend_from_slice(part);
        true
    };
    match compress_to_output(&mut compressor, bytes, TDEFLFlush::Finish, take) {
        (TDEFLStatus::Done, _) => Ok(packed),
        (status, _) => Err(std::io::Error::other(format!("deflate: {status:?}"))),
    }
}
