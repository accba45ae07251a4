//! Runs that are told to stop.

use std::fs;
use std::io::Read;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Run, noise};

/// Longer than any machine needs, however busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts packing more than fits into pipes and queues, and waits until some of it has come out.
fn packing(bench: &Bench) -> Child {
    let bytes: Vec<u8> = noise(8 << 20).flat_map(u64::to_le_bytes).collect();
    bench.write("t/noise", &bytes);
    let mut child = bench.spawn(&["pack", "-q", "--mode", "fast", "--threads", "1", "t", "-"]);
    child.stdout.as_mut().expect("it is a pipe").read_exact(&mut [0]).expect("something comes out");
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("the system has kill");
    assert!(sent.success());
}

/// What the kernel says of each thread, or nothing if one ends meanwhile.
fn threads(child: &Child) -> Option<Vec<String>> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).ok()?;
    tasks.map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok()).collect()
}

/// Whether a thread sleeps, and neither it nor its process has a signal to take.
fn idle(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_else(|| panic!("{status}"));
    let nothing = |mask: &str| mask.bytes().all(|digit| digit == b'0');
    field("State:").starts_with('S') && nothing(field("SigPnd:")) && nothing(field("ShdPnd:"))
}

/// Waits until all threads sleep and every signal sent so far has been handled. That none is
/// pending is not enough: the thread that took it may not have come to the handler yet, or may be
/// inside. It is awake until it has returned from it, though. Threads are looked at one after the
/// other, so two looks have to agree: the counts of context switches in them tell that no thread
/// ran in between.
fn wait_until_idle(child: &Child) {
    let deadline = Instant::now() + PATIENCE;
    let mut before = None;
    loop {
        let now = threads(child);
        if now == before && now.as_ref().is_some_and(|all| all.iter().all(|status| idle(status))) {
            return;
        }
        assert!(Instant::now() < deadline, "it does not come to rest: {now:#?}");
        before = now;
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_signal_stops_a_run_in_order() {
    let bench = Bench::new();
    let child = packing(&bench);
    signal(&child, "TERM");
    let run = Run::new(child.wait_with_output().expect("the program runs"));
    run.fails(143, &["interrupted"]);
    assert!(run.out.len() < 64 << 20, "{}", run.out.len());
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let bench = Bench::new();
    let mut child = packing(&bench);
    // Before it waits for a reader of its output, the first signal alone could end it; while the
    // first is pending, the handler of the second may run before that of the first.
    wait_until_idle(&child);
    signal(&child, "INT");
    wait_until_idle(&child);
    signal(&child, "TERM");
    // Nobody reads its output, so it could not end otherwise.
    let status = child.wait().expect("the program runs");
    assert_eq!(status.code(), Some(143));
}
