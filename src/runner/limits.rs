//! Limits of a run: which processes belong to it, how much memory they use, and how to end them all.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process as `/proc` shows it.
#[derive(Clone, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    /// It has ended and waits to be asked for its status.
    zombie: bool,
    /// As `wait` encodes it, for a zombie.
    status: i32,
}

/// Four fifths of the machine's memory, or of what the control group allows.
pub fn default_memory_limit() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(u64::MAX, |kib| kib.saturating_mul(1024));
    let group = read("/sys/fs/cgroup/memory.max").trim().parse::<u64>().unwrap_or(u64::MAX);
    machine.min(group) / 5 * 4
}

/// How a process ended, where it has ended but its parent has not noticed: as `wait` encodes it.
pub(super) fn ended(pid: u32) -> Option<i32> {
    match process(pid as i32) {
        Some(process) => process.zombie.then_some(process.status),
        None => Some(0),
    }
}

/// Bytes of memory that this process' descendants use, without files that are mapped and can be read again.
pub(super) fn memory_of_descendants() -> u64 {
    let anonymous = |process: &Process| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
        let kib = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        Some((kib("RssAnon:")? + kib("RssShmem:").unwrap_or(0)) * 1024)
    };
    descendants().iter().filter_map(anonymous).sum()
}

/// Ends the worker's process group and everything else that descends from this process.
pub(super) fn kill_all(group: u32) {
    if let Some(group) = Pid::from_raw(group as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    kill_descendants();
}

/// Ends everything that descends from this process, at most two seconds long.
pub(super) fn kill_descendants() {
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let alive: Vec<_> = descendants().into_iter().filter(|process| !process.zombie).collect();
        if alive.is_empty() || Instant::now() > until {
            return;
        }
        for process in alive {
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All processes that descend from this one. Orphans count, because this process adopts them (`PR_SET_CHILD_SUBREAPER`).
fn descendants() -> Vec<Process> {
    let all: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect();
    let mut family = vec![std::process::id() as i32];
    let mut found = Vec::new();
    loop {
        let next: Vec<_> = all
            .iter()
            .filter(|process| family.contains(&process.parent) && !family.contains(&process.pid))
            .cloned()
            .collect();
        if next.is_empty() {
            return found;
        }
        family.extend(next.iter().map(|process| process.pid));
        found.extend(next);
    }
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in brackets, which may itself hold brackets and spaces.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        status: fields.get(49).and_then(|field| field.parse().ok()).unwrap_or(0),
    })
}
