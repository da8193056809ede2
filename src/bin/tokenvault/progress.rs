//! What somebody who waits at a terminal sees on standard error; nothing if that is no terminal.

use std::fmt;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How far a command is.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Counts `things`, and how fast they go.
    pub(crate) fn of(things: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self::none();
        }
        let template = format!("{{spinner}} {{human_pos}} {things}, {{msg}}{{rate}} a second, {{elapsed}}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(&template).ok();
        Self(style.map(|style| bar.with_style(style.with_key("rate", rate))))
    }

    /// So many are done; `note` stands beside it.
    pub(crate) fn show(&self, done: u64, note: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(note());
            bar.set_position(done);
        }
    }

    /// Clears the line while `write` runs, which may write to the same terminal.
    pub(crate) fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Leaves the last state standing.
    pub(crate) fn finish(&self) {
        self.0.iter().for_each(ProgressBar::abandon);
    }
}

fn rate(state: &ProgressState, to: &mut dyn fmt::Write) {
    // The bar is drawn without it then.
    let _ = write!(to, "{:.0}", state.per_sec());
}
