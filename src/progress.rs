//! How far a long step is: a bar on a terminal, a record in a notebook.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The time between two reports of the same step.
const INTERVAL: Duration = Duration::from_millis(100);

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressEvent {
    /// The step, such as `embed mnist resnet50`.
    pub what: String,
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// What is counted, such as `images`.
    pub unit: &'static str,
}

/// A long computation was told to stop, see [`cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

static CANCEL: AtomicBool = AtomicBool::new(false);

/// Tells the computations of this process to stop: until [`resume`], those that are running and those that begin end in
/// [`Cancelled`] at their next [`check`], which is at most some tenths of a second away.
pub fn cancel() {
    CANCEL.store(true, Ordering::Relaxed);
}

/// Computations may run again.
pub fn resume() {
    CANCEL.store(false, Ordering::Relaxed);
}

/// Goes on, unless [`cancel`] was called. Long loops of the library ask at every round.
///
/// # Errors
/// [`Cancelled`] after [`cancel`].
pub fn check() -> Result<(), Cancelled> {
    if CANCEL.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
}

type Sink = Box<dyn Fn(&ProgressEvent) + Send + Sync>;

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// From now on, the steps of this process report to `sink`, and draw nothing.
pub fn set_sink(sink: Sink) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Some(sink);
}

/// A running step. At most ten times a second it tells how far it is; its end is told when it is dropped.
#[derive(Debug)]
pub struct Progress {
    event: ProgressEvent,
    /// When it was last told; before, when the step began.
    told: Instant,
    begun: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts a step of `total` units, of which `unit` is the plural. Where no sink is set and standard error is a
    /// terminal, draws a bar there, with the rate and the time left.
    pub fn new(what: impl Into<String>, total: u64, unit: &'static str) -> Progress {
        let mut progress = Progress::if_long(what, total, unit);
        progress.tell();
        progress
    }

    /// The same for a step that may be short: nothing is told of it unless it lasts for a tenth of a second.
    pub fn if_long(what: impl Into<String>, total: u64, unit: &'static str) -> Progress {
        let event = ProgressEvent { what: what.into(), done: 0, total, unit };
        Progress { event, told: Instant::now(), begun: false, bar: None }
    }

    /// `units` more are done.
    pub fn advance(&mut self, units: u64) {
        self.event.done = self.event.done.saturating_add(units).min(self.event.total);
        if self.told.elapsed() >= INTERVAL {
            self.tell();
        }
    }

    /// `units` were done before, at no cost: they count as done, but not towards the rate.
    pub fn skip(&mut self, units: u64) {
        self.advance(units);
        if let Some(bar) = &self.bar {
            bar.set_position(self.event.done);
            bar.reset_eta();
        }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        self.begun = true;
        if let Some(sink) = SINK.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            sink(&self.event);
        } else {
            self.bar.get_or_insert_with(|| bar(&self.event)).set_position(self.event.done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.begun {
            self.tell();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A running step of which several threads do a part.
#[derive(Debug)]
pub struct SharedProgress(Mutex<Progress>);

impl SharedProgress {
    /// As [`Progress::if_long`].
    pub fn if_long(what: impl Into<String>, total: u64, unit: &'static str) -> SharedProgress {
        SharedProgress(Mutex::new(Progress::if_long(what, total, unit)))
    }

    /// `units` more are done.
    pub fn advance(&self, units: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).advance(units);
    }
}

/// Draws nothing where standard error is no terminal.
fn bar(event: &ProgressEvent) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(event.total), ProgressDrawTarget::stderr_with_hz(10));
    let template = format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {}, {{per_sec}}, {{eta}} left", event.unit);
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_message(event.what.clone());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    // One test: the sink belongs to the whole process.
    #[test]
    fn tells_the_start_the_end_and_little_between() {
        let mut alone = Progress::new("a bar", 3, "images");
        alone.advance(5);
        assert_eq!(alone.event.done, 3, "never more than all");
        drop(alone);

        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = heard.clone();
        set_sink(Box::new(move |event: &ProgressEvent| {
            if event.what == "embed a b" {
                sink.lock().expect("no panic").push(event.done);
            }
        }));
        let start = Instant::now();
        let mut progress = Progress::new("embed a b", 100_000, "images");
        for _ in 0..100_000 {
            progress.advance(1);
        }
        drop(progress);
        let most = start.elapsed().as_millis() / INTERVAL.as_millis() + 3;
        let heard = heard.lock().expect("no panic");
        assert_eq!((heard.first(), heard.last()), (Some(&0), Some(&100_000)));
        assert!(heard.len() as u128 <= most, "{} records", heard.len());
        assert!(heard.is_sorted());
        drop(heard);

        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        set_sink(Box::new(move |event: &ProgressEvent| {
            if event.what.starts_with("perhaps") {
                sink.lock().expect("no panic").push((event.what.clone(), event.done));
            }
        }));
        Progress::if_long("perhaps short", 2, "images").advance(2);
        let shared = SharedProgress::if_long("perhaps long", 3, "images");
        std::thread::scope(|scope| {
            scope.spawn(|| shared.advance(1));
            scope.spawn(|| {
                std::thread::sleep(INTERVAL * 2);
                shared.advance(1);
            });
        });
        drop(shared);
        let told = told.lock().expect("no panic");
        assert!(told.iter().all(|(what, done)| what == "perhaps long" && *done == 2), "{told:?}");
        assert!(!told.is_empty());
    }
}
