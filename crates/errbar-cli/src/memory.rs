//! What the program tells its allocator.

/// Keeps what is freed for what is allocated next. Blocks are coded with arrays of a few megabytes that
/// come and go; the C library of GNU/Linux gives each back to the system, which clears its pages before it
/// gives them out again: a sixth of the time of packing and unpacking large arrays. The most that the
/// program holds at a time grows little.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The largest that may be set: what is larger goes back to the system at once.
        const LARGEST_KEPT: libc::c_int = 32 << 20;
        const MOST_KEPT: libc::c_int = 64 << 20;
        #[allow(unsafe_code)]
        // SAFETY: both settings take any number, and no other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MOST_KEPT);
        }
    }
}
