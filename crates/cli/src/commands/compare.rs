use crate::args::CompareArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &CompareArgs) -> Outcome<()> {
    Ok(())
}
