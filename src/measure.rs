//! What a computation costs: seconds and memory.

use std::time::Instant;

/// A result and what it took.
#[derive(Clone, Debug)]
pub struct Measured<T> {
    /// The result.
    pub value: T,
    /// Wall-clock time, in seconds.
    pub seconds: f64,
}

/// Does `work` and takes its time.
pub fn timed<T>(work: impl FnOnce() -> T) -> Measured<T> {
    let start = Instant::now();
    let value = work();
    Measured { value, seconds: start.elapsed().as_secs_f64() }
}

/// The most memory that this process has had at once since it began, or since [`forget_peak_memory`], in bytes:
/// `VmHWM` of Linux. Nothing where that is not known.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim();
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

/// From here on, [`peak_memory_bytes`] counts anew, from what this process has now. Some systems refuse that; then the
/// peak stays that of the whole process.
pub fn forget_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The processor's name and the threads that this process may use, such as `AMD EPYC, 2 threads`.
pub fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {threads} {}", if threads == 1 { "thread" } else { "threads" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name() {
        let machine = machine();
        let (name, threads) = machine.rsplit_once(", ").expect("two parts");
        assert!(!name.is_empty() && threads.split_once(' ').is_some_and(|(count, _)| count.parse::<usize>().is_ok()));
    }

    #[test]
    fn memory_and_time_are_noticed() {
        let before = peak_memory_bytes().expect("Linux tells");
        let measured = timed(|| std::hint::black_box(vec![1_u8; 64 << 20]).len());
        assert_eq!(measured.value, 64 << 20);
        assert!(measured.seconds > 0.0);
        // Other tests run in the same process and may have had more before.
        assert!(peak_memory_bytes().expect("Linux tells") >= before.max(64 << 20));
    }
}
