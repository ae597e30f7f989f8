//! How a model's products were computed: numbers of one model may differ by it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::settings::where_different;

/// What a model on this machine multiplied in. Sums, norms, attention and everything else are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// The numbers of training.
    F32,
    /// Both factors rounded to bf16.
    Bf16,
    /// Activations rounded to 8 bits in blocks of 32, times the codes of ggml's blocks.
    Int8,
}

impl Arithmetic {
    /// The name of the type, as a file of numbers has it (`model_dtype`).
    pub fn dtype(self) -> &'static str {
        match self {
            Arithmetic::F32 => "float32",
            Arithmetic::Bf16 => "bfloat16",
            Arithmetic::Int8 => "int8",
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arithmetic::F32 => "f32",
            Arithmetic::Bf16 => "bf16 (sums in f32)",
            Arithmetic::Int8 => "8-bit integers (activations in blocks of 32, weights in ggml's blocks)",
        })
    }
}

/// What must be said of runs that were computed in different ways, by the names of the runs; nothing where all are alike
/// or it is not known.
pub fn different_arithmetic<'a>(runs: impl IntoIterator<Item = &'a Settings>) -> Option<String> {
    let each = where_different(runs, |run| Some(format!("in {}", run.arithmetic?)))?;
    Some(format!(
        "products were computed in different ways, which by itself moves log-likelihoods a little: {each}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, arithmetic: Option<Arithmetic>) -> Settings {
        Settings { name: name.into(), arithmetic, ..Settings::default() }
    }

    #[test]
    fn runs_in_different_arithmetic_say_so_and_others_do_not() {
        use Arithmetic::{Bf16, F32};
        let note = |runs: &[Settings]| different_arithmetic(runs);
        assert_eq!(note(&[]), None);
        assert_eq!(note(&[run("a", Some(F32)), run("b", Some(F32)), run("c", None)]), None);
        let said = note(&[run("a", Some(F32)), run("b", Some(Bf16))]).unwrap();
        assert!(said.ends_with("a little: a in f32; b in bf16 (sums in f32)"), "{said}");
    }

    #[test]
    fn settings_without_arithmetic_are_read_and_written_as_before() {
        let text = serde_json::to_string(&run("a", None)).unwrap();
        assert!(!text.contains("arithmetic"), "{text}");
        let text = serde_json::to_string(&run("a", Some(Arithmetic::Bf16))).unwrap();
        assert!(text.contains(r#""arithmetic":"bf16""#), "{text}");
    }
}
