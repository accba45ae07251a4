//! The widest vectors of the processor, for loops that are written once.
//!
//! Work that is given to [`widest`] is compiled twice: for every processor of its kind, and for
//! those with wider vectors. No operation is replaced by another, least of all two by a fused one,
//! so both give the same bits.

/// Something to do in loops.
pub trait Work {
    /// What comes out.
    type Output;
    /// Does it. Must be `#[inline(always)]`, and all that loops within it, too: only what is
    /// inlined gets the wider vectors.
    fn run(self) -> Self::Output;
}

/// Runs `work` with the widest vectors there are.
pub fn widest<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn wide<W: Work>(work: W) -> W::Output {
            work.run()
        }
        #[allow(unsafe_code)]
        // SAFETY: the processor has just been asked for these features.
        return unsafe { wide(work) };
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    use std::arch::is_x86_feature_detected as has;
    !narrow::wanted() && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt")
}

/// Tests compare both ways.
pub mod narrow {
    use std::cell::Cell;

    thread_local!(static WANTED: Cell<bool> = const { Cell::new(false) });

    pub(super) fn wanted() -> bool {
        WANTED.get()
    }

    /// Runs `work` on this thread without the wider vectors.
    pub fn only<R>(work: impl FnOnce() -> R) -> R {
        let before = WANTED.replace(true);
        let result = work();
        WANTED.set(before);
        result
    }
}
