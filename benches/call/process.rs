//! What a process has used, from the kernel's own books.

use std::fs;

/// Time on a processor since the start, in milliseconds, of the threads with this name; of all
/// threads without one.
pub fn used(pid: u32, thread: Option<&str>) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let nanoseconds = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let name = fs::read_to_string(task.join("comm")).ok()?;
        if thread.is_some_and(|thread| thread != name.trim()) {
            return None;
        }
        let text = fs::read_to_string(task.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e6
}

/// Memory that is in use and in RAM, in megabytes.
pub fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: f64 = kilobytes.expect("a size").parse().expect("a number");
    kilobytes * 1024.0 / 1e6
}
