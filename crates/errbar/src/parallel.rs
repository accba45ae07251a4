//! Work on several threads, results in the order of submission, a bounded number in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use errbar_format::{Error, Kind, Result};

/// Threads that several lanes may share.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: Option<Arc<rayon::ThreadPool>>,
    threads: usize,
}

impl Pool {
    /// `threads` threads (0: one per processor). With one, everything runs where it is submitted.
    pub(crate) fn new(threads: usize) -> Result<Pool> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let pool = match threads {
            1 => None,
            n => Some(Arc::new(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(n)
                    // A panicking job drops its sender; the receiver turns that into an error.
                    .panic_handler(|_| {})
                    .build()
                    .map_err(|e| Error::new(Kind::Io, format!("cannot start threads: {e}")))?,
            )),
        };
        Ok(Pool { pool, threads })
    }
}

/// Jobs in, results out in the same order.
pub(crate) struct Lane<R> {
    pool: Option<Arc<rayon::ThreadPool>>,
    window: usize,
    queue: VecDeque<Receiver<R>>,
}

impl<R: Send + 'static> Lane<R> {
    /// A lane on a pool's threads that holds at most two jobs a thread.
    pub(crate) fn on(pool: &Pool) -> Lane<R> {
        Lane { pool: pool.pool.clone(), window: 2 * pool.threads, queue: VecDeque::new() }
    }

    /// Submits a job; gives the oldest result if the window is full.
    pub(crate) fn submit(&mut self, job: impl FnOnce() -> R + Send + 'static) -> Result<Option<R>> {
        let Some(pool) = &self.pool else {
            return Ok(Some(job()));
        };
        let (sender, receiver) = sync_channel(1);
        pool.spawn(move || {
            // The receiver is gone only if the whole run was given up.
            let _ = sender.send(job());
        });
        self.queue.push_back(receiver);
        if self.queue.len() >= self.window { self.next() } else { Ok(None) }
    }

    /// Whether a job can be submitted without waiting for another.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() + 1 < self.window
    }

    /// The oldest result, waited for; `None` when nothing is in flight.
    pub(crate) fn next(&mut self) -> Result<Option<R>> {
        let Some(receiver) = self.queue.pop_front() else { return Ok(None) };
        receiver.recv().map(Some).map_err(|_| Error::new(Kind::Io, "a worker thread failed; please report this"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut lane = Lane::on(&Pool::new(threads).expect("threads"));
            let mut results = Vec::new();
            for i in 0..100u64 {
                results.extend(lane.submit(move || i * i).expect("runs"));
            }
            while let Some(result) = lane.next().expect("runs") {
                results.push(result);
            }
            assert_eq!(results, (0..100).map(|i| i * i).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn a_panicking_job_is_an_error() {
        let mut lane = Lane::on(&Pool::new(2).expect("threads"));
        let job = || -> u8 { panic!("planted") };
        assert!(lane.submit(job).expect("queued").is_none());
        assert!(lane.next().is_err());
    }
}
