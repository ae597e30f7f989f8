//! How a command fails: whose fault it is, what happened, what to do.

use std::process::ExitCode;

/// Exit status of the program, where it is not that of a signal: 130 after Ctrl-C, 143 after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The user's input.
    Input = 1,
    /// Unexpected.
    Unexpected = 2,
    /// A gate said no.
    Gate = 3,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// Something in what the user gave.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Failure { status: Status::Input as u8, message: message.into(), hint: None }
    }

    /// Something that should not happen.
    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Failure { status: Status::Unexpected as u8, message: message.into(), hint: None }
    }

    /// A check that refuses to go on.
    pub(crate) fn gate(message: impl Into<String>) -> Self {
        Failure { status: Status::Gate as u8, message: message.into(), hint: None }
    }

    /// A signal ended it; `status` says which.
    pub(crate) fn interrupted(status: u8, message: impl Into<String>) -> Self {
        Failure { status, message: message.into(), hint: None }
    }

    /// Whether it was ended by a signal.
    pub(crate) fn by_signal(&self) -> bool {
        self.status > 128
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says on standard error what happened; `who` begins the line.
    pub(crate) fn report(&self, who: &str) {
        eprintln!("{who}error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("{who}hint: {hint}");
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<dataset::Error> for Failure {
    fn from(error: dataset::Error) -> Self {
        use dataset::Error;
        let failure = Failure::input(chain(&error));
        let hint = match &error {
            Error::Io { .. } => return hint_of_io(failure, &error),
            Error::UnknownKind { path } if path.is_dir() => "it is a folder: name the files in it",
            Error::UnknownKind { path } if corpus::Format::of_name(path).is_some() => {
                "a document: `medtune ingest` reads it, and `medtune synth` writes questions from it"
            }
            Error::UnknownKind { .. } => {
                "name a file with one of these endings, or save the rows as CSV or JSONL"
            }
            Error::NotText { .. } => "save the file as text in UTF-8",
            Error::MissingColumn { .. } => {
                "say which column is which: `--column question=Frage`, in a recipe `columns: {question: Frage}`"
            }
            Error::Parquet { .. } => "the file is cut off or broken: make or download it again",
            Error::NoRows { .. } => "docs/guide.md, \"Prepare rows\", has the layouts and their columns",
            Error::EmptySide { .. } => {
                "add rows or documents, or leave sides out: `--test 0 --val 0`, in a recipe `split: {test: 0, val: 0}`"
            }
            Error::OutputExists { .. } => "only a folder that `prepare` wrote is replaced",
            Error::NothingEncoded { .. } => {
                "look at an example: `medtune inspect tokens`; sequence_len and overlong decide about long ones"
            }
            Error::Prepared { .. } => {
                "`medtune prepare FILE… --out DIR` writes such files from rows in CSV, JSON lines, JSON or Parquet"
            }
            _ => return failure,
        };
        failure.hint(hint)
    }
}

impl From<corpus::CorpusError> for Failure {
    fn from(error: corpus::CorpusError) -> Self {
        let failure = Failure::input(chain(&error));
        match &error {
            corpus::CorpusError::Nothing { .. } => {
                failure.hint("name files, or folders that hold PDF, HTML, XML, DOCX, Markdown or text files")
            }
            corpus::CorpusError::NoCorpus { .. } => failure.hint("name a new or empty folder with `--out`"),
            corpus::CorpusError::Io { .. } => hint_of_io(failure, &error),
            _ => failure,
        }
    }
}

impl From<eval::Error> for Failure {
    fn from(error: eval::Error) -> Self {
        use eval::Error;
        use eval::comparison::RunsError;
        use eval::evaluation::EvaluationError;
        let error = match error {
            // There is no `--column` for the files of tasks.
            Error::Data(error) if !matches!(error, dataset::Error::MissingColumn { .. }) => {
                return error.into();
            }
            error => error,
        };
        let failure = Failure::input(chain(&error));
        let hint = match &error {
            Error::NotFinite { .. } => {
                "the weights hold values that are no numbers: look at the base model, and at skipped.jsonl of its run"
            }
            Error::Task { .. } | Error::Data(_) => {
                "docs/guide.md, \"Evaluate\", has the tasks and the files of questions that are read"
            }
            Error::File { .. } => "docs/guide.md, \"Evaluate\", has the files that are read",
            Error::Evaluation(EvaluationError::Io { .. } | EvaluationError::Write(_)) => {
                return hint_of_io(failure, &error);
            }
            Error::Evaluation(EvaluationError::Part { .. }) => {
                "`medtune eval --out` writes it anew; items.jsonl can be read by itself, in a folder without the file"
            }
            Error::Evaluation(EvaluationError::Item { .. }) => {
                "`medtune eval --out` writes such files; correct the line, or take it out of every run. Answers made elsewhere \
                 are scored by `medtune eval --answers-file`"
            }
            Error::Evaluation(EvaluationError::NoEvaluation { .. }) => {
                "name a run folder, or what `medtune eval --out` wrote"
            }
            Error::Evaluation(EvaluationError::Column { .. }) => {
                "say which column is which: `--column answer=Antwort`"
            }
            Error::Evaluation(EvaluationError::Malformed { .. }) => {
                "docs/guide.md, \"Evaluate\", has the files that are read: JSON lines, a JSON list or CSV, in UTF-8"
            }
            Error::Evaluation(EvaluationError::Occupied { .. }) => "name a new or empty folder with --out",
            Error::Runs(RunsError::DifferentItems { common: 0, .. }) => {
                "items are paired by their ids: evaluate the same questions, or name the column of ids that the files share: \
                 `medtune eval --answers-file FILE --column id=NAME`"
            }
            Error::Runs(RunsError::DifferentItems { .. }) => "`--common` compares the items that all have",
            Error::Runs(RunsError::Unlike { .. }) => {
                "one id stands for two questions: evaluate both on the same version of the questions"
            }
            Error::Runs(RunsError::SameName(_)) => "name each run once",
            Error::Runs(RunsError::Unknown { .. }) => "name one of them: `--against NAME`",
            Error::Judge { what: "systems", .. } => "name them: `medtune judge NAME=FILE NAME=FILE`",
            Error::Judge { what: "questions", .. } => {
                "answers are put together by the column `id`, or without one by their questions, which have to be the same"
            }
            Error::Reread { .. } => {
                "ask again with `medtune eval --tasks … --mode generation --rule RULE`, or read a file of answers: `medtune eval \
                 --answers-file FILE --labels A,B,C,D --rule RULE`"
            }
            Error::Unpaired { .. } => "measure both models on the same items with the same options",
            _ => return failure,
        };
        failure.hint(hint)
    }
}

impl From<model::Error> for Failure {
    fn from(error: model::Error) -> Self {
        let failure = Failure::input(chain(&error));
        match error {
            model::Error::Format(error) => hint_of_format(failure, &error),
            model::Error::Adapter(_) => failure.hint("docs/recipe.md has the keys of adapters and what they take"),
            model::Error::Frozen { .. } => failure.hint("train an adapter on it: `adapter: lora`"),
            model::Error::MissingTensor { .. } | model::Error::TensorShape { .. } => {
                failure.hint("the weights are not all those of this model: download or convert it again")
            }
            model::Error::Encode { .. } => failure.hint(
                "look at the training: a weight that is not finite or this large answers nothing; f32 holds every finite one",
            ),
            model::Error::Unsupported { .. } | model::Error::TensorType { .. } => {
                failure.hint("docs/guide.md, \"Bases as they come\", has the models and files that are read")
            }
            model::Error::Io { .. } => hint_of_io(failure, &error),
            model::Error::Json { .. } => failure.hint(BROKEN),
            model::Error::Tokenizer { .. } => {
                let failure = hint_within(failure);
                if failure.hint.is_some() { failure } else { failure.hint(BROKEN) }
            }
            model::Error::Template { .. } | model::Error::Conversation(_) => hint_within(failure),
            _ => failure,
        }
    }
}

impl From<formats::Error> for Failure {
    fn from(error: formats::Error) -> Self {
        hint_of_format(Failure::input(chain(&error)), &error)
    }
}

const BROKEN: &str = "the file is cut off or broken, or of another format: download or convert it again";

/// A hint that stands at the end of a message, on a line of its own.
fn hint_within(failure: Failure) -> Failure {
    match failure.message.split_once("; hint: ") {
        Some((message, hint)) => {
            Failure { message: message.to_owned(), hint: Some(hint.to_owned()), status: failure.status }
        }
        None => failure,
    }
}

/// What to do about a file that the system refuses.
fn hint_of_io(failure: Failure, error: &(dyn std::error::Error + 'static)) -> Failure {
    use std::io::ErrorKind;
    let hint = match io_kind(error) {
        Some(ErrorKind::NotFound) => {
            "look at the path; a relative one begins in the folder that the command runs in"
        }
        Some(ErrorKind::IsADirectory) => "name a file in it",
        Some(ErrorKind::NotADirectory | ErrorKind::AlreadyExists) => {
            "a file stands where a folder is needed: name another place"
        }
        Some(kind) if WRITE_FAILURES.contains(&kind) => "make room, allow it, or name another place",
        _ => return failure,
    };
    failure.hint(hint)
}

/// What to do about a file.
fn hint_of_format(failure: Failure, error: &formats::Error) -> Failure {
    match error {
        formats::Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            let in_folder = path.parent().is_some_and(std::path::Path::is_dir);
            match in_folder && path.extension().is_some_and(|end| end == "safetensors" || end == "json") {
                true => failure.hint("the folder is not whole: download or copy the missing file too"),
                false => hint_of_io(failure, error),
            }
        }
        formats::Error::Io { .. } => hint_of_io(failure, error),
        formats::Error::Length { .. } | formats::Error::Malformed { .. } => failure.hint(BROKEN),
        formats::Error::MissingTensor { .. }
        | formats::Error::Shape { .. }
        | formats::Error::Dtype { .. } => {
            failure.hint("the file is incomplete or belongs to another model: download or convert it again")
        }
        formats::Error::Unsupported { .. } => {
            failure.hint("docs/guide.md, \"Bases as they come\", has the models and files that are read")
        }
        _ => failure,
    }
}

impl From<track::Error> for Failure {
    fn from(error: track::Error) -> Self {
        let failure = Failure::input(chain(&error));
        match error {
            track::Error::InUse { .. } => {
                failure.hint("wait for it to end, or name another folder: `--set output_dir=DIR`")
            }
            track::Error::AlreadyARun { .. } => {
                failure.hint("`--resume` goes on with it; `--set output_dir=DIR` starts another")
            }
            _ if is_write_failure(&error) => failure.hint(AFTER_A_FAILED_WRITE),
            _ => hint_of_io(failure, &error),
        }
    }
}

impl From<train::Error> for Failure {
    fn from(error: train::Error) -> Self {
        if let train::Error::Track(error) = error {
            return error.into();
        }
        if let train::Error::NoRoom { settings, .. } = &error {
            return no_room(error.to_string(), settings);
        }
        let failure = Failure::input(chain(&error));
        match error {
            train::Error::Changed { .. } => failure.hint(
                "undo the change, or start a run of its own: `--set output_dir=DIR` without `--resume`",
            ),
            train::Error::NotFinite { .. } => failure.hint(
                "lower learning_rate, warm up longer (warmup_ratio) or clip harder (max_grad_norm); look at the examples",
            ),
            train::Error::Ranks { .. } => failure.hint(
                "use one build of the program on machines of one kind; the checkpoints are whole: go on with `--resume`",
            ),
            train::Error::MissingGradient { .. } => {
                failure.hint("take it out of lora_target_modules: with this base it cannot learn")
            }
            train::Error::Recipe { .. } => failure.hint("docs/recipe.md lists the keys and what they take"),
            _ if is_write_failure(&error) => failure.hint(AFTER_A_FAILED_WRITE),
            _ => failure,
        }
    }
}

/// A run for which this machine has too little memory, and the settings with which it would have enough.
pub(crate) fn no_room(message: String, settings: &[String]) -> Failure {
    let hint = match settings {
        [] => "no setting makes it fit: take a smaller base model".to_owned(),
        [one] => format!("it would fit with {one}"),
        several => format!("it would fit with any of {}", several.join(", ")),
    };
    Failure::unexpected(message).hint(format!("{hint}; `--set memory_check=false` tries it as it is"))
}

const AFTER_A_FAILED_WRITE: &str =
    "the checkpoints that were there are whole: make room or allow writing, then go on with `--resume`";

/// The system has no room or no permission for a file.
const WRITE_FAILURES: [std::io::ErrorKind; 5] = {
    use std::io::ErrorKind;
    [
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::FileTooLarge,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::PermissionDenied,
    ]
};

fn is_write_failure(error: &(dyn std::error::Error + 'static)) -> bool {
    io_kind(error).is_some_and(|kind| WRITE_FAILURES.contains(&kind))
}

/// The system's reason behind an error, if there is one.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| Some(error.downcast_ref::<std::io::Error>()?.kind()))
}

impl From<serve::Error> for Failure {
    fn from(error: serve::Error) -> Self {
        let text = chain(&error);
        match error {
            serve::Error::Engine(error) => error.into(),
            serve::Error::EngineDied | serve::Error::Start(_) => Failure::unexpected(text),
            serve::Error::Open { .. } => Failure::input(text)
                .hint("set one with --api-key-file FILE or MEDTUNE_API_KEY, or listen on 127.0.0.1"),
            serve::Error::Key { .. } => Failure::input(text).hint("`openssl rand -hex 32` makes a good one"),
            serve::Error::Bind { .. } => Failure::input(text).hint("name another address with --bind"),
        }
    }
}

impl From<::chat::Error> for Failure {
    fn from(error: ::chat::Error) -> Self {
        use ::chat::Error;
        let failure = Failure::input(chain(&error));
        match error {
            Error::Unreachable { .. } => failure.hint("start the server, or name the address of another one"),
            Error::Key { .. } => failure
                .hint("put the key into the variable that --api-key-env names, or a file for --api-key-file"),
            Error::Credit { .. } => failure.hint("top up the account"),
            Error::NotFound { .. } => {
                failure.hint("look at --model-name, and at the path of the address (`/v1`)")
            }
            Error::Busy { .. } => failure.hint(
                "look at the address; if it is right, ask less at once: --at-once, --requests-per-minute",
            ),
            Error::Budget(_) => failure.hint("raise --budget or --budget-tokens, or name --prices"),
            Error::Stopped(_) => Failure { status: Status::Unexpected as u8, ..failure },
            Error::Gate(_) => Failure { status: Status::Gate as u8, ..failure }
                .hint("mask it with `ingest --phi mask`, ask a model on this machine, or say --allow-phi"),
            _ => failure,
        }
    }
}

impl From<rag::Error> for Failure {
    fn from(error: rag::Error) -> Self {
        use rag::Error;
        let text = chain(&error);
        match error {
            Error::Model(error) => error.into(),
            Error::Corpus(error) => error.into(),
            Error::Rows(error) => error.into(),
            Error::Source { .. } => Failure::input(text)
                .hint("`medtune ingest DOCUMENTS --out corpus` makes a corpus; or name a file of rows with a column `text`"),
            Error::Index { .. } => {
                Failure::input(text).hint("`medtune index SOURCES --out FILE` makes an index")
            }
            Error::Unfinished { .. } => Failure::input(text)
                .hint("the `medtune index` that was ended goes on where it was: start it again"),
            Error::Twice { .. } => {
                Failure::input(text).hint("name the column that tells rows apart: `--column id=…`")
            }
            Error::NoVectors { .. } => Failure::input(text)
                .hint("`medtune index … --encoder DIR` makes them; --retrieval words needs none"),
            Error::OtherEncoder { .. } => Failure::input(text)
                .hint("name the encoder that made them, or make the index anew with this one"),
        }
    }
}

impl From<synth::Error> for Failure {
    fn from(error: synth::Error) -> Self {
        let text = chain(&error);
        match error {
            synth::Error::Model(error) => error.into(),
            synth::Error::Write(error) => error.into(),
            synth::Error::Dataset(dataset::Error::EmptySide { .. }) => Failure::input(text).hint(
                "documents stay whole, so each side needs one: leave sides out with --test 0 or --val 0, or add documents",
            ),
            synth::Error::NoRoom { .. } => {
                Failure::input(text).hint("take a model that reads more, or a shorter prompt (--prompt FILE)")
            }
            synth::Error::NoText { .. } => Failure::input(text).hint("look at what `medtune ingest` reported"),
            _ => Failure::input(text),
        }
    }
}

impl From<compute::Error> for Failure {
    fn from(error: compute::Error) -> Self {
        Failure::unexpected(chain(&error)).hint("use smaller batches (micro_batch_tokens) or a smaller model")
    }
}

/// A file that the system refuses.
pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| hint_of_io(Failure::input(format!("{}: {error}", path.display())), &error)
}

/// Result of a command.
pub(crate) type Outcome<T> = std::result::Result<T, Failure>;
