//! What the planner does with plain bytes.

use errbar_codec::coder::LzmaContexts;
use errbar_codec::pipeline::{Encoded, NONE, stage};
use errbar_codec::{Coder, Codes, DType, Registry, Result, Tolerance, Values, Words, coder};
use errbar_format::record::{PipelineRecord, StageRecord};
use errbar_format::zstd_frame;

use super::{Choice, Planner, encode_best, pipeline};
use crate::policy::Mode;
use crate::probe::Numbers;

/// Codes plain bytes as bytes or, where that takes less, as the numbers that they seem to be.
///
/// # Errors
/// As [`encode_best`].
pub(crate) fn encode(
    registry: &Registry,
    planner: &dyn Planner,
    bytes: Vec<u8>,
    numbers: Option<&Numbers>,
    mode: Mode,
) -> Result<(Encoded, Option<Choice>)> {
    let mut as_numbers = match numbers {
        Some(numbers) => {
            let values = Values::from_bytes(numbers.dtype, numbers.big_endian, &numbers.shape(bytes.len()), &bytes[..])?;
            Some(encode_best(registry, planner, &values, None, mode, None)?)
        }
        None => None,
    };
    if let Some(found) = as_numbers.take_if(|found| are_fewer(found.0.payload.len(), &bytes, mode)) {
        return Ok(found);
    }
    let values = Values::from_bytes(DType::Bytes, false, &[bytes.len() as u64], bytes)?;
    let as_bytes = encode_best(registry, planner, &values, None, mode, None)?;
    Ok(match as_numbers {
        Some(found) if found.0.payload.len() < as_bytes.0.payload.len() => found,
        _ => as_bytes,
    })
}

/// Whether `len` is certainly less than the bytes would take as they are, by what the fastest level
/// makes of them.
fn are_fewer(len: usize, bytes: &[u8], mode: Mode) -> bool {
    let share = if mode == Mode::Small { 0.6 } else { 0.8 };
    zstd_frame::compress(bytes, 1).is_ok_and(|frame| len as f64 <= share * frame.len() as f64)
}

/// Codes the bytes of many small files together.
///
/// # Errors
/// As [`encode_best`].
pub(crate) fn encode_small_files(registry: &Registry, planner: &dyn Planner, bytes: Vec<u8>, mode: Mode) -> Result<Encoded> {
    struct OfSmallFiles<'a>(&'a dyn Planner);
    impl Planner for OfSmallFiles<'_> {
        fn families(&self, values: &Values, _: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>> {
            self.0.families_of_small_files(values, mode)
        }
    }
    let values = Values::from_bytes(DType::Bytes, false, &[bytes.len() as u64], bytes)?;
    Ok(encode_best(registry, &OfSmallFiles(planner), &values, None, mode, None)?.0)
}

/// What is tried for plain bytes.
pub(super) fn candidates(values: &Values, mode: Mode) -> Vec<PipelineRecord> {
    match mode {
        Mode::Balanced => vec![zstd(THOROUGH)],
        Mode::Fast | Mode::Small => candidates_for_small_files(values, mode),
    }
}

/// … and for the bytes of small files, each of which costs more to open than to code.
pub(super) fn candidates_for_small_files(values: &Values, mode: Mode) -> Vec<PipelineRecord> {
    vec![match (&values.bits.words, mode) {
        (Words::U8(bytes), Mode::Small) => pipeline(NONE, &[], stage("lzma", coder::Lzma::params(contexts(bytes), EFFORT))),
        (Words::U8(bytes), Mode::Balanced) if long_matches_serve(bytes) => zstd(coder::Zstd::LONG_MATCHES),
        _ => zstd(zstd_level(mode)),
    }]
}

fn zstd(level: i8) -> PipelineRecord {
    pipeline(NONE, &[], stage("zstd", coder::Zstd::params(level)))
}

/// The lowest level at which zstd weighs what a match costs against what it saves. Numbers in text and
/// lists of atoms take 15 to 40 % less than at level 6, prose 8 %, at 4 MB/s; level 19 gains 1 to 5 %
/// more in twice the time.
const THOROUGH: i8 = 16;

/// lzma for words of so many bytes, where the size is all that counts.
pub(super) fn lzma(width: usize) -> StageRecord {
    stage("lzma", coder::Lzma::params(LzmaContexts::of_words(width), EFFORT))
}

/// What lzma spends where the size is all that counts.
const EFFORT: u8 = 7;
/// … and on samples.
const SAMPLE_EFFORT: u8 = 1;
/// Runs of bytes by which contexts are chosen, and bytes in each.
const CONTEXT_SAMPLE: (usize, usize) = (4, 16 << 10);

/// The contexts of lzma that suit bytes: those of text, of text of few words, and of numbers of 2,
/// 4 and 8 bytes.
fn contexts(bytes: &[u8]) -> LzmaContexts {
    let candidates = [LzmaContexts::TEXT].into_iter().chain([1, 2, 4, 8].map(LzmaContexts::of_words));
    // Runs begin where words of any width may.
    let (n_runs, run) = (CONTEXT_SAMPLE.0, CONTEXT_SAMPLE.1.min(bytes.len() / CONTEXT_SAMPLE.0));
    let starts = (0..n_runs).map(|i| (bytes.len() - run) / (n_runs - 1) * i / 8 * 8);
    let sample = Words::U8(starts.flat_map(|at| &bytes[at..at + run]).copied().collect());
    let codes = Codes::plain(vec![sample.len()], sample);
    let size = |contexts: &LzmaContexts| {
        coder::Lzma.encode(&codes, &coder::Lzma::params(*contexts, SAMPLE_EFFORT)).map_or(usize::MAX, |bytes| bytes.len())
    };
    candidates.min_by_key(size).unwrap_or(LzmaContexts::TEXT)
}

/// Level 9 takes twice the time of level 6, for 4 % fewer bytes on 1 KiB tables of numbers and less
/// than 1 % on a folder of mixed formats.
pub(super) fn zstd_level(mode: Mode) -> i8 {
    match mode {
        Mode::Fast => 1,
        Mode::Balanced => 6,
        Mode::Small => 19,
    }
}

/// Runs of bytes that tell whether long matches serve, and bytes in each.
const MATCH_SAMPLE: (usize, usize) = (4, 4 << 10);
/// What short matches must cost at least, for bytes to be taken for such as they only disturb.
const DISTURBED: f64 = 0.03;

/// Whether bytes are like tables of numbers, which short matches make larger, so that
/// [`coder::Zstd::LONG_MATCHES`] gives what a higher level does. On source text short matches save
/// 5 % of the sample; in tables of numbers they cost 7 %.
fn long_matches_serve(bytes: &[u8]) -> bool {
    let (n_runs, run) = MATCH_SAMPLE;
    if bytes.len() < n_runs * run {
        return false;
    }
    let starts = (0..n_runs).map(|i| (bytes.len() - run) / (n_runs - 1) * i);
    let sample: Vec<u8> = starts.flat_map(|at| &bytes[at..at + run]).copied().collect();
    let size = |min_match| zstd_frame::compress_matching(&sample, coder::Zstd::LONG_MATCHES.into(), min_match).map(|frame| frame.len());
    match (size(4), size(coder::Zstd::LONG_MATCH)) {
        (Ok(all), Ok(long)) => long as f64 <= all as f64 * (1.0 - DISTURBED),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use errbar_codec::pipeline;

    use super::*;
    use crate::planner::CorePlanner;

    fn level(bytes: Vec<u8>) -> String {
        let encoded = encode_small_files(&Registry::core(), &CorePlanner, bytes, Mode::Balanced).expect("coded");
        pipeline::describe(&Registry::core(), &encoded.pipeline)
    }

    #[test]
    fn bytes_of_a_file_are_coded_thoroughly() {
        let bytes: Vec<u8> = (0..30_000u32).flat_map(|i| format!("{} ", i * i % 7919).into_bytes()).collect();
        let (encoded, _) = encode(&Registry::core(), &CorePlanner, bytes, None, Mode::Balanced).expect("coded");
        assert_eq!(pipeline::describe(&Registry::core(), &encoded.pipeline), "none zstd(level 16)");
    }

    #[test]
    fn numbers_in_small_files_get_long_matches_and_words_level_6() {
        let mut state = 1u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 33) % n
        };
        let numbers: String = (0..12_000).map(|i| format!("{:5} {:8} {:9} ok\n", i % 40, draw(30_000), draw(90_000))).collect();
        assert_eq!(level(numbers.into_bytes()), "none zstd(level 3)");
        let words: Vec<String> = (0..2000).map(|_| (0..2 + draw(8)).map(|_| (b'a' + draw(20) as u8) as char).collect()).collect();
        let text: String = (0..60_000).map(|_| format!("{} ", words[(draw(2000) * draw(2000) / 2000) as usize])).collect();
        assert_eq!(level(text.into_bytes()), "none zstd(level 6)");
    }
}
