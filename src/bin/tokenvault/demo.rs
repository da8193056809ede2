//! demo
use crate::failure::Failure;
use crate::output::Output;
pub(crate) fn run(out: &mut Output) -> Result<(), Failure> {
    out.line("demo").and_then(|()| out.send()).map_err(Failure::Output)
}
