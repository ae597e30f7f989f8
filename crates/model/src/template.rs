//! Chat templates: a conversation as the text that a model was trained on.
//!
//! A template is somebody else's Jinja text. It is rendered as Hugging Face's transformers render it, within limits:
//! 64 KiB of source, 400,000 steps, 4 MiB for one value, 128 MiB for all of them, 1 MiB of output. It cannot read files or
//! the environment.

mod budget;
mod builtin;
mod clock;
mod costly;
mod filters;
mod go;
mod guarded;
mod json;
mod sort;

use std::path::Path;
use std::time::{Duration, SystemTime};

use chat::Message;
use formats::GgufFile;
use minijinja::machinery::{self, CodeGenerator};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind};
use serde_json::Value;

pub use go::{GoTemplate, OllamaTemplate};

use crate::tokenizer::{CONFIG_FILE, SpecialTexts, read_limited, read_object};
use crate::{Error, Result};

/// The longest template.
const SOURCE_LIMIT: usize = 64 << 10;
/// The most steps of one rendering, those that count values among them.
const FUEL: u64 = 400_000;
/// The longest rendering.
const OUTPUT_LIMIT: usize = 1 << 20;
/// The template's own file, which goes before the one in the tokenizer's settings.
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// What errors call the template.
const NAME: &str = "chat_template";

/// A compiled chat template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    origin: String,
    source: String,
    /// The source as the engine takes it.
    program: String,
    texts: SpecialTexts,
    /// What stands before every rendering, unless the template writes it.
    leading: Option<String>,
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json` (of a
    /// list, the one named `default`).
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when there is none or it is not valid; [`Error::Io`] and [`Error::Json`] when a file is broken.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let texts = SpecialTexts::from_dir(folder)?;
        let file = folder.join(TEMPLATE_FILE);
        if file.is_file() {
            let origin = file.display().to_string();
            let source = String::from_utf8(read_limited(&file)?).map_err(|_| wrong(&origin, "not UTF-8"))?;
            return Self::compile(origin, source, texts);
        }
        let settings = folder.join(CONFIG_FILE);
        let origin = settings.display().to_string();
        match read_object(&settings)?.as_ref().and_then(|settings| settings.get("chat_template")) {
            Some(Value::String(source)) => Self::compile(origin, source.clone(), texts),
            Some(Value::Array(entries)) => {
                let source = default_of(entries).map_err(|reason| wrong(&origin, reason))?;
                Self::compile(origin, source.to_owned(), texts)
            }
            _ => Err(wrong(
                &folder.display().to_string(),
                format!(
                    "no chat template: neither {TEMPLATE_FILE} nor chat_template in {CONFIG_FILE}; hint: a recipe \
                     can name a built-in one, `chat_template: chatml` ({})",
                    builtin::names()
                ),
            )),
        }
    }

    /// The template inside a GGUF file (`tokenizer.chat_template`), with the texts of its tokens. Where llama.cpp puts a
    /// BOS before every text (`tokenizer.ggml.add_bos_token`), it stands before what the template writes too, once.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when there is none or it is not valid;
    /// [`Error::Format`] when a value is of another type.
    pub fn from_gguf(file: &GgufFile) -> Result<Self> {
        let origin = file.path().display().to_string();
        let Some(source) = file.get::<&str>("tokenizer.chat_template")? else {
            let names = builtin::names();
            let reason = format!(
                "no `tokenizer.chat_template`; hint: a recipe can name a built-in one, `chat_template: chatml` ({names})"
            );
            return Err(wrong(&origin, reason));
        };
        let texts = SpecialTexts::from_gguf(file)?;
        let is_llama = file.get("tokenizer.ggml.model")? == Some("llama");
        let adds_bos = file.get("tokenizer.ggml.add_bos_token")?.unwrap_or(is_llama);
        let leading = texts.bos.clone().filter(|_| adds_bos);
        let template = Self::compile(origin, source.to_owned(), texts)?;
        Ok(ChatTemplate { leading, ..template })
    }

    /// A template from its text, with the texts of the model's BOS and EOS tokens where it has them.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when it is too long or not valid.
    pub fn from_source(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Self> {
        let texts = SpecialTexts {
            bos: bos.map(str::to_owned),
            eos: eos.map(str::to_owned),
            ..SpecialTexts::default()
        };
        Self::compile("the given template".to_owned(), source.to_owned(), texts)
    }

    /// A well-known template by name: `chatml`, `gemma`, `llama3`, `mistral`, `qwen` or `smollm2`.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when there is none of that name.
    pub fn builtin(name: &str) -> Result<Self> {
        let Some(found) = builtin::find(name) else {
            return Err(wrong(
                name,
                format!("no built-in template of that name; there are {}", builtin::names()),
            ));
        };
        let texts = SpecialTexts {
            bos: found.bos.map(str::to_owned),
            eos: Some(found.eos.to_owned()),
            ..SpecialTexts::default()
        };
        Self::compile(format!("built-in template {name}"), found.source.to_owned(), texts)
    }

    fn compile(origin: String, source: String, texts: SpecialTexts) -> Result<Self> {
        if source.len() > SOURCE_LIMIT {
            let reason = format!("{} bytes long, expected at most {SOURCE_LIMIT}", source.len());
            return Err(wrong(&origin, reason));
        }
        let program = without_generation_marks(&source);
        machinery::parse(&program, NAME, trimming_syntax())
            .map_err(|reason| wrong(&origin, explain(&reason)))?;
        Ok(ChatTemplate { origin, source, program, texts, leading: None, environment: environment() })
    }

    /// The same template with `strftime_now` fixed to a moment, for templates that write the date.
    #[must_use]
    pub fn at(mut self, moment: SystemTime) -> Self {
        let since_epoch = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        add_clock(&mut self.environment, Some(since_epoch));
        self
    }

    /// The text of a conversation, with the beginning of the next answer if `add_generation_prompt`.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when the template refuses the conversation, fails, or reaches a limit.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let mut context = serde_json::Map::new();
        let messages =
            serde_json::to_value(messages).map_err(|reason| wrong(&self.origin, reason.to_string()))?;
        context.insert("messages".to_owned(), messages);
        context.insert("add_generation_prompt".to_owned(), Value::Bool(add_generation_prompt));
        context.insert("tools".to_owned(), Value::Null);
        context.insert("documents".to_owned(), Value::Null);
        let texts = &self.texts;
        for (key, text) in [
            ("bos_token", &texts.bos),
            ("eos_token", &texts.eos),
            ("pad_token", &texts.pad),
            ("unk_token", &texts.unk),
        ] {
            if let Some(text) = text {
                context.insert(key.to_owned(), Value::String(text.clone()));
            }
        }
        let text = self.render_context(&Value::Object(context))?;
        match &self.leading {
            Some(leading) if !text.starts_with(leading.as_str()) => Ok(format!("{leading}{text}")),
            _ => Ok(text),
        }
    }

    /// The template's text for any variables (tools, documents …); none are added.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when the template refuses them, fails, or reaches a limit.
    pub fn render_context(&self, context: &Value) -> Result<String> {
        let text = evaluate(&self.environment, &self.program, context)
            .map_err(|reason| wrong(&self.origin, explain(&reason)))?;
        if text.len() > OUTPUT_LIMIT {
            return Err(wrong(&self.origin, format!("renders more than {OUTPUT_LIMIT} bytes")));
        }
        Ok(text)
    }

    /// The template's text for a file of its own: with the BOS that stands before every rendering, where the template
    /// does not write it.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when the template refuses an ordinary conversation.
    pub fn standalone(&self) -> Result<String> {
        let Some(leading) = &self.leading else { return Ok(self.source.clone()) };
        let without = ChatTemplate { leading: None, ..self.clone() };
        let ordinary = without.render(&[Message::user("Why?"), Message::assistant("So.")], false)?;
        match ordinary.starts_with(leading.as_str()) {
            true => Ok(self.source.clone()),
            false => Ok(format!("{{{{- bos_token }}}}{}", self.source)),
        }
    }

    /// The template's text, as it came.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// BLAKE3 of the template's text, in hexadecimal.
    pub fn hash(&self) -> String {
        blake3::hash(self.source.as_bytes()).to_hex().to_string()
    }
}

/// The template named `default` in a list, or the only one.
fn default_of(entries: &[Value]) -> std::result::Result<&str, String> {
    let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some("default");
    let only = || entries.first().filter(|_| entries.len() == 1);
    entries
        .iter()
        .find(named)
        .or_else(only)
        .and_then(|entry| entry.get("template")?.as_str())
        .ok_or_else(|| format!("chat_template is a list of {} without one named `default`", entries.len()))
}

fn wrong(origin: &str, reason: impl Into<String>) -> Error {
    Error::Template { origin: origin.to_owned(), reason: reason.into() }
}

/// The engine's error with its line and causes.
fn explain(error: &minijinja::Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("needs more than {FUEL} steps");
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Runs the counted form of a template (see [`guarded`]).
fn evaluate(
    environment: &Environment<'_>,
    source: &str,
    context: &Value,
) -> std::result::Result<String, minijinja::Error> {
    let parsed = machinery::parse(source, NAME, trimming_syntax())?;
    let mut generator = CodeGenerator::new(NAME, source);
    generator.compile_stmt(&guarded::statement(&parsed));
    let (instructions, blocks) = generator.finish();
    let mut text = String::new();
    let mut output = machinery::make_string_output(&mut text);
    let root = minijinja::Value::from(Serde(context));
    machinery::eval(environment, &instructions, root, &blocks, &mut output, AutoEscape::None)?;
    Ok(text)
}

/// The engine with the settings and functions that transformers give their templates.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(budget::emit);
    environment.add_function(guarded::CHARGED, budget::charged);
    environment.add_function(guarded::TOUCHED, budget::touched);
    costly::replace_in(&mut environment);
    environment.add_filter("tojson", json::to_json);
    environment.add_filter("indent", filters::indent);
    environment.add_filter("default", filters::default);
    environment.add_filter("d", filters::default);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("sort", sort::sort);
    environment.add_function("raise_exception", |message: String| -> std::result::Result<String, _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    add_clock(&mut environment, None);
    environment
}

fn add_clock(environment: &mut Environment<'static>, fixed: Option<Duration>) {
    environment.add_function("strftime_now", move |format: &str| {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        clock::format(format, fixed.unwrap_or_else(now).as_secs())
    });
}

fn trimming_syntax() -> SyntaxConfig {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default()
}

/// The source with `{% generation %}` blocks as blocks that are always rendered.
///
/// The marks say which text is the model's; here that is found by rendering prefixes. They must not simply be cut out:
/// white space around a block depends on the block.
fn without_generation_marks(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        result.push_str(before);
        let trimmed = tag.trim_start_matches(['-', '+']).trim_start();
        let word_length =
            trimmed.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(trimmed.len());
        let (word, after) = trimmed.split_at(word_length);
        let replacement = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => {
                rest = tag;
                continue;
            }
        };
        result.push_str(&tag[..tag.len() - trimmed.len()]);
        result.push_str(replacement);
        rest = after;
    }
    result + rest
}
