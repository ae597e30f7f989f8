use crate::args::PrepareArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &PrepareArgs) -> Outcome<()> {
    Ok(())
}
