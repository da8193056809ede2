//! The bars, as one picture for the README.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::figures::{Figure, Figures, Series, number};
use crate::subject::{LIMIT, OURS, PEERS};
use crate::timing::exact;
use crate::workload::{MANY, SEVERAL, Workload};

const PANELS: [(Workload, usize, &str); 6] = [
    (Workload::CreateDurable, 1, "durable creations a second, 1 thread"),
    (Workload::CreateDurable, SEVERAL, "durable creations a second, 8 threads"),
    (Workload::CreateDurable, MANY, "durable creations a second, 64 threads"),
    (Workload::RevealWarm, 1, "reveals a second, warm, 1 thread"),
    (Workload::Mixed, SEVERAL, "nine reveals, one creation: calls a second, 8 threads"),
    (Workload::BytesPerToken, 1, "bytes on disk a token (less is better)"),
];

const COLUMNS: usize = 2;
const SIZE: (u32, u32) = (960, 660);
const OUR_COLOUR: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
const LIMIT_COLOUR: RGBColor = RGBColor(0xd9, 0xd9, 0xd9);
const PEER_COLOUR: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);

/// Where bars begin and end within a panel, and where they stand, in pixels.
const BAR_LEFT: i32 = 90;
const BAR_ROOM: i32 = 280;
const TOP: i32 = 34;
const STEP: i32 = 25;
const THICKNESS: i32 = 17;

/// Draws what was measured.
pub(crate) fn draw(figures: &Figures, path: &Path) {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let panels = root.split_evenly((PANELS.len() / COLUMNS, COLUMNS));
    for (panel, (workload, threads, title)) in panels.iter().zip(PANELS) {
        let figure = |name| figures.figure(name, Series::of(workload, threads)).map(|figure| (name, figure));
        let bars: Vec<_> = PEERS.iter().filter_map(|peer| figure(peer.name)).collect();
        draw_panel(panel, title, &bars);
    }
    root.present().unwrap();
}

fn draw_panel(panel: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, bars: &[(&str, Figure)]) {
    panel.draw(&Text::new(title.to_owned(), (12, 10), ("sans-serif", 18).into_font())).unwrap();
    let most = bars.iter().map(|(_, figure)| figure.high).fold(0.0, f64::max);
    let right = |value: f64| BAR_LEFT + pixels(value / most * exact(BAR_ROOM));
    for ((name, figure), at) in bars.iter().zip(0..) {
        let top = TOP + at * STEP;
        let middle = top + THICKNESS / 2;
        let colour = match *name {
            OURS => OUR_COLOUR,
            LIMIT => LIMIT_COLOUR,
            _ => PEER_COLOUR,
        };
        let bar = Rectangle::new([(BAR_LEFT, top), (right(figure.median), top + THICKNESS)], colour.filled());
        let spread = PathElement::new([(right(figure.low), middle), (right(figure.high), middle)], BLACK);
        let font = || ("sans-serif", 16).into_font();
        panel.draw(&bar).unwrap();
        panel.draw(&spread).unwrap();
        panel.draw(&Text::new((*name).to_owned(), (12, top + 2), font())).unwrap();
        panel.draw(&Text::new(number(figure.median), (right(figure.high) + 6, top + 2), font())).unwrap();
    }
}

/// The nearest pixel below.
fn pixels(value: f64) -> i32 {
    (0..=BAR_ROOM).rev().find(|pixel| exact(*pixel) <= value).unwrap_or(0)
}
