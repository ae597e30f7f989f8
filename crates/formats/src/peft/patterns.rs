//! Settings that differ from module to module, by patterns over the modules' paths.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 1 << 20;

/// Values by pattern, as PEFT reads `rank_pattern` and `alpha_pattern`: a module has the value of the first pattern, in
/// their order on disk, that `re.match(rf"(.*\.)?({pattern})$", path)` finds in its path.
#[derive(Debug, Clone)]
pub struct Patterns<T>(Vec<(String, Regex, T)>);

/// A pattern that is no regular expression, or a too large one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern}: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl<T: Copy> Patterns<T> {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// When one of them is no regular expression. What Python's `re` has besides, looking around and back, is refused.
    pub fn new(patterns: &BTreeMap<String, T>) -> Result<Self, PatternError> {
        let compile = |(pattern, value): (&String, &T)| {
            let regex =
                RegexBuilder::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).size_limit(SIZE_LIMIT).build();
            let regex = regex.map_err(|error| {
                let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
                PatternError { pattern: pattern.clone(), reason }
            })?;
            Ok((pattern.clone(), regex, *value))
        };
        patterns.iter().map(compile).collect::<Result<_, _>>().map(Patterns)
    }

    /// The value for the module at `path`, such as `model.layers.0.self_attn.q_proj`.
    pub fn get(&self, path: &str) -> Option<T> {
        self.0.iter().find(|(_, regex, _)| regex.is_match(path)).map(|(_, _, value)| *value)
    }

    /// The patterns that none of `paths` matches.
    pub fn unmatched<'a>(&'a self, paths: &'a [String]) -> impl Iterator<Item = &'a str> {
        let matched = |regex: &Regex| paths.iter().any(|path| regex.is_match(path));
        self.0.iter().filter(move |(_, regex, _)| !matched(regex)).map(|(pattern, _, _)| pattern.as_str())
    }
}

/// True if `name` means the module at `path`, as PEFT reads a name in `target_modules`: the path, or its end from a dot
/// on.
pub fn names_module(name: &str, path: &str) -> bool {
    path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
