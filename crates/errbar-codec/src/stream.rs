//! Streams of a file that are made again of their content, however they were made. See `spec/filters.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use errbar_format::Result;
use errbar_format::record::{Filter, Maker};

use crate::deflate::Deflater;
use crate::filter;

/// Makes a stream of the content that is written to it.
///
/// ```
/// use errbar_codec::stream::Stream;
/// use errbar_format::record::Maker;
/// let mut made = Vec::new();
/// let mut stream = Stream::new(&Maker::Filters { piece: 1 << 16, filters: vec![], base64: true })?;
/// stream.write(b"ab", &mut made)?;
/// stream.write(b"cd", &mut made)?;
/// stream.finish(&mut made)?;
/// assert_eq!(made, b"YWJjZA==");
/// # Ok::<(), errbar_codec::Error>(())
/// ```
pub struct Stream(Kind);

enum Kind {
    Deflate(Deflater),
    Filters(Filtering),
}

impl Stream {
    /// By this maker.
    ///
    /// # Errors
    /// As [`Deflater::new`].
    pub fn new(maker: &Maker) -> Result<Stream> {
        Ok(Stream(match maker {
            Maker::Deflate(settings) => Kind::Deflate(Deflater::new(*settings)?),
            Maker::Filters { piece, filters, base64 } => Kind::Filters(Filtering {
                piece: usize::try_from(*piece).unwrap_or(usize::MAX).max(1),
                filters: filters.clone(),
                held: Vec::new(),
                text: base64.then(Text::default),
            }),
        }))
    }

    /// The next bytes of the content; what is made of the stream so far goes to the end of `out`.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Limit`] where memory cannot be had.
    pub fn write(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match &mut self.0 {
            Kind::Deflate(deflater) => deflater.write(content, out),
            Kind::Filters(filtering) => filtering.write(content, out),
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        match self.0 {
            Kind::Deflate(deflater) => deflater.finish(out),
            Kind::Filters(filtering) => filtering.finish(out),
        }
    }
}

/// Content that is put through filters piece by piece.
struct Filtering {
    /// Bytes of a piece.
    piece: usize,
    filters: Vec<Filter>,
    /// The piece that is coming.
    held: Vec<u8>,
    /// What writes the filters' bytes as text, if they are.
    text: Option<Text>,
}

impl Filtering {
    fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        // Without filters pieces make no difference.
        if self.filters.is_empty() {
            self.put(content, out);
            return Ok(());
        }
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(self.piece - self.held.len()));
            self.held.extend_from_slice(now);
            content = later;
            if self.held.len() == self.piece {
                self.filter(out)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        if !self.held.is_empty() {
            self.filter(out)?;
        }
        if let Some(text) = self.text {
            text.finish(out);
        }
        Ok(())
    }

    /// Puts the piece that is held through the filters.
    fn filter(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let made = filter::apply(&self.filters, 0, std::mem::take(&mut self.held))?;
        self.put(&made, out);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.text {
            Some(text) => text.write(bytes, out),
            None => out.extend_from_slice(bytes),
        }
    }
}

/// Writes base64: RFC 4648, section 4, padded at the end.
#[derive(Default)]
struct Text {
    /// Fewer than three bytes.
    held: Vec<u8>,
}

impl Text {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let (first, rest) = bytes.split_at(bytes.len().min((3 - self.held.len()) % 3));
        self.held.extend_from_slice(first);
        if self.held.len() == 3 {
            encode(&std::mem::take(&mut self.held), out);
        }
        let (whole, last) = rest.split_at(rest.len() / 3 * 3);
        encode(whole, out);
        self.held.extend_from_slice(last);
    }

    fn finish(self, out: &mut Vec<u8>) {
        encode(&self.held, out);
    }
}

fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + bytes.len().div_ceil(3) * 4, 0);
    let made = STANDARD.encode_slice(bytes, &mut out[at..]);
    debug_assert_eq!(made.ok(), Some(out.len() - at), "there is room for all of it");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn make(maker: &Maker, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stream, mut out) = (Stream::new(maker).expect("memory"), Vec::new());
        pieces.iter().for_each(|piece| stream.write(piece, &mut out).expect("memory"));
        stream.finish(&mut out).expect("memory");
        out
    }

    proptest! {
        #[test]
        fn a_stream_follows_from_its_content_however_that_comes(content: Vec<u8>, cuts: [usize; 2], piece in 1u64..40, base64: bool, deflated: bool) {
            let deflate = Filter::Deflate { level: 5, mem_level: 8 };
            let maker = Maker::Filters { piece, filters: if deflated { vec![deflate] } else { vec![] }, base64 };
            let (a, b) = content.split_at(cuts[0] % (content.len() + 1));
            let (b, c) = b.split_at(cuts[1] % (b.len() + 1));
            let mut expected = content.clone();
            if deflated {
                let stream = |piece: &[u8]| filter::apply(&[deflate], 0, piece.to_vec()).expect("memory");
                expected = content.chunks(piece as usize).flat_map(stream).collect();
            }
            if base64 {
                expected = STANDARD.encode(&expected).into_bytes();
            }
            prop_assert_eq!(&make(&maker, &[a, &[], b, c]), &expected);
            prop_assert_eq!(make(&maker, &[&content]), expected);
        }
    }

    #[test]
    fn a_deflate_stream_is_that_of_its_deflater() {
        let maker = Maker::Deflate(errbar_format::record::Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 });
        assert_eq!(make(&maker, &[b"aa", b"aaa"]), [0x4b, 0x4c, 0x04, 0x02, 0x00]);
    }
}
