//! Raw deflate streams (RFC 1951) of any size: inflated, and made again as stock zlib makes them.
//!
//! A stream need not fit in memory. zlib is always given pieces of one size, so that the bytes follow
//! from the content and the settings alone, however the content arrives. See `spec/filters.md`.

use std::mem::MaybeUninit;

use errbar_format::record::Deflate;
use errbar_format::{Error, Kind, Result};
use flate2::{Decompress, FlushDecompress, Status};

/// Bytes that zlib is given at a time.
const PIECE: usize = 64 << 10;
/// Bytes that are taken from zlib at a time.
const ROOM: usize = 64 << 10;

/// Makes a stream of the content that is written to it.
///
/// ```
/// use errbar_codec::deflate::Deflater;
/// use errbar_format::record::Deflate;
/// let mut made = Vec::new();
/// let mut deflater = Deflater::new(Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 })?;
/// deflater.write(b"aaaaa", &mut made)?;
/// deflater.finish(&mut made)?;
/// assert_eq!(made, [0x4b, 0x4c, 0x04, 0x02, 0x00]);
/// # Ok::<(), errbar_codec::Error>(())
/// ```
pub struct Deflater {
    // In a box, because zlib's own state points back to it.
    stream: Box<MaybeUninit<libz_sys::z_stream>>,
    held: Vec<u8>,
    room: Vec<u8>,
}

fn no_memory() -> Error {
    Error::new(Kind::Limit, "zlib cannot get its memory")
}

impl Deflater {
    /// With these settings.
    ///
    /// # Errors
    /// [`Kind::Limit`] where memory cannot be had, or zlib does not take the settings.
    pub fn new(settings: Deflate) -> Result<Deflater> {
        // Zeros and null pointers ask zlib for its own allocator, as its manual says.
        let mut stream = Box::new(MaybeUninit::<libz_sys::z_stream>::zeroed());
        let [level, mem_level, window_bits, strategy] =
            [settings.level, settings.mem_level, settings.window_bits, settings.strategy].map(i32::from);
        let (method, size) = (libz_sys::Z_DEFLATED, size_of::<libz_sys::z_stream>() as i32);
        // SAFETY: `stream` is as large as zlib asks for, and zeroed. Where zlib refuses, it keeps
        // nothing that would have to be freed.
        #[allow(unsafe_code)]
        let result = unsafe {
            let version = libz_sys::zlibVersion();
            // A negative size of the window asks for a stream without a header.
            libz_sys::deflateInit2_(stream.as_mut_ptr(), level, method, -window_bits, mem_level, strategy, version, size)
        };
        match result == libz_sys::Z_OK {
            true => Ok(Deflater { stream, held: Vec::with_capacity(PIECE), room: vec![0; ROOM] }),
            // Not a `Deflater` yet: there is nothing to end.
            false => Err(no_memory()),
        }
    }

    /// The next bytes of the content; what is made of the stream so far goes to the end of `out`.
    ///
    /// # Errors
    /// [`Kind::Limit`] where zlib fails.
    pub fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(PIECE - self.held.len()));
            self.held.extend_from_slice(now);
            content = later;
            if self.held.len() == PIECE {
                self.run(libz_sys::Z_NO_FLUSH, out)?;
            }
        }
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// As [`Deflater::write`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        if !self.held.is_empty() {
            self.run(libz_sys::Z_NO_FLUSH, out)?;
        }
        self.run(libz_sys::Z_FINISH, out)
    }

    /// Gives zlib what is held.
    fn run(&mut self, flush: i32, out: &mut Vec<u8>) -> Result<()> {
        let stream = self.stream.as_mut_ptr();
        // SAFETY: `stream` was initialised by `deflateInit2` and not ended. `next_in` and `next_out`
        // point to as many bytes as `avail_in` and `avail_out` say (at most 64 KiB, so they fit), which
        // live longer than the calls that use them: all input is taken before `held` changes.
        #[allow(unsafe_code)]
        unsafe {
            (*stream).next_in = self.held.as_ptr().cast_mut();
            (*stream).avail_in = self.held.len() as libz_sys::uInt;
            loop {
                (*stream).next_out = self.room.as_mut_ptr();
                (*stream).avail_out = ROOM as libz_sys::uInt;
                let result = libz_sys::deflate(stream, flush);
                let left = (*stream).avail_out as usize;
                out.extend_from_slice(&self.room[..ROOM - left.min(ROOM)]);
                let done = match result {
                    libz_sys::Z_STREAM_END => true,
                    // No progress: everything was taken and given in the call before.
                    libz_sys::Z_OK | libz_sys::Z_BUF_ERROR if left > 0 => flush == libz_sys::Z_NO_FLUSH && (*stream).avail_in == 0,
                    libz_sys::Z_OK => false,
                    _ => return Err(no_memory()),
                };
                if done {
                    break;
                }
                if left == ROOM {
                    return Err(no_memory());
                }
            }
        }
        self.held.clear();
        Ok(())
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: `deflateInit2` initialised the stream, and this is the one end of it.
        #[allow(unsafe_code)]
        unsafe {
            libz_sys::deflateEnd(self.stream.as_mut_ptr());
        }
    }
}

/// Inflates a raw stream, piece by piece.
pub struct Inflater(Decompress);

/// What a step of an [`Inflater`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the stream taken.
    pub taken: usize,
    /// Bytes of the content made.
    pub made: usize,
    /// Whether the stream is at its end.
    pub ends: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater(Decompress::new(false))
    }
}

impl Inflater {
    /// Inflates the next bytes of a stream to `out`. A step that takes and makes nothing, and is not the
    /// end, wants more of the stream.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] where that is no deflate stream.
    pub fn step(&mut self, stream: &[u8], out: &mut [u8]) -> Result<Step> {
        let (taken, made) = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(stream, out, FlushDecompress::None);
        let status = status.map_err(|_| Error::new(Kind::Corrupt, "no deflate stream"))?;
        Ok(Step {
            taken: (self.0.total_in() - taken) as usize,
            made: (self.0.total_out() - made) as usize,
            ends: status == Status::StreamEnd,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings() -> impl Strategy<Value = Deflate> {
        let all = (1u8..=9, 1u8..=9, 9u8..=15, 0u8..=4);
        all.prop_map(|(level, mem_level, window_bits, strategy)| Deflate { level, mem_level, window_bits, strategy })
    }

    fn make(settings: Deflate, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut deflater, mut out) = (Deflater::new(settings).expect("memory"), Vec::new());
        pieces.iter().for_each(|piece| deflater.write(piece, &mut out).expect("memory"));
        deflater.finish(&mut out).expect("memory");
        out
    }

    /// The content of a stream with nothing behind it, inflated `room` bytes at a time.
    fn inflate(mut stream: &[u8], room: usize) -> Result<Vec<u8>> {
        let (mut inflater, mut content, mut buffer) = (Inflater::default(), Vec::new(), vec![0; room]);
        loop {
            let step = inflater.step(stream, &mut buffer)?;
            content.extend_from_slice(&buffer[..step.made]);
            stream = &stream[step.taken..];
            match step {
                Step { ends: true, .. } => return Ok(content),
                Step { taken: 0, made: 0, .. } => return Err(Error::new(Kind::Truncated, "cut")),
                _ => {}
            }
        }
    }

    /// Text-like bytes, of which every setting makes several blocks.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let word = std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        });
        word.flat_map(|word| (0..word % 9).map(move |i| (word * 7 + i * i) as u8)).take(len).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_stream_follows_from_content_and_settings_alone(settings in settings(), len in 0usize..300_000, cut in 0usize..300_000) {
            let content = content(len);
            let stream = make(settings, &[&content]);
            let (a, b) = content.split_at(cut.min(len));
            prop_assert_eq!(&make(settings, &[a, &[], b]), &stream);
            prop_assert_eq!(inflate(&stream, 1 + cut % 5000).expect("just made"), content);
        }
    }

    #[test]
    fn one_call_of_zlib_makes_the_same_stream() {
        for len in [0, 5, PIECE - 1, PIECE, PIECE + 1, 1_000_000] {
            let content = content(len);
            for (level, mem_level) in [(1, 8), (6, 8), (9, 9)] {
                let whole = crate::filter::apply(&[errbar_format::record::Filter::Deflate { level, mem_level }], 0, content.clone());
                let whole = whole.expect("memory");
                let settings = Deflate { level, mem_level, window_bits: 15, strategy: 0 };
                assert_eq!(make(settings, &[&content]), whole[2..whole.len() - 4], "{len} {level} {mem_level}");
            }
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let stream = make(Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 }, &[&content(9000)]);
        for cut in 0..stream.len() {
            assert!(inflate(&stream[..cut], 100_000).is_err());
        }
        assert!(inflate(&[7; 100], 100_000).is_err());
        assert!(Deflater::new(Deflate { level: 6, mem_level: 0, window_bits: 15, strategy: 0 }).is_err());
    }
}
