//! Versions that show no hidden states of f16 weights.

use lattice_inference::model::qwen35_config::Qwen35Config;
use lattice_inference::weights::f16_weights::F16ModelWeights;

use crate::fault::Fault;
use crate::frame::Answer;

pub fn answer(_: &F16ModelWeights, _: &Qwen35Config, _: &[u32]) -> Result<Answer, Fault> {
    Err(Fault::unsupported("hidden states of f16 weights: this version shows none"))
}
