//! What was measured, as medians with their spread.

use std::fmt::Write;

use crate::subject::PEERS;
use crate::workload::Workload;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Microseconds,
    Milliseconds,
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Bytes => "bytes",
        }
    }

    /// Whether more is better.
    pub(crate) fn is_rate(self) -> bool {
        self == Self::PerSecond
    }
}

/// What is compared across subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) workload: &'static str,
    pub(crate) threads: usize,
    pub(crate) unit: Unit,
}

impl Series {
    pub(crate) fn of(workload: Workload, threads: usize) -> Self {
        let unit = match workload {
            Workload::BytesPerToken => Unit::Bytes,
            Workload::Open => Unit::Milliseconds,
            _ => Unit::PerSecond,
        };
        Self { workload: workload.name(), threads, unit }
    }
}

/// One subject in one series.
#[derive(Debug)]
struct Row {
    subject: &'static str,
    series: Series,
    /// In order.
    values: Vec<f64>,
}

/// The median of what was measured, the lowest and the highest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Row {
    fn figure(&self) -> Figure {
        let at = |at: usize| self.values[at];
        let last = self.values.len() - 1;
        Figure { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), low: at(0), high: at(last) }
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
}

impl Figures {
    /// Adds what one round has measured.
    pub(crate) fn add(&mut self, subject: &'static str, series: Series, value: f64) {
        let found = self.rows.iter_mut().find(|row| row.subject == subject && row.series == series);
        match found {
            Some(row) => {
                row.values.push(value);
                row.values.sort_by(f64::total_cmp);
            }
            None => self.rows.push(Row { subject, series, values: vec![value] }),
        }
    }

    pub(crate) fn figure(&self, subject: &str, series: Series) -> Option<Figure> {
        let found = self.rows.iter().find(|row| row.subject == subject && row.series == series);
        found.map(Row::figure)
    }

    /// All series, as they were first measured.
    fn series(&self) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for row in &self.rows {
            if !all.contains(&row.series) {
                all.push(row.series);
            }
        }
        all
    }

    /// A table in Markdown.
    pub(crate) fn table(&self) -> String {
        let subjects: Vec<_> = PEERS
            .iter()
            .map(|peer| peer.name)
            .filter(|name| self.rows.iter().any(|row| row.subject == *name))
            .collect();
        let mut table = format!("| workload | threads | unit | {} |\n", subjects.join(" | "));
        writeln!(table, "|---|--:|---|{}", "--:|".repeat(subjects.len())).unwrap();
        for series in self.series() {
            let Series { workload, threads, unit } = series;
            let cell = |subject| self.figure(subject, series).map_or_else(|| "-".to_owned(), Figure::words);
            let cells: Vec<_> = subjects.iter().map(|subject| cell(subject)).collect();
            writeln!(table, "| {workload} | {threads} | {} | {} |", unit.name(), cells.join(" | ")).unwrap();
        }
        table
    }

    /// One JSON object a line.
    pub(crate) fn json_lines(&self) -> String {
        let line = |row: &Row| {
            let (Series { workload, threads, unit }, Figure { median, low, high }) = (row.series, row.figure());
            let (subject, unit) = (row.subject, unit.name());
            format!(
                "{{\"subject\":\"{subject}\",\"workload\":\"{workload}\",\"threads\":{threads},\
                 \"median\":{median:.3},\"low\":{low:.3},\"high\":{high:.3},\"unit\":\"{unit}\"}}\n"
            )
        };
        self.rows.iter().map(line).collect()
    }
}

impl Figure {
    fn words(self) -> String {
        let spread = (self.high - self.low) / 2.0 / self.median * 100.0;
        let median = number(self.median);
        if self.low < self.high { format!("{median} ±{spread:.0}%") } else { median }
    }
}

/// Three digits or more, in groups.
pub(crate) fn number(value: f64) -> String {
    let digits = match value {
        ..10.0 => return format!("{value:.2}"),
        ..100.0 => return format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
