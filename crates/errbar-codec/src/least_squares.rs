//! Least-squares fits to samples, for writers; the same on every machine.

/// Samples of what is predicted and of what predicts it, by column.
pub(crate) struct Samples {
    /// What is to be predicted.
    pub(crate) target: Vec<f64>,
    /// What each tap multiplies, as long as `target`.
    pub(crate) columns: Vec<Vec<f64>>,
}

/// log2 of a normal number, to 0.01.
#[inline(always)]
fn rough_log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52) - 1.0;
    f64::from(exponent) + m * (1.344 - 0.344 * m)
}

/// log2 of a positive normal number, to 1e-8, by the series of the inverse hyperbolic tangent: a
/// library's logarithm may differ between machines in its last bits.
pub fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let z = (m - 1.0) / (m + 1.0);
    let square = z * z;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    f64::from(exponent) + 2.0 * std::f64::consts::LOG2_E * z * series
}

/// What coding residuals costs at the least, in bits, up to a constant.
#[inline(always)]
pub(crate) fn bits(residuals: &[f64], limit: f64) -> f64 {
    let scale = 1.0 / limit;
    let mut lanes = [0.0; 4];
    for run in residuals.chunks(4) {
        for (lane, r) in lanes.iter_mut().zip(run) {
            *lane += rough_log2(1.0 + r.abs() * scale);
        }
    }
    lanes.iter().sum()
}

/// Samples that are multiplied at a time.
const PIECE: usize = 512;

impl Samples {
    /// None yet, with room for about so many of so many columns.
    pub(crate) fn with_capacity(n: usize, n_columns: usize) -> Samples {
        let room = || Vec::with_capacity(n);
        Samples { target: room(), columns: (0..n_columns).map(|_| room()).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.target.len()
    }

    /// What is left of the target with these taps.
    #[inline(always)]
    pub(crate) fn residuals(&self, taps: &[f64]) -> Vec<f64> {
        let mut left = self.target.clone();
        for (column, &tap) in self.columns.iter().zip(taps).filter(|(_, tap)| **tap != 0.0) {
            left.iter_mut().zip(column).for_each(|(left, x)| *left -= tap * x);
        }
        left
    }

    /// The normal equations of weighted least squares: a symmetric matrix, row by row, and the
    /// right side.
    #[inline(always)]
    pub(crate) fn normal_equations(&self, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let k = self.columns.len();
        let (mut a, mut b) = (vec![0.0; k * k], vec![0.0; k]);
        // What is multiplied with every column stays in the nearest cache.
        for first in (0..self.len()).step_by(PIECE) {
            let piece = first..self.len().min(first + PIECE);
            let mut weighted = [0.0; PIECE];
            let weighted = &mut weighted[..piece.len()];
            let column = |j: usize| &self.columns[j.min(k - 1)][piece.clone()];
            // The target is a last row, which is multiplied with every column.
            for i in 0..=k {
                let (row, sums) = if i < k { (column(i), &mut a[i * k..][..i + 1]) } else { (&self.target[piece.clone()], &mut b[..]) };
                for ((to, x), w) in weighted.iter_mut().zip(row).zip(&weights[piece.clone()]) {
                    *to = x * w;
                }
                // As many columns at a time as hide the time that an addition takes.
                for (j, sums) in sums.chunks_mut(4).enumerate() {
                    let j = 4 * j;
                    let dots = dots(weighted, [column(j), column(j + 1), column(j + 2), column(j + 3)]);
                    sums.iter_mut().zip(dots).for_each(|(sum, dot)| *sum += dot);
                }
            }
        }
        for i in 0..k {
            for j in 0..i {
                a[j * k + i] = a[i * k + j];
            }
        }
        (a, b)
    }

    /// What the columns are to be multiplied with. `noise` is added to the diagonal, per unit of
    /// weight. Nothing if the system is not positive definite.
    #[inline(always)]
    pub(crate) fn solve(&self, weights: &[f64], noise: &[f64]) -> Option<Vec<f64>> {
        let (mut a, b) = self.normal_equations(weights);
        let total: f64 = weights.iter().sum();
        let k = b.len();
        for (i, noise) in noise.iter().enumerate() {
            a[i * k + i] += total * noise;
        }
        cholesky(a, b)
    }

    /// As [`Samples::solve`], none of the answers below zero: what comes out most negative is left
    /// out, until nothing does.
    #[inline(always)]
    pub(crate) fn solve_positive(&self, weights: &[f64]) -> Option<Vec<f64>> {
        let (a, b) = self.normal_equations(weights);
        let k = b.len();
        let mut kept: Vec<usize> = (0..k).filter(|&i| a[i * k + i] > 0.0).collect();
        loop {
            let square = kept.iter().flat_map(|&i| {
                let row = &a[i * k..][..k];
                kept.iter().map(move |&j| if i == j { row[j] * 1.001 } else { row[j] })
            });
            let solution = cholesky(square.collect(), kept.iter().map(|&i| b[i]).collect())?;
            match (0..kept.len()).min_by(|&x, &y| solution[x].total_cmp(&solution[y])) {
                Some(worst) if solution[worst] < 0.0 => drop(kept.remove(worst)),
                _ => {
                    let mut all = vec![0.0; k];
                    kept.iter().zip(solution).for_each(|(&i, x)| all[i] = x);
                    return Some(all);
                }
            }
        }
    }
}

/// The products of a list with four others.
#[inline(always)]
fn dots(a: &[f64], others: [&[f64]; 4]) -> [f64; 4] {
    const LANES: usize = 8;
    let mut sums = [[0.0; LANES]; 4];
    let (runs, rest) = a.as_chunks::<LANES>();
    let [b, c, d, e] = others.map(|other| other.as_chunks::<LANES>());
    for ((((x, b), c), d), e) in runs.iter().zip(b.0).zip(c.0).zip(d.0).zip(e.0) {
        for i in 0..LANES {
            sums[0][i] += x[i] * b[i];
            sums[1][i] += x[i] * c[i];
            sums[2][i] += x[i] * d[i];
            sums[3][i] += x[i] * e[i];
        }
    }
    let tail = |other: &[f64]| rest.iter().zip(other).map(|(x, y)| x * y).sum::<f64>();
    let tails = [tail(b.1), tail(c.1), tail(d.1), tail(e.1)];
    std::array::from_fn(|k| sums[k].iter().sum::<f64>() + tails[k])
}

/// Solves a symmetric system with a small ridge; nothing if it is not positive definite.
fn cholesky(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    let trace: f64 = (0..n).map(|i| a[i * n + i]).sum();
    if !(trace > 0.0 && trace.is_finite()) {
        return None;
    }
    for i in 0..n {
        a[i * n + i] += 1e-7 * trace / n as f64;
    }
    for j in 0..n {
        let square = a[j * n + j] - (0..j).map(|k| a[j * n + k] * a[j * n + k]).sum::<f64>();
        if square <= 0.0 || square.is_nan() {
            return None;
        }
        let root = square.sqrt();
        a[j * n + j] = root;
        for i in j + 1..n {
            let rest = a[i * n + j] - (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum::<f64>();
            a[i * n + j] = rest / root;
        }
    }
    for i in 0..n {
        b[i] = (b[i] - (0..i).map(|k| a[i * n + k] * b[k]).sum::<f64>()) / a[i * n + i];
    }
    for i in (0..n).rev() {
        b[i] = (b[i] - (i + 1..n).map(|k| a[k * n + i] * b[k]).sum::<f64>()) / a[i * n + i];
    }
    b.iter().all(|x| x.is_finite()).then_some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_taps_are_found() {
        let mut noise = crate::conformance::SplitMix64(5).map(|r| (r >> 40) as f64 / 1e6);
        let columns: Vec<Vec<f64>> = (0..3).map(|_| noise.by_ref().take(100).collect()).collect();
        let target = (0..100).map(|i| 0.5 * columns[0][i] - 1.25 * columns[1][i] + columns[2][i]).collect();
        let solution = Samples { target, columns }.solve(&[1.0; 100], &[]).expect("a regular system");
        assert!(solution.iter().zip([0.5, -1.25, 1.0]).all(|(x, y)| (x - y).abs() < 1e-4));
    }

    #[test]
    fn degenerate_samples_have_no_taps() {
        let zeros = Samples { target: vec![1.0; 4], columns: vec![vec![0.0; 4]] };
        let one = Samples { target: vec![-1.0, -2.0, 3.0], columns: vec![vec![1.0, 2.0, 0.0], vec![0.0, 0.0, 1.0]] };
        assert!(one.solve_positive(&[1.0; 3]).is_some_and(|x| x[0] == 0.0 && (x[1] - 3.0).abs() < 0.01));
        assert!(zeros.solve(&[1.0; 4], &[]).is_none());
        assert!((rough_log2(1.5) - 0.585).abs() < 0.01 && (rough_log2(1024.0) - 10.0).abs() < 0.01);
    }
}
