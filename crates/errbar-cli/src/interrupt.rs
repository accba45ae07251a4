//! SIGINT and SIGTERM: the first asks a run to stop and clean up, the second ends the program.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use errbar::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

static CAUGHT: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// A flag that is set once somebody wants the program to stop. From now on signals no longer end
/// it at once, so only commands that look at the flag ask for it.
///
/// # Errors
/// [`errbar::Kind::Io`] if the handlers cannot be installed.
pub fn watch() -> Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    let caught = CAUGHT.get_or_init(Arc::default);
    let install = || {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the shutdown is conditional on an earlier signal.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel))?;
            flag::register_usize(signal, Arc::clone(caught), signal as usize)?;
            flag::register(signal, Arc::clone(&cancel))?;
        }
        // A file that would grow too large is an error of that file, not the end of the program.
        flag::register(SIGXFSZ, Arc::default())?;
        Ok(())
    };
    install().map_err(|e| Error::io("cannot watch for signals", e))?;
    Ok(cancel)
}

/// The signal that asked the program to stop, if any did.
pub fn caught() -> Option<u8> {
    let signal = CAUGHT.get()?.load(Ordering::Relaxed);
    u8::try_from(signal).ok().filter(|&signal| signal != 0)
}
