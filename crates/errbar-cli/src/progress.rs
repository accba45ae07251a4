//! How far a long run has come: a bar on a terminal, status lines for a program.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use errbar::{Progress, ProgressFn};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::output;

/// Runs that are over before that show nothing.
const QUIET_TIME: Duration = Duration::from_secs(1);
/// Between two status lines.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
const BAR: &str = "{prefix} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  eta {eta}  {wide_msg}";

/// Shows progress until it is dropped.
pub struct Meter {
    bar: Arc<Mutex<Option<ProgressBar>>>,
    callback: Option<ProgressFn>,
}

impl Meter {
    /// A meter for what `verb` says: status lines with `json`, else a bar, if anybody looks.
    pub fn new(verb: &'static str, quiet: bool, json: bool) -> Meter {
        let bar = Arc::default();
        let callback = if json {
            Some(status_lines())
        } else if !quiet && io::stderr().is_terminal() {
            Some(drawing(verb, Arc::clone(&bar)))
        } else {
            None
        };
        Meter { bar, callback }
    }

    /// What to call, if anything is to be shown.
    pub fn callback(&self) -> Option<ProgressFn> {
        self.callback.clone()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

fn drawing(verb: &'static str, bar: Arc<Mutex<Option<ProgressBar>>>) -> ProgressFn {
    let start = Instant::now();
    Arc::new(move |progress: &Progress| {
        if start.elapsed() < QUIET_TIME {
            return;
        }
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::with_draw_target(Some(progress.bytes_total), ProgressDrawTarget::stderr());
            bar.with_style(style).with_prefix(verb).with_elapsed(start.elapsed()).with_position(progress.bytes_done)
        });
        bar.set_message(errbar::display_path(&progress.path));
        bar.set_position(progress.bytes_done);
    })
}

fn status_lines() -> ProgressFn {
    let start = Instant::now();
    let last = Mutex::new(start);
    Arc::new(move |progress: &Progress| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < STATUS_INTERVAL {
            return;
        }
        *last = Instant::now();
        let done = progress.bytes_done as f64 / progress.bytes_total.max(1) as f64;
        let fields = json!({
            "percent_done": done.min(1.0),
            "bytes_done": progress.bytes_done,
            "total_bytes": progress.bytes_total,
            "files_done": progress.files_done,
            "seconds_elapsed": start.elapsed().as_secs(),
        });
        // Whether the output can be written, the lines that matter will tell.
        let _ = output::json_line(output::with(output::message("status", &progress.path), fields));
    })
}
