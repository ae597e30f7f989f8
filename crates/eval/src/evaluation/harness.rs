//! The numbers in the shape that lm-evaluation-harness 0.4 writes, for the tools that read it.
//!
//! Keys are those of `EvaluatorOutput` (`lm_eval/evaluator.py`, `evaluator_utils.py`): `results`, `configs`, `versions`,
//! `n-shot`, `higher_is_better`, `n-samples`, `config`. The standard error is the jackknife's over groups, which for
//! the mean of items without groups is the harness' own `mean_stderr`.

use super::{Arithmetic, Results, Settings, TaskResults};
use crate::comparison::Direction;
use serde_json::{Map, Value, json};

/// Where our own numbers stand in the document.
pub(super) const OURS: &str = "medtune";

/// The document; our own numbers with their intervals are under [`OURS`].
pub(super) fn document(settings: &Settings, results: &Results) -> Value {
    let per_task = |value: &dyn Fn(&str, &TaskResults) -> Value| -> Value {
        results
            .tasks
            .iter()
            .map(|(task, numbers)| (task.clone(), value(task, numbers)))
            .collect::<Map<_, _>>()
            .into()
    };
    let asked = |task: &str| settings.tasks.get(task).cloned().unwrap_or_default();
    json!({
        "results": per_task(&task_results),
        "group_subtasks": per_task(&|_, _| json!([])),
        "configs": per_task(&|task, _| {
            let asked = asked(task);
            let mut config = Map::from_iter([("task".to_string(), json!(task))]);
            config.extend(asked.dataset.map(|dataset| ("dataset_path".to_string(), json!(dataset))));
            config.insert("num_fewshot".into(), json!(asked.num_fewshot));
            config.extend(asked.config);
            config.into()
        }),
        "versions": per_task(&|task, _| asked(task).version.unwrap_or(json!("Yaml"))),
        "n-shot": per_task(&|task, _| json!(asked(task).num_fewshot)),
        "higher_is_better": per_task(&|_, numbers| {
            let better = |direction| match direction {
                Direction::Higher => json!(true),
                Direction::Lower => json!(false),
                Direction::Neither => Value::Null,
            };
            let metrics = numbers.metrics.keys();
            metrics.map(|metric| (metric.harness_key().to_string(), better(metric.direction()))).collect::<Map<_, _>>().into()
        }),
        "n-samples": per_task(&|task, numbers| {
            json!({ "original": asked(task).items.unwrap_or(numbers.items), "effective": numbers.items })
        }),
        "config": {
            "model": "medtune",
            "model_args": model_arguments(settings),
            "model_dtype": settings.arithmetic.map(Arithmetic::dtype),
            "bootstrap_iters": settings.resampling.resamples,
            "random_seed": settings.seed,
            "fewshot_seed": settings.seed,
            "gen_kwargs": settings.options,
        },
        "git_hash": settings.program.as_ref().and_then(|program| program.git.clone()),
        "date": settings.created,
        "model_name": settings.model,
        "model_source": "medtune",
        OURS: results,
    })
}

fn model_arguments(settings: &Settings) -> String {
    let adapter = settings.adapter.as_ref().map_or_else(String::new, |adapter| format!(",peft={adapter}"));
    format!("pretrained={}{adapter}", settings.model)
}

fn task_results(task: &str, numbers: &TaskResults) -> Value {
    let mut results = Map::from_iter([
        ("alias".to_string(), json!(task)),
        ("sample_len".to_string(), json!(numbers.items)),
    ]);
    for (metric, result) in &numbers.metrics {
        let key = metric.harness_key();
        results.insert(format!("{key},none"), json!(result.estimate.value));
        let error = result.standard_error.map_or(json!("N/A"), |error| json!(error));
        results.insert(format!("{key}_stderr,none"), error);
    }
    results.into()
}
