//! Which files of a repository are worth having.

use super::{Kind, PullError, Result, Wanted};

/// Beside the weights: configuration, tokenizer, templates, and what the authors say about it all.
const BESIDE_WEIGHTS: [&str; 7] =
    ["*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*", "additional_chat_templates/*.jinja"];
/// The names under which weights and adapters are looked for.
const WEIGHTS: [&str; 3] = ["model.safetensors", "model-*-of-*.safetensors", "adapter_model.safetensors"];
/// Files of rows.
const ROWS: [&str; 9] =
    ["*.parquet", "*.jsonl", "*.json", "*.csv", "*.tsv", "*.jsonl.gz", "*.json.gz", "*.csv.gz", "*.tsv.gz"];

/// The files to download: those that the patterns name, else those that are read here.
pub(super) fn select(wanted: &Wanted, paths: &[String]) -> Result<Vec<String>> {
    let (repository, files) = (wanted.repository.clone(), paths.to_vec());
    if !wanted.patterns.is_empty() {
        let unused = wanted.patterns.iter().find(|pattern| !paths.iter().any(|path| fits(pattern, path)));
        if let Some(pattern) = unused {
            return Err(PullError::NoMatch { repository, pattern: pattern.clone(), files });
        }
        return Ok(fitting(paths, &wanted.patterns));
    }
    match wanted.repository.kind() {
        Kind::Model => {
            let top: Vec<String> = paths.iter().filter(|path| !path.contains('/')).cloned().collect();
            let mut weights = fitting(&top, &WEIGHTS);
            if weights.is_empty() {
                weights = fitting(&top, &["*.safetensors"]);
            }
            if weights.is_empty() {
                return Err(PullError::NothingUseful { repository, wanted: "weights in safetensors", files });
            }
            let beside = |path: &&String| {
                let in_folder = path.contains('/');
                BESIDE_WEIGHTS.iter().any(|pattern| pattern.contains('/') == in_folder && fits(pattern, path))
            };
            let mut selected: Vec<String> = paths.iter().filter(beside).cloned().collect();
            selected.extend(weights);
            Ok(selected)
        }
        Kind::Dataset => {
            let mut selected = fitting(paths, &ROWS);
            if selected.is_empty() {
                let wanted = "rows in CSV, JSON, JSONL or Parquet";
                return Err(PullError::NothingUseful { repository, wanted, files });
            }
            selected.extend(fitting(paths, &["README.md", "LICENSE*"]));
            Ok(selected)
        }
    }
}

fn fitting(paths: &[String], patterns: &[impl AsRef<str>]) -> Vec<String> {
    paths.iter().filter(|path| patterns.iter().any(|pattern| fits(pattern.as_ref(), path))).cloned().collect()
}

/// Whether a path fits a pattern: `*` is any text, slashes too (as in Python's `fnmatch`), `?` any character.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last star has to take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while t < path.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(c) if *c == '?' || *c == path[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after, next)) => {
                    (p, t) = (after, next);
                    retry = Some((after, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::super::Repository;
    use super::*;

    fn selected(kind: Kind, patterns: &[&str], paths: &[&str]) -> Result<Vec<String>> {
        let wanted = Wanted {
            repository: Repository::new(kind, "org/name").expect("a name"),
            revision: "main".to_owned(),
            patterns: patterns.iter().map(ToString::to_string).collect(),
        };
        select(&wanted, &paths.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("*.json", "config.json", true),
            ("*.json", "a/b.json", true),
            ("*.json", "config.jsonl", false),
            ("model-*-of-*.safetensors", "model-00001-of-00002.safetensors", true),
            ("?.txt", "a.txt", true),
            ("?.txt", "ab.txt", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_model_is_its_safetensors_and_what_belongs_to_them() {
        let paths = [
            ".gitattributes",
            "LICENSE.md",
            "README.md",
            "additional_chat_templates/rag.jinja",
            "chat_template.jinja",
            "config.json",
            "consolidated.safetensors",
            "merges.txt",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.gguf",
            "model.safetensors.index.json",
            "onnx/config.json",
            "onnx/model.onnx",
            "original/params.json",
            "pytorch_model.bin",
            "tokenizer.json",
            "tokenizer.model",
            "training_args.pt",
        ];
        let expected = [
            "LICENSE.md",
            "README.md",
            "additional_chat_templates/rag.jinja",
            "chat_template.jinja",
            "config.json",
            "merges.txt",
            "model.safetensors.index.json",
            "tokenizer.json",
            "tokenizer.model",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ];
        assert_eq!(selected(Kind::Model, &[], &paths).expect("selected"), expected);
        let asked = selected(Kind::Model, &["*.gguf", "onnx/*"], &paths).expect("selected");
        assert_eq!(asked, ["model.gguf", "onnx/config.json", "onnx/model.onnx"]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let paths = ["config.json", "pytorch_model.bin"];
        let error = selected(Kind::Model, &[], &paths).expect_err("no weights");
        assert!(
            error.to_string().contains("no weights in safetensors; it has config.json, pytorch_model.bin"),
            "{error}"
        );
        let error =
            selected(Kind::Model, &["config.json", "*.gguf"], &paths).expect_err("no GGUF").to_string();
        assert!(error.contains("\"*.gguf\""), "{error}");
        assert!(selected(Kind::Dataset, &[], &["loader.py"]).is_err());
    }

    #[test]
    fn a_data_set_is_its_rows() {
        let paths = ["README.md", "data/test.parquet", "data/train.csv.gz", "images.zip", "loader.py"];
        let expected = ["data/test.parquet", "data/train.csv.gz", "README.md"];
        assert_eq!(selected(Kind::Dataset, &[], &paths).expect("selected"), expected);
    }
}
