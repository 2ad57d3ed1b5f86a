//! How far a batch command is, on standard error: a bar on a terminal, now and then a line elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::progress::{self, ProgressEvent};

/// How often a step that goes on is told where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// From here on, long steps are told.
pub(super) fn tell() {
    if std::io::stderr().is_terminal() {
        // Bars are what steps draw of themselves.
        return;
    }
    let told = Mutex::new(Instant::now());
    progress::set_sink(Box::new(move |event: &ProgressEvent| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= EVERY {
            *told = Instant::now();
            eprintln!("{} {}/{} {}", event.what, event.done, event.total, event.unit);
        }
    }));
}
