//! Packs the base model that the binary carries.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;

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
    encoder.finish()
}
