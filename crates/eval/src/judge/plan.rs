//! Which calls a judgement takes.

use super::reply::{LETTERS, form};
use super::settings::{Mode, PROMPTS, Settings};
use super::{Answers, Item, LeftOut};
use crate::Result;
use chat::{ChatRequest, Prompt};
use serde::{Deserialize, Serialize};

/// Tokens that a verdict with its reasons usually takes.
const USUAL_REPLY: usize = 150;

/// One call.
#[derive(Clone, Debug)]
pub struct Task {
    /// The item, by its place among the answers.
    pub item: usize,
    /// The systems in the order in which their answers are shown.
    pub shown: Vec<usize>,
    /// The request.
    pub request: ChatRequest,
}

/// All calls, in the order of the items.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// What is judged.
    pub answers: &'a Answers,
    /// How.
    pub settings: Settings,
    /// The prompt; its text with name, version and hash stands for it in results.
    pub prompt: Prompt,
    /// The calls.
    pub tasks: Vec<Task>,
    /// Questions that are not judged.
    pub left_out: Vec<LeftOut>,
}

/// What the calls of a plan take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Calls whose reply is not there yet.
    pub requests: usize,
    /// Calls whose reply is there.
    pub kept: usize,
    /// Tokens of their prompts.
    pub prompt_tokens: usize,
    /// Tokens of their replies, as a verdict with its reasons usually takes.
    pub reply_tokens: usize,
    /// Tokens of their replies at most; a reply that cannot be used is asked for once more.
    pub most_reply_tokens: usize,
}

impl<'a> Plan<'a> {
    /// Plans the calls.
    ///
    /// # Errors
    /// Where the settings do not go with the number of systems, the prompt cannot be used, or no item is left.
    pub fn new(answers: &'a Answers, settings: &Settings) -> Result<Self> {
        settings.check(answers.systems.len())?;
        let prompt = PROMPTS.find(settings.prompt.as_deref().unwrap_or(settings.mode.name()))?;
        let mut plan = Plan {
            answers,
            settings: settings.clone(),
            prompt,
            tasks: Vec::new(),
            left_out: answers.left_out.clone(),
        };
        let orders = orders(settings, answers.systems.len());
        for (at, item) in answers.items.iter().enumerate() {
            if settings.mode == Mode::Rubric && item.reference.is_none() {
                let reason = "a rubric needs a reference, and there is none".to_owned();
                plan.left_out.push(LeftOut { item: item.id.clone(), reason });
                continue;
            }
            for shown in &orders {
                let request = plan.request(item, shown)?;
                plan.tasks.push(Task { item: at, shown: shown.clone(), request });
            }
        }
        if plan.tasks.is_empty() {
            let reason = "a rubric needs references, and no question has one".to_owned();
            return Err(crate::Error::Judge { what: "answers", reason });
        }
        Ok(plan)
    }

    /// Counts what the calls take; `count` gives the tokens of a text, `kept` says whether a reply is there.
    ///
    /// # Errors
    /// Those of `kept`.
    pub fn estimate<E>(
        &self,
        count: &dyn Fn(&str) -> usize,
        kept: impl Fn(&ChatRequest) -> std::result::Result<bool, E>,
    ) -> std::result::Result<Estimate, E> {
        let mut estimate = Estimate::default();
        for task in &self.tasks {
            if kept(&task.request)? {
                estimate.kept += 1;
                continue;
            }
            estimate.requests += 1;
            estimate.prompt_tokens +=
                task.request.messages.iter().map(|message| count(&message.content)).sum::<usize>();
            estimate.reply_tokens += USUAL_REPLY.min(task.request.max_tokens);
            estimate.most_reply_tokens += 2 * task.request.max_tokens;
        }
        Ok(estimate)
    }

    fn request(&self, item: &Item, shown: &[usize]) -> Result<ChatRequest> {
        let settings = &self.settings;
        let text = |system: &usize| {
            let answer = item.answers[*system].trim();
            if answer.is_empty() { "(the answer is empty)" } else { answer }
        };
        let criteria = settings.rubric.criteria.iter();
        let criteria: Vec<String> = criteria.map(|c| format!("- {}: {}", c.name, c.description)).collect();
        let levels = settings.rubric.levels.iter().zip(1..);
        let levels: Vec<String> = levels.map(|(level, number)| format!("{number}: {level}")).collect();
        let listed = shown.iter().zip(LETTERS);
        let listed: Vec<String> = listed
            .map(|(system, letter)| format!("<answer name=\"{letter}\">\n{}\n</answer>", text(system)))
            .collect();
        let messages = self.prompt.fill(&[
            ("question", item.question.trim()),
            (
                "reference",
                item.reference.as_deref().unwrap_or("(there is none: go by current medical knowledge)"),
            ),
            ("answer", text(&shown[0])),
            ("answer_a", text(&shown[0])),
            ("answer_b", text(shown.last().unwrap_or(&shown[0]))),
            ("answers", &listed.join("\n")),
            ("criteria", &criteria.join("\n")),
            ("levels", &levels.join("\n")),
            ("scale", &scale(settings)),
            ("example", &example(settings, shown.len())),
        ])?;
        let form = Some(form(settings, shown.len()));
        Ok(ChatRequest { form, ..ChatRequest::new(messages, settings.max_tokens) })
    }
}

fn scale(settings: &Settings) -> String {
    let scale = settings.scale;
    let kind = if scale.has_fractions() { "a number" } else { "a whole number" };
    format!("Each score is {kind} from {} (the worst) to {} (the best).", scale.low(), scale.high())
}

/// The form of the verdict, without saying one.
fn example(settings: &Settings, shown: usize) -> String {
    match settings.mode {
        Mode::Listwise => {
            let letters: Vec<String> =
                LETTERS[..shown].iter().map(|letter| format!("\"{letter}\"")).collect();
            format!("[{} in your order]", letters.join(", "))
        }
        _ => {
            let fields: Vec<String> =
                settings.criteria().iter().map(|name| format!("\"{name}\": …")).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// In which orders the systems are shown for each item. Every two of them come in both orders.
fn orders(settings: &Settings, systems: usize) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..systems).collect();
    match settings.mode {
        Mode::Pointwise | Mode::Rubric => all.into_iter().map(|system| vec![system]).collect(),
        Mode::Pairwise => {
            let pairs = all.iter().flat_map(|second| (0..*second).map(|first| (first, *second)));
            pairs.flat_map(|(first, second)| [vec![first, second], vec![second, first]]).collect()
        }
        Mode::Listwise if settings.rotations => (0..systems)
            .map(|start| {
                let mut order = all.clone();
                order.rotate_left(start);
                order
            })
            .collect(),
        Mode::Listwise => vec![all.clone(), all.into_iter().rev().collect()],
    }
}
