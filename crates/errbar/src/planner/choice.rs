//! Why a pipeline was chosen.

use std::fmt;

use errbar_codec::{Registry, pipeline};
use errbar_format::record::PipelineRecord;

/// What a pipeline was chosen over.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The best candidate of other stages; that stages were better with these parameters than with
    /// those tells nobody anything.
    pub runner_up: PipelineRecord,
    /// The share of its bytes that the chosen one saves, estimated from the same samples.
    pub saved: f64,
}

impl Choice {
    /// `order` has the candidates as they were ranked, `chosen` first among those that served, and
    /// `looks` what each was estimated at, sample by sample: fewer samples for those that fell behind.
    pub(super) fn new(candidates: &[&PipelineRecord], order: &[usize], looks: &[Vec<f64>], chosen: usize) -> Option<Choice> {
        let behind = order.iter().skip_while(|&&i| i != chosen).copied();
        let differs = |&i: &usize| names(candidates[i]).ne(names(candidates[chosen]));
        let served = |&i: &usize| looks[i].first().is_some_and(|&bytes| bytes > 0.0 && bytes < f64::MAX);
        let runner_up = behind.filter(served).find(differs)?;
        let common = looks[chosen].len().min(looks[runner_up].len());
        let bytes = |i: usize| looks[i][..common].iter().sum::<f64>();
        let saved = 1.0 - bytes(chosen) / bytes(runner_up);
        let mut runner_up = candidates[runner_up].clone();
        // What a plan wants of a quantizer are not the parameters that it would have chosen.
        runner_up.quantizer.params.clear();
        saved.is_finite().then_some(Choice { runner_up, saved })
    }
}

/// A [`Choice`] in words: `chose interp crans over uniform linear crans: 4.1 % smaller on the sample`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// The stages of a block, as [`pipeline::describe`] gives them.
    pub chosen: String,
    /// The runner-up's, as far as a plan knows them.
    pub over: String,
    /// The share of the runner-up's bytes that is saved, from 0 to 1, estimated from samples.
    pub saved: f64,
}

impl Reason {
    /// Why the stages in `chosen` are not others.
    pub fn new(registry: &Registry, chosen: &str, choice: &Choice) -> Reason {
        Reason { chosen: chosen.to_owned(), over: pipeline::describe(registry, &choice.runner_up), saved: choice.saved }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason { chosen, over, saved } = self;
        write!(f, "chose {chosen} over {over}: ")?;
        match saved * 100.0 {
            percent if percent < 0.05 => write!(f, "as small on the sample"),
            percent => write!(f, "{percent:.1} % smaller on the sample"),
        }
    }
}

fn names(pipeline: &PipelineRecord) -> impl Iterator<Item = &str> {
    let stages = std::iter::once(&pipeline.quantizer).chain(&pipeline.transforms).chain([&pipeline.coder]);
    stages.map(|stage| stage.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::pipeline::stage;

    #[test]
    fn the_runner_up_is_of_other_stages_and_judged_on_the_same_samples() {
        let plan = |quantizer: &str, params: &[u8]| PipelineRecord {
            quantizer: stage(quantizer, params.to_vec()),
            transforms: Vec::new(),
            coder: stage("crans", Vec::new()),
        };
        let candidates = [plan("lattice", &[]), plan("interp", &[1]), plan("interp", &[2]), plan("uniform", &[]), plan("log", &[])];
        let looks = [vec![1.0], vec![90.0, 110.0], vec![95.0, 100.0], vec![120.0], vec![f64::MAX]];
        let choice = |order: &[usize], chosen| Choice::new(&candidates.each_ref(), order, &looks, chosen);
        let found = choice(&[0, 2, 1, 3, 4], 2).expect("there is another");
        assert_eq!((&found.runner_up, found.saved), (&candidates[3], 1.0 - 95.0 / 120.0));
        assert_eq!(choice(&[2, 1, 4], 2), None, "the same stages, and stages that do not serve");
        assert_eq!(choice(&[3], 3), None);
        let reason = Reason::new(&Registry::core(), "lattice crans", &found);
        assert_eq!(reason.to_string(), "chose lattice crans over uniform crans: 20.8 % smaller on the sample");
        assert!(Reason { saved: 1e-9, ..reason }.to_string().ends_with(": as small on the sample"));
    }
}
