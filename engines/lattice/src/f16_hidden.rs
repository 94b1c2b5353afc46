//! Final hidden states of a model with f16 weights.

use lattice_inference::forward::cpu_f16::prefill_hidden_states_f16;
use lattice_inference::model::qwen35_config::Qwen35Config;
use lattice_inference::vision::multimodal::Qwen35VisionRequest;
use lattice_inference::weights::f16_weights::F16ModelWeights;
use serde_json::json;

use crate::fault::Fault;
use crate::frame::{Answer, Tensor};

pub fn answer(weights: &F16ModelWeights, config: &Qwen35Config, ids: &[u32]) -> Result<Answer, Fault> {
    let config = text_only_config(config)?;
    let hidden = config.hidden_size;
    let request = Qwen35VisionRequest {
        input_ids: ids.to_vec(),
        image_grids: Vec::new(),
        post_merger_rows: Vec::new(),
        image_token_id: u32::MAX,
        spatial_merge_size: 1,
        decoder_hidden_size: hidden,
    };
    let values = prefill_hidden_states_f16(weights, &config, &request)?;
    let tensor = Tensor { name: "hidden".into(), shape: vec![ids.len(), hidden], values };
    Ok(Answer { head: json!({}), tensors: vec![tensor] })
}

/// The hidden states come through the engine's entry for pictures, which wants sections of M-RoPE even for plain text,
/// builds tables from them and does not use these without a picture.
fn text_only_config(config: &Qwen35Config) -> Result<Qwen35Config, Fault> {
    let mut config = config.clone();
    let rotary = config.rope_dim();
    let head_dim = config.head_dim;
    let Some(rope) = config.rope_parameters.as_mut() else {
        return Err(Fault::unsupported("hidden states of f16 weights without rope_parameters"));
    };
    let exact = head_dim as f64 * f64::from(rope.partial_rotary_factor.unwrap_or_default());
    if exact != rotary as f64 {
        return Err(Fault::unsupported(
            "hidden states of f16 weights need head_dim * partial_rotary_factor to be an integer in float32",
        ));
    }
    // As released models have it: the axes take the frequencies in turn. Some versions accept nothing else.
    rope.mrope_section = Some((0..3).map(|axis| (rotary / 2 + 2 - axis) / 3).collect());
    Ok(config)
}
