//! Memory, CPU time and sockets of a server, from `/proc` and `ss`.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result};
use rustix::{
    process::{Pid, Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

/// Pins the calling thread, and what it starts, to one core.
pub fn pin_to_core(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Raises the limit to the hard limit, and returns it.
pub fn raise_open_file_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// A process and all its descendants.
pub fn process_tree(root: Pid) -> Vec<Pid> {
    let mut all = Vec::new();
    let parents: Vec<(Pid, Pid)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let parent = stat_field(pid, 4)?;
            Some((pid, Pid::from_raw(i32::try_from(parent).ok()?)?))
        })
        .collect();
    let mut wanted = vec![root];
    while let Some(pid) = wanted.pop() {
        all.push(pid);
        wanted.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == pid)
                .map(|(child, _)| *child),
        );
    }
    all
}

/// A field of `/proc/PID/stat`, numbered as in `man 5 proc`, from 4.
fn stat_field(pid: Pid, number: usize) -> Option<u64> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = fs::read_to_string(path).ok()?;
    // The command in parentheses may contain anything.
    let fields = stat.rsplit_once(") ")?.1;
    fields.split(' ').nth(number - 3)?.parse().ok()
}

/// User and system CPU time, in microseconds.
pub fn cpu_micros(pids: &[Pid]) -> f64 {
    let tick = 1e6 / rustix::param::clock_ticks_per_second() as f64;
    let ticks: u64 = pids
        .iter()
        .map(|pid| stat_field(*pid, 14).unwrap_or(0) + stat_field(*pid, 15).unwrap_or(0))
        .sum();
    ticks as f64 * tick
}

/// CPU time of processes, for short loads: [`cpu_micros`] counts in ticks of ten milliseconds.
#[derive(Debug)]
pub struct PreciseCpuTime {
    /// Nanoseconds on a CPU of each thread that runs.
    threads: BTreeMap<String, u64>,
    /// As of [`cpu_micros`], of all threads.
    micros: f64,
}

impl PreciseCpuTime {
    /// User and system time until now.
    pub fn of(pids: &[Pid]) -> Self {
        let folders = pids
            .iter()
            .map(|pid| format!("/proc/{}/task", pid.as_raw_nonzero()));
        let threads = folders
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .flatten()
            .filter_map(|thread| {
                let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                let nanos = schedstat.split(' ').next()?.parse().ok()?;
                Some((thread.file_name().into_string().ok()?, nanos))
            });
        Self {
            threads: threads.collect(),
            micros: cpu_micros(pids),
        }
    }

    /// In ticks if a thread has ended, because its time is gone.
    pub fn micros_since(&self, earlier: &Self) -> f64 {
        let has_ended = |id| !self.threads.contains_key(id);
        if earlier.threads.is_empty() || earlier.threads.keys().any(has_ended) {
            return self.micros - earlier.micros;
        }
        let sum = |times: &Self| times.threads.values().sum::<u64>() as f64;
        (sum(self) - sum(earlier)) / 1e3
    }
}

/// Busy microseconds of a core, including time stolen by the hypervisor.
pub fn core_busy_micros(core: usize) -> f64 {
    let tick = 1e6 / rustix::param::clock_ticks_per_second() as f64;
    let name = format!("cpu{core} ");
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let ticks: Vec<u64> = line
        .unwrap_or_default()
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    // Without the fourth and fifth field, idle and iowait.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else {
        return 0.0;
    };
    (user + nice + system + irq + softirq + steal) as f64 * tick
}

/// PSS, which divides shared pages among those that share them.
pub fn memory_bytes(pids: &[Pid]) -> Result<f64> {
    let mut total = 0;
    for pid in pids {
        let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
        let rollup = fs::read_to_string(path)?;
        let kilobytes = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse::<u64>().ok())
            .context("no Pss in smaps_rollup")?;
        total += kilobytes * 1024;
    }
    Ok(total as f64)
}

/// An established connection of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// The client's port.
    pub peer_port: u16,
    /// Kernel memory for received, queued and reserved data, in bytes.
    pub memory: u64,
}

/// The established connections to a local port.
pub fn established_sockets(port: u16) -> Result<Vec<Socket>> {
    let output = Command::new("ss")
        .args(["-tmnHO", "state", "established", "sport", "="])
        .arg(format!(":{port}"))
        .output()
        .context("ss (iproute2) is not installed")?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(parse_ss_line)
        .collect())
}

/// `0 0 127.0.0.1:80 127.0.0.1:40000 skmem:(r0,rb131072,t0,tb87040,f4096,w0,o0,bl0,d0)`.
fn parse_ss_line(line: &str) -> Option<Socket> {
    let (addresses, memory) = line.split_once("skmem:(")?;
    let peer = addresses.split_whitespace().last()?;
    let peer_port = peer.rsplit_once(':')?.1.parse().ok()?;
    // r: received and unread; w: queued and unsent; f: reserved. Not t: sent and not yet freed by the driver.
    let memory = memory
        .split(',')
        .filter_map(|part| {
            ["r", "w", "f"].iter().find_map(|kind| {
                let number = part.strip_prefix(kind)?;
                number.parse::<u64>().ok()
            })
        })
        .sum();
    Some(Socket { peer_port, memory })
}

/// The client ports only: cheaper than [`established_sockets`].
pub fn established_ports(port: u16) -> Result<Vec<u16>> {
    let mut ports = Vec::new();
    let hex = format!(":{port:04X}");
    for line in fs::read_to_string("/proc/net/tcp")?.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next(), fields.next(), fields.next());
        if let (Some(local), Some(remote), Some("01")) = (local, remote, state)
            && local.ends_with(&hex)
            && let Some((_, peer)) = remote.rsplit_once(':')
        {
            ports.push(u16::from_str_radix(peer, 16)?);
        }
    }
    Ok(ports)
}

/// The machine, without its name.
pub fn describe_machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .map_or_else(
                || "unknown".to_owned(),
                |rest| rest.trim_matches([':', ' ', '\t']).to_owned(),
            )
    };
    // All cores, not just the pinned one.
    let cores = read("/proc/cpuinfo").matches("processor\t:").count();
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or(0.0);
    format!(
        "{}, {cores} cores, {:.0} GB of memory, Linux {}",
        value(&read("/proc/cpuinfo"), "model name"),
        memory / 1e6,
        rustix::system::uname().release().to_string_lossy()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::process_cpu_nanos;

    #[test]
    fn a_line_of_ss_tells_the_peer_and_the_memory() {
        let line =
            "0 0 127.0.0.1:80 127.0.0.1:40000 skmem:(r1,rb131072,t2,tb87040,f4096,w8,o0,bl0,d0)";
        let expected = Socket {
            peer_port: 40000,
            memory: 1 + 8 + 4096,
        };
        assert_eq!(parse_ss_line(line), Some(expected));
    }

    #[test]
    fn the_cpu_time_of_this_process_is_counted() {
        let own = [rustix::process::getpid()];
        let (before, started) = (PreciseCpuTime::of(&own), process_cpu_nanos());
        while process_cpu_nanos() - started < 50_000_000 {}
        let used = PreciseCpuTime::of(&own).micros_since(&before);
        assert!(used >= 30_000.0, "{used} µs of 50,000");
    }

    #[test]
    fn the_time_of_a_thread_that_ended_is_counted_in_ticks() {
        let times = |threads: &[(&str, u64)], micros| PreciseCpuTime {
            threads: threads
                .iter()
                .map(|(id, nanos)| ((*id).to_owned(), *nanos))
                .collect(),
            micros,
        };
        let before = times(&[("1", 5_000), ("2", 7_000)], 20_000.0);
        let with_new = times(&[("1", 6_000), ("2", 7_000), ("3", 1_500)], 20_000.0);
        assert!((with_new.micros_since(&before) - 2.5).abs() < 1e-9);
        let without_second = times(&[("1", 6_000)], 30_000.0);
        assert!((without_second.micros_since(&before) - 10_000.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_is_in_its_own_tree_and_uses_memory() {
        let own = rustix::process::getpid();
        assert!(process_tree(own).contains(&own));
        assert!(memory_bytes(&[own]).expect("own memory") > 0.0);
    }
}
