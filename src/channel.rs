//! The records that a running notebook writes to its event file, one JSON object a line.
//!
//! Standard output is never used for this: whatever a cell prints, it cannot end or forge a record.

use serde::{Deserialize, Serialize};

use crate::output::Output;

/// Environment variable with the folder of the run: `events.jsonl`, and `N.stdout`, `N.stderr` for cell `N`.
pub const RUN_DIR: &str = "REPORT_RUN_DIR";
/// Environment variable with the device that cells compute on: `auto`, `cpu`, `cuda:N`.
pub const DEVICE: &str = "REPORT_DEVICE";
/// Environment variable with the cache folder of the library.
pub const CACHE_DIR: &str = "REPORT_CACHE_DIR";
/// Environment variable with the folder of datasets.
pub const DATA_DIR: &str = "REPORT_DATA_DIR";
/// Environment variable with the folder of encoders' weights.
pub const ENCODERS: &str = "REPORT_ENCODERS";
/// The event file in the folder of the run.
pub const EVENTS: &str = "events.jsonl";

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The notebook is compiled and loaded, and runs in this process.
    Start {
        /// The process that runs the cells.
        pid: u32,
    },
    /// The cell starts.
    Begin {
        /// The cell's position, from 0.
        cell: usize,
        /// The line of the call in the compiled file, which anchors the lines of panics.
        line: u32,
    },
    /// The cell shows something.
    Output {
        /// The cell's position.
        cell: usize,
        /// What it shows.
        output: Output,
    },
    /// The value of an inline expression.
    Inline {
        /// The expression's position, from 0.
        index: usize,
        /// Its value as text.
        text: String,
    },
    /// The cell has read this input.
    Input {
        /// The cell's position.
        cell: usize,
        /// What the input is called.
        name: String,
        /// `algorithm:hex`.
        checksum: String,
    },
    /// The cell drew randomness from a seed.
    Seed {
        /// The cell's position.
        cell: usize,
        /// What the randomness was for.
        what: String,
        /// The seed.
        seed: u64,
    },
    /// The library computes on this device.
    Device {
        /// `cpu`, or such as `cuda:0`.
        name: String,
    },
    /// How far a long step is; for people, never kept.
    Progress {
        /// The cell's position.
        cell: usize,
        /// The step, such as `embed mnist resnet50`.
        what: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// A panic, or an error that left a cell through `?`.
    Failed {
        /// The cell that had begun last.
        cell: usize,
        /// A panic rather than an error.
        panic: bool,
        /// The panic's message, or the error and its causes.
        message: String,
        /// The source file of the place.
        file: String,
        /// Its line, from 1, in the compiled file.
        line: u32,
        /// Its column, from 1.
        column: u32,
    },
    /// The failure just told is what `error: true` or `should_panic` allows: the notebook goes on.
    Caught {
        /// The cell's position.
        cell: usize,
    },
    /// The cell reached its end.
    End {
        /// The cell's position.
        cell: usize,
        /// How long it ran.
        seconds: f64,
    },
    /// The notebook reached its end.
    Done,
}
