//! Versions that show logits of the last position only.

use lattice_inference::model::Qwen35Model;

use crate::counters::Counters;
use crate::fault::Fault;

pub fn all_positions(_: &Qwen35Model, _: &[u32], _: &mut Counters) -> Result<Vec<f32>, Fault> {
    Err(Fault::unsupported("path \"readout\": this version shows logits of the last position only"))
}
