//! A language model or people as judges of answers.
//!
//! A judge's reply that cannot be used is counted under its reason and enters no mean. Answers that are compared are
//! shown in both orders, and where the orders disagree it is a tie. What a judge prefers for the wrong reasons (place,
//! length, its own family) is measured beside the scores, and a judge that does not agree with people ranks nothing.

mod agreement;
mod answers;
mod ask;
mod bias;
pub mod human;
mod import;
mod judgement;
mod pairs;
mod plan;
mod ranking;
mod read;
mod reply;
mod scores;
mod settings;
mod summary;
mod table;

pub use agreement::{Agreed, Agreement, Calibration, GateKappa, MIN_AGREEMENT};
pub use answers::{Answers, Item, LeftOut};
pub use ask::{Asked, ask};
pub use bias::{LengthBias, LongerWins, PositionBias, SelfPreference, Yardstick};
pub use import::{Imported, import, read_lists};
pub use judgement::{Failure, FailureKind, Judgement, Verdict, Winner};
pub use pairs::PairRecord;
pub use plan::{Estimate as CallEstimate, Plan, Task};
pub use ranking::{RankBy, Ranked, Ranking};
pub use read::{read_answers, read_judgements, read_records};
pub use scores::{ScoreDifference, ScoreMean};
pub use settings::{Criterion, Mode, PROMPTS, Rubric, Scale, Settings};
pub use summary::{Beside, Calls, People, Source, Summary};
