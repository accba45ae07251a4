//! Static frequencies: one table for a run of context bins that are alike.

use std::sync::OnceLock;

use errbar_format::Result;

use super::corrupt;
use super::token::TOKENS;
use crate::binary::{Binary, Bit, Reader, Writer};
use crate::least_squares::log2;

/// Context bins.
pub(super) const BINS: usize = 160;
/// Frequencies of a table sum up to 2^12.
pub(super) const SCALE_BITS: u32 = 12;
const SCALE: u32 = 1 << SCALE_BITS;
/// Bits of a frequency that are kept below the highest.
const KEPT: u32 = 4;
/// What a table and each of its tokens costs, in bits, about.
const TABLE_COST: f64 = 12.0;
const TOKEN_COST: f64 = 5.0;

/// How often each token occurs.
pub(super) type Histogram = [u32; TOKENS];

/// Frequencies of tokens; zero for those that do not occur.
pub(super) type Frequencies = [u16; TOKENS];

/// The tables of all bins.
pub(super) struct Tables {
    pub(super) tables: Vec<Frequencies>,
    /// The table of each bin.
    pub(super) of_bin: [u8; BINS],
}

/// `n` times its logarithm.
fn n_log_n(n: u32) -> f64 {
    /// Most numbers are small.
    static SMALL: OnceLock<Vec<f64>> = OnceLock::new();
    let compute = |n: u32| if n > 1 { f64::from(n) * log2(f64::from(n)) } else { 0.0 };
    SMALL.get_or_init(|| (0..1024).map(compute).collect()).get(n as usize).copied().unwrap_or_else(|| compute(n))
}

/// What writing a histogram's tokens costs in bits, with its table.
fn cost(histogram: &[u32]) -> f64 {
    let total: u32 = histogram.iter().sum();
    let used = histogram.iter().filter(|&&n| n > 0);
    used.fold(n_log_n(total) + TABLE_COST, |cost, &n| cost + TOKEN_COST - n_log_n(n))
}

/// Neighbouring bins with one table.
struct Cluster {
    histogram: Histogram,
    last_bin: usize,
    cost: f64,
}

/// Merges neighbours, those that save most first, until none saves anything.
fn cluster(histograms: &[Histogram; BINS]) -> Vec<Cluster> {
    // Tokens from here on occur nowhere.
    let end = histograms.iter().filter_map(|histogram| histogram.iter().rposition(|&n| n > 0)).max().map_or(0, |last| last + 1);
    let merged = |a: &Cluster, b: &Cluster| {
        let histogram = std::array::from_fn(|t| a.histogram[t] + b.histogram[t]);
        Cluster { cost: cost(&histogram[..end]), histogram, last_bin: b.last_bin }
    };
    let used = histograms.iter().enumerate().filter(|(_, histogram)| histogram.iter().any(|&n| n > 0));
    let mut clusters: Vec<Cluster> = used.map(|(bin, h)| Cluster { histogram: *h, last_bin: bin, cost: cost(&h[..end]) }).collect();
    let saves = |a: &Cluster, b: &Cluster| a.cost + b.cost - merged(a, b).cost;
    let mut savings: Vec<f64> = clusters.windows(2).map(|pair| saves(&pair[0], &pair[1])).collect();
    loop {
        let best = savings.iter().enumerate().fold(None, |best: Option<(usize, f64)>, (i, &saving)| match best {
            Some((_, most)) if most >= saving => best,
            _ => Some((i, saving)),
        });
        let Some((i, _)) = best.filter(|(_, saving)| *saving > 0.0) else { return clusters };
        clusters[i] = merged(&clusters[i], &clusters[i + 1]);
        clusters.remove(i + 1);
        savings.remove(i);
        if i > 0 {
            savings[i - 1] = saves(&clusters[i - 1], &clusters[i]);
        }
        if i < savings.len() {
            savings[i] = saves(&clusters[i], &clusters[i + 1]);
        }
    }
}

/// Makes frequencies sum up to the scale at the expense of the largest, the first of equals.
fn settle(frequencies: &mut Frequencies) {
    loop {
        let sum: u32 = frequencies.iter().map(|&f| u32::from(f)).sum();
        let largest = (0..TOKENS).rev().max_by_key(|&t| frequencies[t]).unwrap_or(0);
        let most = u32::from(frequencies[largest]);
        if sum <= SCALE {
            frequencies[largest] = (most + SCALE - sum) as u16;
            return;
        }
        // Some token has a frequency of 17 at least, or the sum would not exceed the scale.
        frequencies[largest] -= (sum - SCALE).min(most / 2) as u16;
    }
}

/// Frequencies near the shares of a histogram; none of a token that occurs is zero.
fn normalise(histogram: &Histogram) -> Frequencies {
    let total: u64 = histogram.iter().map(|&n| u64::from(n)).sum();
    let mut frequencies = histogram.map(|n| match n {
        0 => 0,
        n => ((u64::from(n) * u64::from(SCALE) + total / 2) / total).max(1) as u16,
    });
    settle(&mut frequencies);
    frequencies
}

/// Writes frequencies, or reads them: each one's bit length in the context of that in the table
/// before, and the bits below its highest, the first [`KEPT`] of them.
fn code(coder: &mut impl Binary, given: &Frequencies, models: &mut [[Bit; 16]; 16], lengths: &mut [u8; TOKENS]) -> Frequencies {
    let last = given.iter().rposition(|&f| f > 0).unwrap_or(0);
    let last = (coder.raw(last as u64, 8) as usize).min(TOKENS - 1);
    let mut frequencies = [0; TOKENS];
    let before = std::mem::replace(lengths, [0; TOKENS]);
    for t in 0..=last {
        let f = u32::from(given[t]);
        let length = coder.tree(32 - f.leading_zeros(), &mut models[usize::from(before[t])]).min(SCALE_BITS + 1);
        lengths[t] = length as u8;
        if let Some(below) = length.checked_sub(1) {
            let kept = below.min(KEPT);
            let mantissa = coder.raw(u64::from(f >> (below - kept)), kept) as u32;
            frequencies[t] = ((1 << kept | mantissa) << (below - kept)).min(SCALE) as u16;
        }
    }
    settle(&mut frequencies);
    frequencies
}

impl Tables {
    /// Chooses tables for the tokens found in each bin, and writes them.
    pub(super) fn write(histograms: &[Histogram; BINS], writer: &mut Writer) -> Tables {
        let clusters = cluster(histograms);
        writer.raw(clusters.len() as u64, 8);
        let mut tables = Tables { tables: Vec::new(), of_bin: [0; BINS] };
        let (mut models, mut lengths) = ([[Bit::default(); 16]; 16], [0; TOKENS]);
        let mut first_bin = 0;
        for (i, cluster) in clusters.iter().enumerate() {
            writer.raw(cluster.last_bin as u64, 8);
            tables.tables.push(code(writer, &normalise(&cluster.histogram), &mut models, &mut lengths));
            tables.of_bin[first_bin..=cluster.last_bin].fill(i as u8);
            first_bin = cluster.last_bin + 1;
        }
        tables
    }

    /// What tokens counted in each bin take.
    pub(super) fn bits(&self, histograms: &[Histogram; BINS]) -> f64 {
        let bits = |&(&n, &f): &(&u32, &u16)| f64::from(n) * (f64::from(SCALE_BITS) - log2(f64::from(f.max(1))));
        let of_bin = |(histogram, &table): (&Histogram, &u8)| -> f64 {
            let Some(frequencies) = self.tables.get(usize::from(table)) else { return 0.0 };
            histogram.iter().zip(frequencies).filter(|(n, _)| **n > 0).map(|pair| bits(&pair)).sum()
        };
        histograms.iter().zip(&self.of_bin).map(of_bin).sum()
    }

    /// Reads what [`Tables::write`] wrote. Bins behind the last belong to the first table.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Tables> {
        let count = reader.raw(0, 8) as usize;
        let mut tables = Tables { tables: Vec::new(), of_bin: [0; BINS] };
        let (mut models, mut lengths) = ([[Bit::default(); 16]; 16], [0; TOKENS]);
        let mut first_bin = 0;
        for i in 0..count {
            let last_bin = reader.raw(0, 8) as usize;
            if last_bin < first_bin || last_bin >= BINS {
                return Err(corrupt("tables out of order"));
            }
            tables.tables.push(code(reader, &[0; TOKENS], &mut models, &mut lengths));
            tables.of_bin[first_bin..=last_bin].fill(i as u8);
            first_bin = last_bin + 1;
        }
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_back_and_fit_what_was_counted() {
        let mut histograms = [[0; TOKENS]; BINS];
        for (bin, histogram) in histograms.iter_mut().enumerate().take(40).step_by(3) {
            for (t, count) in histogram.iter_mut().enumerate().take(5 + bin) {
                *count = 10_000 / (t as u32 + 1).pow(2);
            }
        }
        let mut writer = Writer::default();
        let written = Tables::write(&histograms, &mut writer);
        let bytes = writer.finish();
        let read = Tables::read(&mut Reader::new(&bytes)).expect("what was written");
        assert_eq!((&read.tables, read.of_bin), (&written.tables, written.of_bin));
        for (histogram, table) in histograms.iter().zip(read.of_bin) {
            let frequencies = &read.tables[usize::from(table)];
            assert_eq!(frequencies.iter().map(|&f| u32::from(f)).sum::<u32>(), SCALE);
            assert!(histogram.iter().zip(frequencies).all(|(&n, &f)| n == 0 || f > 0));
        }
    }

    #[test]
    fn any_frequencies_settle() {
        for fill in [0, 1, 2, 17, 4096, u16::MAX] {
            let mut frequencies = [fill; TOKENS];
            settle(&mut frequencies);
            assert_eq!(frequencies.iter().map(|&f| u32::from(f)).sum::<u32>(), SCALE, "{fill}");
        }
    }
}
