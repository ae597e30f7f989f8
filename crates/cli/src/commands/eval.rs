use crate::args::EvalArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &EvalArgs) -> Outcome<()> {
    Ok(())
}
