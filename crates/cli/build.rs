//! Packs the base model that the binary carries, and the binary itself where linker and system know how.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output,
    create_comp_flags_from_zip_params,
};

/// What the binary carries.
const FILES: [&str; 6] = [
    "models/base/config.json",
    "models/base/model.safetensors",
    "models/base/tokenizer.json",
    "models/base/tokenizer_config.json",
    "data/quickstart/questions.jsonl",
    "data/quickstart/choices.jsonl",
];

fn main() -> std::io::Result<()> {
    let to = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    for file in FILES {
        let path = Path::new("../..").join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_name().expect("a file").to_string_lossy();
        std::fs::write(to.join(format!("{name}.packed")), pack(&std::fs::read(&path)?)?)?;
    }
    if reads_packed_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if folds_equal_functions(&to)? {
        println!("cargo::rustc-link-arg-bins={FOLD}");
    }
    Ok(())
}

/// Keeps one of several functions with the same instructions, as every release build on Windows does. No code may
/// compare the addresses of functions.
const FOLD: &str = "-Wl,--icf=all";

/// Whether the linker of this build knows [`FOLD`]: LLD does, which Rust brings along for x86-64, and GNU's does not.
fn folds_equal_functions(out: &Path) -> std::io::Result<bool> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("PROFILE") != "release"
        || variable("TARGET") != variable("HOST")
        || !cfg!(target_os = "linux")
    {
        return Ok(false);
    }
    let probe = out.join("probe.rs");
    std::fs::write(&probe, "fn main() {}")?;
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg(format!("-Clink-arg={FOLD}")).arg("--out-dir").arg(out).arg(&probe);
    Ok(rustc.output()?.status.success())
}

/// Whether binaries built here run on glibc 2.36 or later, which reads relative relocations in `DT_RELR`: a bit each
/// instead of 24 bytes. Older ones refuse such a binary, so when it is built for another system they stay as they are.
fn reads_packed_relocations() -> bool {
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("TARGET") != variable("HOST") || variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return false;
    }
    let Ok(version) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let version = String::from_utf8_lossy(&version.stdout);
    let mut numbers = version.trim().trim_start_matches("glibc ").split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (2, 36))
}

/// A byte that names the form, and the shorter form: 0, the bytes deflated; 1, even bytes, then odd ones, deflated, as
/// the upper halves of bf16 values, sign and exponent, are much alike.
fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(vec![0], Compression::best());
    encoder.write_all(bytes)?;
    let (text, weights) = (encoder.finish()?, planes_by_frequency(bytes)?);
    Ok(if weights.len() < text.len() { weights } else { text })
}

/// Deflated without looking for repeats: what seems to be one among weights costs more than it saves.
fn planes_by_frequency(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let planes: Vec<u8> = bytes.iter().step_by(2).chain(bytes.iter().skip(1).step_by(2)).copied().collect();
    let strategy = CompressionStrategy::HuffmanOnly as i32;
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, strategy));
    let mut packed = vec![1];
    let take = |part: &[u8]| {
        packed.extend_from_slice(part);
        true
    };
    match compress_to_output(&mut compressor, &planes, TDEFLFlush::Finish, take) {
        (TDEFLStatus::Done, _) => Ok(packed),
        (status, _) => Err(std::io::Error::other(format!("deflate: {status:?}"))),
    }
}
