//! Runs that are told to stop.

use std::io::Read;
use std::process::{Child, Command};

use crate::bench::{Bench, Run, noise};

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
    signal(&child, "INT");
    signal(&child, "TERM");
    // Nobody reads its output, so it could not end otherwise.
    let status = child.wait().expect("the program runs");
    assert_eq!(status.code(), Some(143));
}
