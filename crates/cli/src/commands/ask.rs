use crate::args::AskArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &AskArgs) -> Outcome<()> {
    Ok(())
}
