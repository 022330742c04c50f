//! What a figure was measured on.

use std::fmt;
use std::path::Path;

/// The machine, in one line.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    memory_mib: u64,
    kernel: String,
    file_system: String,
}

impl Machine {
    /// This machine, with the file system of a folder.
    pub(super) fn here(folder: &Path) -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            memory_mib: field(&read("/proc/meminfo"), "MemTotal").and_then(|kb| kilobytes(&kb)).unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            file_system: file_system(folder),
        }
    }
}

impl Machine {
    /// How many cores this process may use.
    pub(super) fn cores(&self) -> usize {
        self.cores
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, memory_mib, kernel, file_system } = self;
        write!(f, "{cores} cores of {cpu}, {memory_mib} MiB, Linux {kernel}, {file_system}")
    }
}

/// The value of the first line `name : value`.
pub(super) fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(line.trim().to_string())
}

/// `1234 kB`
pub(super) fn kilobytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse().ok()
}

/// The kind of the file system that a folder stands on, for example `ext4`; `unknown` if the system does not say.
pub(super) fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    // Of mounts over each other the last one counts: `max_by_key` gives the last of equals.
    let at = mounted.filter(|(point, _)| folder.starts_with(point)).max_by_key(|(point, _)| point.len());
    at.map_or_else(|| "unknown".into(), |(_, kind)| kind.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_read() {
        let text = "VmPeak:\t  100 kB\nVmHWM:\t   2048 kB\nmodel name\t: AMD EPYC\n";
        assert_eq!(field(text, "VmHWM").and_then(|value| kilobytes(&value)), Some(2048));
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(text, "nothing"), None);
    }

    #[test]
    fn proc_is_no_disk() {
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
    }
}
