//! SEG-Y (SEG Technical Standards Committee), revisions 0 to 2.1: traces of one length.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::stack::frames;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

const TEXT_HEADER: u64 = 3200;
const TRACE_HEADER: u64 = 240;

/// Fields of a trace header in order: name, bytes. They fill it.
const FIELDS: &[(&str, u64)] = &[
    ("TRACE_SEQUENCE_LINE", 4),
    ("TRACE_SEQUENCE_FILE", 4),
    ("FieldRecord", 4),
    ("TraceNumber", 4),
    ("EnergySourcePoint", 4),
    ("CDP", 4),
    ("CDP_TRACE", 4),
    ("TraceIdentificationCode", 2),
    ("NSummedTraces", 2),
    ("NStackedTraces", 2),
    ("DataUse", 2),
    ("offset", 4),
    ("ReceiverGroupElevation", 4),
    ("SourceSurfaceElevation", 4),
    ("SourceDepth", 4),
    ("ReceiverDatumElevation", 4),
    ("SourceDatumElevation", 4),
    ("SourceWaterDepth", 4),
    ("GroupWaterDepth", 4),
    ("ElevationScalar", 2),
    ("SourceGroupScalar", 2),
    ("SourceX", 4),
    ("SourceY", 4),
    ("GroupX", 4),
    ("GroupY", 4),
    ("CoordinateUnits", 2),
    ("WeatheringVelocity", 2),
    ("SubWeatheringVelocity", 2),
    ("SourceUpholeTime", 2),
    ("GroupUpholeTime", 2),
    ("SourceStaticCorrection", 2),
    ("GroupStaticCorrection", 2),
    ("TotalStaticApplied", 2),
    ("LagTimeA", 2),
    ("LagTimeB", 2),
    ("DelayRecordingTime", 2),
    ("MuteTimeStart", 2),
    ("MuteTimeEND", 2),
    ("TRACE_SAMPLE_COUNT", 2),
    ("TRACE_SAMPLE_INTERVAL", 2),
    ("GainType", 2),
    ("InstrumentGainConstant", 2),
    ("InstrumentInitialGain", 2),
    ("Correlated", 2),
    ("SweepFrequencyStart", 2),
    ("SweepFrequencyEnd", 2),
    ("SweepLength", 2),
    ("SweepType", 2),
    ("SweepTraceTaperLengthStart", 2),
    ("SweepTraceTaperLengthEnd", 2),
    ("TaperType", 2),
    ("AliasFilterFrequency", 2),
    ("AliasFilterSlope", 2),
    ("NotchFilterFrequency", 2),
    ("NotchFilterSlope", 2),
    ("LowCutFrequency", 2),
    ("HighCutFrequency", 2),
    ("LowCutSlope", 2),
    ("HighCutSlope", 2),
    ("YearDataRecorded", 2),
    ("DayOfYear", 2),
    ("HourOfDay", 2),
    ("MinuteOfHour", 2),
    ("SecondOfMinute", 2),
    ("TimeBaseCode", 2),
    ("TraceWeightingFactor", 2),
    ("GeophoneGroupNumberRoll1", 2),
    ("GeophoneGroupNumberFirstTraceOrigField", 2),
    ("GeophoneGroupNumberLastTraceOrigField", 2),
    ("GapSize", 2),
    ("OverTravel", 2),
    ("CDP_X", 4),
    ("CDP_Y", 4),
    ("INLINE_3D", 4),
    ("CROSSLINE_3D", 4),
    ("ShotPoint", 4),
    ("ShotPointScalar", 2),
    ("TraceValueMeasurementUnit", 2),
    ("TransductionConstantMantissa", 4),
    ("TransductionConstantPower", 2),
    ("TransductionUnit", 2),
    ("TraceIdentifier", 2),
    ("ScalarTraceHeader", 2),
    ("SourceType", 2),
    ("SourceEnergyDirectionMantissa", 4),
    ("SourceEnergyDirectionExponent", 2),
    ("SourceMeasurementMantissa", 4),
    ("SourceMeasurementExponent", 2),
    ("SourceMeasurementUnit", 2),
    ("UnassignedInt1", 4),
    ("UnassignedInt2", 4),
];

/// The SEG-Y format.
#[derive(Clone, Copy, Debug)]
pub struct Segy;

impl Dissector for Segy {
    fn name(&self) -> &'static str {
        "segy"
    }

    /// There is no magic, but the file begins with text, in EBCDIC or ASCII. The rest is certain: a
    /// sample code where text would have larger numbers, and the length of every trace.
    fn probe(&self, head: &[u8]) -> bool {
        head.len() == 512 && head.iter().all(|byte| matches!(byte, 0 | b'\t' | b'\r' | b'\n' | 0x15 | 0x20..))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut binary = Numbers::read(file, TEXT_HEADER, 400, true)?;
        binary.big_endian = (1..=16).contains(&binary.u16(24)?);
        let dtype = match binary.u16(24)? {
            // IBM floats, which are kept as the bits they are.
            1 => DType::U32,
            2 => DType::I32,
            3 => DType::I16,
            5 => DType::F32,
            6 => DType::F64,
            8 => DType::I8,
            9 => DType::I64,
            10 => DType::U32,
            11 => DType::U16,
            12 => DType::U64,
            16 => DType::U8,
            _ => return Err(not_this("unknown code of samples")),
        };
        let revision = match (binary.big_endian, binary.u8(300)?, binary.u8(301)?) {
            // Two bytes swapped, or two numbers.
            (false, 0, swapped) => swapped,
            (_, major, _) => major,
        };
        let (mut samples, mut first) = (u64::from(binary.u16(20)?), TEXT_HEADER + 400);
        if (1..=2).contains(&revision) {
            first += u64::try_from(binary.i16(304)?).map_err(|_| not_this("unknown number of text headers"))? * TEXT_HEADER;
        }
        if revision == 2 {
            if binary.u32(306)? != 0 {
                return Err(not_this("traces have further headers"));
            }
            samples = Some(binary.u32(68)?).filter(|more| *more > 0).map_or(samples, u64::from);
            first = Some(binary.u64(320)?).filter(|begin| *begin > 0).unwrap_or(first);
        }
        let trace = TRACE_HEADER + samples * dtype.size() as u64;
        let data = file.size().checked_sub(first).filter(|data| samples > 0 && *data > 0 && data % trace == 0);
        let count = data.ok_or_else(|| not_this("file is not of whole traces"))? / trace;
        // Each trace states its length, often wrongly; but a number that stands in the same place of
        // every trace shows that they are equal.
        let stated = |i: u64| Numbers::read(file, first + i * trace + 114, 2, binary.big_endian)?.u16(0);
        let of_first = stated(0)?;
        for i in 1..count {
            if stated(i)? != of_first {
                return Err(not_this("traces differ in length"));
            }
        }
        let header = FIELDS.iter().map(|(name, bytes)| {
            let dtype = if *bytes == 4 { DType::I32 } else { DType::I16 };
            Array::new(*name, dtype, binary.big_endian, vec![count]).auxiliary()
        });
        let samples = Array::new("trace", dtype, binary.big_endian && dtype.size() > 1, vec![count, samples]);
        let mut layout = Layout::default();
        frames(&mut layout, file.size(), first, header.chain([samples]).collect())?;
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A file with `traces` of `samples`, of a code, in one byte order.
    fn file(traces: usize, samples: u16, code: u16, big: bool) -> Vec<u8> {
        let short = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let mut bytes = vec![0x40; 3200];
        bytes.extend([0; 400]);
        bytes[3220..3222].copy_from_slice(&short(samples));
        bytes[3224..3226].copy_from_slice(&short(code));
        for i in 0..traces {
            let mut header = [i as u8; 240];
            header[114..116].copy_from_slice(&short(samples));
            bytes.extend(header);
            bytes.extend(vec![9; usize::from(samples) * 4]);
        }
        bytes
    }

    fn samples(bytes: &[u8]) -> Option<Array> {
        dissect(&bytes, &[&Segy]).0.arrays.pop()
    }

    #[test]
    fn the_fields_fill_the_header() {
        assert_eq!(FIELDS.iter().map(|(_, bytes)| bytes).sum::<u64>(), TRACE_HEADER);
        let at = |name| FIELDS.iter().take_while(|(field, _)| *field != name).map(|(_, bytes)| bytes).sum::<u64>() + 1;
        assert_eq!(["TRACE_SAMPLE_COUNT", "CDP_X", "INLINE_3D", "SourceType", "UnassignedInt1"].map(at), [115, 181, 189, 217, 233]);
    }

    #[test]
    fn traces_are_records_in_either_byte_order() {
        for (big, code, dtype) in [(true, 1, DType::U32), (true, 5, DType::F32), (false, 5, DType::F32), (false, 2, DType::I32)] {
            let bytes = file(3, 20, code, big);
            let (layout, by) = dissect(&&bytes[..], &[&Segy]);
            assert_eq!((by, layout.places.len(), layout.places[0].length), (Some("segy"), 1, 960));
            let last = layout.arrays.last().expect("samples");
            assert_eq!((last.dtype, last.big_endian, &last.shape[..]), (dtype, big, &[3, 20][..]));
        }
    }

    #[test]
    fn traces_of_other_lengths_are_refused() {
        let mut bytes = file(3, 20, 1, true);
        bytes[3600 + 320 + 115] = 19;
        assert_eq!(samples(&bytes), None);
        (0..3).for_each(|i| bytes[3600 + i * 320 + 115] = 99);
        assert!(samples(&bytes).is_some(), "all traces are equally wrong");
        bytes.push(0);
        assert_eq!(samples(&bytes), None);
        for code in [0, 4, 7, 15, 17, 0x4040] {
            assert_eq!(samples(&file(3, 20, code, true)), None, "{code}");
        }
        assert_eq!(samples(&file(3, 0, 1, true)), None);
        assert_eq!(samples(&file(0, 20, 1, true)), None);
    }

    #[test]
    fn text_headers_may_follow() {
        let mut bytes = file(2, 20, 1, true);
        bytes[3500] = 1;
        bytes[3505] = 1;
        bytes.splice(3600..3600, [0x40; 3200]);
        assert_eq!(samples(&bytes).expect("one more header").shape, [2, 20]);
        bytes[3504..3506].copy_from_slice(&[0xff; 2]);
        assert_eq!(samples(&bytes), None, "their number is not known");
    }

    #[test]
    fn the_second_revision_counts_samples_in_32_bits() {
        let mut bytes = file(2, 20, 1, true);
        bytes[3500] = 2;
        bytes[3220..3222].fill(0);
        bytes[3271] = 20;
        assert_eq!(samples(&bytes).expect("extended count").shape, [2, 20]);
        bytes[3509] = 1;
        assert_eq!(samples(&bytes), None, "further headers");
    }

    #[test]
    fn prefixes_are_bytes_or_whole_traces() {
        let bytes = file(2, 4, 1, true);
        for len in 0..bytes.len() {
            assert_eq!(samples(&bytes[..len]).is_some(), len == 3600 + 256, "{len}");
        }
    }
}
