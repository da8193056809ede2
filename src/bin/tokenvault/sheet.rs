//! The look of what the demonstration prints: headings, comments, and JSON that does not run off the page.

use std::fmt::Display;
use std::io;

use serde::Serialize;

use crate::output::{Output, WipedBuffer};

/// No line of JSON is longer, unless a single field is.
const WIDTH: usize = 100;
/// Where the text behind a label begins.
const MARGIN: usize = 13;

/// Prints at once, so that a reader sees what happens when it happens.
pub(crate) struct Sheet<'a> {
    output: &'a mut Output,
    steps: u32,
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(output: &'a mut Output) -> Self {
        Self { output, steps: 0 }
    }

    /// Begins the next step.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.steps += 1;
        let text = format!("{}. {text}", self.steps);
        self.output.line(format_args!("\n{text}\n{}", "=".repeat(text.chars().count())))?;
        self.output.send()
    }

    /// Words to the reader.
    pub(crate) fn say(&mut self, text: impl Display) -> io::Result<()> {
        self.output.line(format_args!("{text}"))?;
        self.output.send()
    }

    /// A label and what it stands for.
    pub(crate) fn entry(&mut self, label: &str, text: impl Display) -> io::Result<()> {
        self.output.line(format_args!("  {label:<width$}{text}", width = MARGIN - 2))?;
        self.output.send()
    }

    /// A label and a value as JSON.
    pub(crate) fn json(&mut self, label: &str, value: &impl Serialize) -> io::Result<()> {
        let mut text = WipedBuffer::default();
        serde_json::to_writer(&mut text, value)?;
        self.text(label, std::str::from_utf8(text.bytes()).map_err(io::Error::other)?)
    }

    /// A label and JSON as it stands.
    pub(crate) fn text(&mut self, label: &str, json: &str) -> io::Result<()> {
        let (mut label, mut rest) = (label, json);
        while let Some((line, behind)) = break_line(rest) {
            self.entry(label, line)?;
            (label, rest) = ("", behind);
        }
        self.entry(label, rest)
    }
}

/// Breaks JSON that is too long for a line behind the last comma that fits, or else behind the first.
fn break_line(json: &str) -> Option<(&str, &str)> {
    let room = WIDTH - MARGIN;
    if json.len() <= room {
        return None;
    }
    let begins_a_field = |at: &usize| json.get(*at..).is_some_and(|behind| behind.starts_with(['"', '{']));
    let mut places = json.match_indices(',').map(|(at, comma)| at + comma.len()).filter(begins_a_field).peekable();
    let first = *places.peek()?;
    let place = places.take_while(|at| *at <= room).last().unwrap_or(first);
    json.split_at_checked(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_breaks_between_fields_and_loses_nothing() {
        let long = format!(r#"{{"a":"one, two","b":"{}","c":[{{"d":1}},{{"e":2}}]}}"#, "x".repeat(WIDTH));
        let (mut lines, mut rest) = (Vec::new(), long.as_str());
        while let Some((line, behind)) = break_line(rest) {
            lines.push(line);
            rest = behind;
        }
        lines.push(rest);
        assert_eq!(lines.concat(), long);
        assert_eq!(lines[0], r#"{"a":"one, two","#);
        assert_eq!(lines.last(), Some(&r#""c":[{"d":1},{"e":2}]}"#));
    }

    #[test]
    fn short_json_stays_on_its_line() {
        assert_eq!(break_line(r#"{"a":1,"b":2}"#), None);
    }
}
