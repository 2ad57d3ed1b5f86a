//! SIGINT and SIGTERM: noted when they come, acted on where it is safe.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The signal that asked this program to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by signal {0}")]
pub struct Interrupted(pub usize);

/// From here on, signals are noted instead of ending the program at once.
pub fn install() -> std::io::Result<()> {
    let received = RECEIVED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_usize(signal, Arc::clone(received), signal as usize)?;
    }
    Ok(())
}

/// An error if a signal has come.
pub fn check() -> Result<(), Interrupted> {
    match RECEIVED.get().map_or(0, |received| received.load(Ordering::Relaxed)) {
        0 => Ok(()),
        signal => Err(Interrupted(signal)),
    }
}
