use crate::args::ChatArgs;
use crate::failure::Outcome;

pub(crate) fn run(_: &ChatArgs) -> Outcome<()> {
    Ok(())
}
