//! What several commands do: data, base model, training, evaluation.

pub(crate) mod base;
pub(crate) mod bertscore;
pub(crate) mod data;
pub(crate) mod evaluation;
pub(crate) mod evaluation_folder;
pub(crate) mod exporting;
pub(crate) mod fidelity;
pub(crate) mod importance;
pub(crate) mod merging;
pub(crate) mod ollama;
pub(crate) mod planned_calls;
pub(crate) mod quantization;
pub(crate) mod question_writer;
pub(crate) mod ranks;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod retrieval;
pub(crate) mod served;
pub(crate) mod tasks;
pub(crate) mod training;
pub(crate) mod verification;
pub(crate) mod writing;
