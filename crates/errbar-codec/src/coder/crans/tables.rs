//! Static frequencies: one table for a run of context bins that are alike.

use std::sync::OnceLock;

use errbar_format::Result;

use super::corrupt;
use super::token::{RAW_BITS, TOKENS};
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
const TABLE_COST: f64 = 100.0;
const TOKEN_COST: f64 = 5.0;

/// How often each token occurs in each bin, up to the last token and the last bin that matter.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    n: Vec<u32>,
    tokens: usize,
}

impl Counts {
    /// Of so many tokens in one bin after the other.
    pub(super) fn new(n: Vec<u32>, tokens: usize) -> Counts {
        Counts { n, tokens }
    }

    /// Those of every bin.
    pub(super) fn bins(&self) -> impl Iterator<Item = &[u32]> {
        self.n.chunks_exact(self.tokens)
    }

    /// Adds the counts of as many bins and tokens: of each token those of another one.
    pub(super) fn add(&mut self, other: &Counts, token_of: impl Fn(u8) -> u8) {
        for (bin, from) in self.n.chunks_exact_mut(self.tokens).zip(other.bins()) {
            for (token, n) in bin.iter_mut().enumerate().take(TOKENS) {
                *n += from.get(usize::from(token_of(token as u8))).copied().unwrap_or(0);
            }
        }
    }

    /// What all tokens take in bits.
    pub(super) fn entropy(&self) -> f64 {
        self.bins().map(entropy).sum()
    }

    /// Raw bits behind all tokens.
    pub(super) fn raw_bits(&self) -> u64 {
        self.bins().flat_map(|bin| bin.iter().zip(RAW_BITS)).map(|(&n, bits)| u64::from(n) * u64::from(bits)).sum()
    }
}

/// Frequencies of tokens; zero for those that do not occur.
pub(super) type Frequencies = [u16; TOKENS];

/// The tables of all bins.
pub(super) struct Tables {
    pub(super) tables: Vec<Frequencies>,
    /// The table of each bin, for every kind of pairs of signs, of all words or of one component after the other.
    pub(super) of_bin: Vec<[u16; BINS]>,
}

/// `n` times its logarithm.
fn n_log_n(n: u32) -> f64 {
    /// Most numbers are small.
    static SMALL: OnceLock<Vec<f64>> = OnceLock::new();
    let compute = |n: u32| if n > 1 { f64::from(n) * log2(f64::from(n)) } else { 0.0 };
    SMALL.get_or_init(|| (0..1 << 13).map(compute).collect()).get(n as usize).copied().unwrap_or_else(|| compute(n))
}

/// What writing a histogram's tokens costs in bits, with its table.
fn cost(histogram: &[u32]) -> f64 {
    let used = histogram.iter().filter(|&&n| n > 0).count();
    entropy(histogram) + TABLE_COST + TOKEN_COST * used as f64
}

/// What a histogram's tokens take in bits.
fn entropy(histogram: &[u32]) -> f64 {
    let used = histogram.iter().filter(|&&n| n > 0);
    used.fold(n_log_n(histogram.iter().sum()), |bits, &n| bits - n_log_n(n))
}

/// Neighbouring bins with one table.
struct Cluster {
    /// Of tokens up to the last that occurs anywhere.
    histogram: Vec<u32>,
    last_bin: usize,
    cost: f64,
}

/// Merges neighbours, those that save most first, until none saves anything.
fn cluster(counts: &Counts) -> Vec<Cluster> {
    // Tokens from here on occur nowhere.
    let end = counts.bins().filter_map(|histogram| histogram.iter().rposition(|&n| n > 0)).max().map_or(0, |last| last + 1);
    let merged = |a: &Cluster, b: &Cluster| {
        let histogram: Vec<u32> = a.histogram.iter().zip(&b.histogram).map(|(a, b)| a + b).collect();
        Cluster { cost: cost(&histogram), histogram, last_bin: b.last_bin }
    };
    let used = counts.bins().enumerate().filter(|(_, histogram)| histogram.iter().any(|&n| n > 0));
    let mut clusters: Vec<Cluster> =
        used.map(|(bin, h)| Cluster { histogram: h[..end].to_vec(), last_bin: bin, cost: cost(&h[..end]) }).collect();
    let joint_cost = |a: &Cluster, b: &Cluster| {
        let joint = || a.histogram.iter().zip(&b.histogram).map(|(a, b)| a + b).filter(|&n| n > 0);
        joint().fold(n_log_n(joint().sum()) + TABLE_COST, |cost, n| cost + TOKEN_COST - n_log_n(n))
    };
    let saves = |a: &Cluster, b: &Cluster| a.cost + b.cost - joint_cost(a, b);
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

/// Tokens counted for the tables they are to have: for every kind of pairs of signs, of all words or of one
/// component after the other, runs of bins.
pub(super) struct Clusters(Vec<Vec<Cluster>>);

impl Clusters {
    /// Of tokens counted in each bin, for every kind.
    pub(super) fn new(counts: &[Counts]) -> Clusters {
        Clusters(counts.iter().map(cluster).collect())
    }

    /// Of tokens counted for so many kinds of one component after the other: of all together or of each by
    /// itself, whatever costs less.
    pub(super) fn cheaper(counts: &[Counts], kinds: usize) -> Clusters {
        let apart = Clusters::new(counts);
        if !apart.are_apart(kinds) {
            return apart;
        }
        let mut components = counts.chunks(kinds);
        let mut together = components.next().unwrap_or_default().to_vec();
        for component in components {
            together.iter_mut().zip(component).for_each(|(sum, counts)| sum.add(counts, |token| token));
        }
        let together = Clusters::new(&together);
        if apart.cost() < together.cost() { apart } else { together }
    }

    /// Whether there are more than those of so many kinds: of each component its own.
    pub(super) fn are_apart(&self, kinds: usize) -> bool {
        self.0.len() > kinds
    }

    /// What writing all tokens costs in bits, with the tables.
    pub(super) fn cost(&self) -> f64 {
        self.0.iter().flatten().map(|cluster| cluster.cost).sum()
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
fn normalise(histogram: &[u32]) -> Frequencies {
    let total: u64 = histogram.iter().map(|&n| u64::from(n)).sum();
    let mut frequencies = [0; TOKENS];
    for (frequency, &n) in frequencies.iter_mut().zip(histogram).filter(|(_, n)| **n > 0) {
        *frequency = ((u64::from(n) * u64::from(SCALE) + total / 2) / total).max(1) as u16;
    }
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

/// Models that tables are written with, and what one is expected to be like.
struct Coding {
    models: [[Bit; 16]; 16],
    /// Bit lengths in the table before, and in the first one of the kind before.
    lengths: [u8; TOKENS],
    first_lengths: [u8; TOKENS],
}

impl Coding {
    fn new() -> Coding {
        Coding { models: [[Bit::default(); 16]; 16], lengths: [0; TOKENS], first_lengths: [0; TOKENS] }
    }

    fn start_kind(&mut self) {
        self.lengths = self.first_lengths;
    }

    fn table(&mut self, coder: &mut impl Binary, given: &Frequencies, is_first: bool) -> Frequencies {
        let frequencies = code(coder, given, &mut self.models, &mut self.lengths);
        if is_first {
            self.first_lengths = self.lengths;
        }
        frequencies
    }
}

impl Tables {
    /// Chooses frequencies for all clusters, and writes them.
    pub(super) fn write(clusters: &Clusters, writer: &mut Writer) -> Tables {
        let mut coding = Coding::new();
        let mut tables = Tables { tables: Vec::new(), of_bin: Vec::new() };
        for clusters in &clusters.0 {
            writer.raw(clusters.len() as u64, 8);
            coding.start_kind();
            let (mut of_bin, mut first_bin) = ([0; BINS], 0);
            for (i, cluster) in clusters.iter().enumerate() {
                writer.raw(cluster.last_bin as u64, 8);
                of_bin[first_bin..=cluster.last_bin].fill(tables.tables.len() as u16);
                tables.tables.push(coding.table(writer, &normalise(&cluster.histogram), i == 0));
                first_bin = cluster.last_bin + 1;
            }
            tables.of_bin.push(of_bin);
        }
        tables
    }

    /// What tokens take that were counted in each bin of one component after the other, where signs do not
    /// count.
    pub(super) fn bits(&self, counts: &[Counts]) -> f64 {
        let bits = |&(&n, &f): &(&u32, &u16)| f64::from(n) * (f64::from(SCALE_BITS) - log2(f64::from(f.max(1))));
        let of_bin = |(histogram, &table): (&[u32], &u16)| -> f64 {
            let Some(frequencies) = self.tables.get(usize::from(table)) else { return 0.0 };
            histogram.iter().zip(frequencies).filter(|(n, _)| **n > 0).map(|pair| bits(&pair)).sum()
        };
        let components = counts.iter().zip(self.of_bin.iter().cycle());
        components.flat_map(|(counts, tables)| counts.bins().zip(tables)).map(of_bin).sum()
    }

    /// Reads what [`Tables::write`] wrote for so many kinds of pairs. Bins behind the last belong to the
    /// first table of all.
    pub(super) fn read(reader: &mut Reader<'_>, kinds: usize) -> Result<Tables> {
        let mut coding = Coding::new();
        let mut tables = Tables { tables: Vec::new(), of_bin: Vec::new() };
        for _ in 0..kinds {
            let count = reader.raw(0, 8) as usize;
            coding.start_kind();
            let (mut of_bin, mut first_bin) = ([0; BINS], 0);
            for i in 0..count {
                let last_bin = reader.raw(0, 8) as usize;
                if last_bin < first_bin || last_bin >= BINS {
                    return Err(corrupt("tables out of order"));
                }
                of_bin[first_bin..=last_bin].fill(tables.tables.len() as u16);
                tables.tables.push(coding.table(reader, &[0; TOKENS], i == 0));
                first_bin = last_bin + 1;
            }
            tables.of_bin.push(of_bin);
        }
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_back_and_fit_what_was_counted() {
        let mut counts = Counts::new(vec![0; 40 * 64], 64);
        for (bin, histogram) in counts.n.chunks_mut(64).enumerate().step_by(3) {
            for (t, count) in histogram.iter_mut().enumerate().take(5 + bin) {
                *count = 10_000 / (t as u32 + 1).pow(2);
            }
        }
        let kinds = vec![counts.clone(), Counts::new(vec![0; 64], 64), counts];
        let mut writer = Writer::default();
        let written = Tables::write(&Clusters::new(&kinds), &mut writer);
        let bytes = writer.finish();
        let read = Tables::read(&mut Reader::new(&bytes), kinds.len()).expect("what was written");
        assert_eq!((&read.tables, &read.of_bin), (&written.tables, &written.of_bin));
        for (histogram, &table) in kinds.iter().zip(&read.of_bin).flat_map(|(counts, tables)| counts.bins().zip(tables)) {
            let frequencies = &read.tables[usize::from(table)];
            assert_eq!(frequencies.iter().map(|&f| u32::from(f)).sum::<u32>(), SCALE);
            assert!(histogram.iter().zip(frequencies).all(|(&n, &f)| n == 0 || f > 0));
        }
    }

    #[test]
    fn components_that_differ_are_told_apart() {
        let of = |token: usize| {
            let mut counts = Counts::new(vec![0; 4 * 8], 8);
            (counts.n[3 * 8 + token], counts.n[3 * 8]) = (1000, 100);
            counts
        };
        let are_apart = |counts: &[Counts], kinds| Clusters::cheaper(counts, kinds).are_apart(kinds);
        assert!(are_apart(&[of(1), of(2), of(2)], 1));
        assert!(!are_apart(&[of(1), of(1)], 1));
        assert!(are_apart(&[of(1), of(1), of(1), of(2)], 2), "of the second kind");
        assert!(!are_apart(&[of(1), of(2)], 2), "kinds of one component");
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
