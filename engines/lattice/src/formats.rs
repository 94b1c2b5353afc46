//! Checkpoints served in another weight format than their own: f16, int8 (one scale a row) and Q8_0. The engine offers
//! final hidden states for f16 and greedy or sampled text for all three; no logits.

use std::path::Path;

use lattice_inference::forward::cpu_f16::{generate_f16, prefill_hidden_states_f16};
use lattice_inference::forward::cpu_q8::{generate_q8, quantize_from_model};
use lattice_inference::forward::neon_forward::{Q8NeonModel, generate_q8_neon, quantize_model};
use lattice_inference::model::Qwen35Model;
use lattice_inference::model::qwen35_config::Qwen35Config;
use lattice_inference::rope::RopeTable;
use lattice_inference::tokenizer::Tokenizer;
use lattice_inference::vision::multimodal::Qwen35VisionRequest;
use lattice_inference::weights::f16_weights::{F16ModelWeights, load_f16_weights};
use lattice_inference::weights::f32_weights::SafetensorsFile;
use lattice_inference::weights::q8_weights::Q8ModelWeights;
use lattice_inference::{GenerateConfig, GenerateOutput};
use serde_json::json;

use crate::fault::Fault;
use crate::frame::{Answer, Tensor};
use crate::request::{self, Fields};

enum Weights {
    F16(F16ModelWeights),
    Int8(Q8ModelWeights),
    Q80(Q8NeonModel),
}

/// Weights of another format beside the f32 model that they belong to; configuration and tokenizer are that model's.
pub struct Served {
    weights: Weights,
    rope: RopeTable,
}

impl Served {
    /// `format` is the load option; None for the checkpoint's own.
    pub fn load(model: &Qwen35Model, path: &Path, format: Option<&str>) -> Result<Option<Self>, Fault> {
        let config = model.config();
        let weights = match format {
            None | Some("f32") => return Ok(None),
            Some("f16") => {
                let file = SafetensorsFile::open(&path.join("model.safetensors"))?;
                Weights::F16(load_f16_weights(&file, config)?)
            }
            Some("int8") => Weights::Int8(quantize_from_model(model)?),
            Some("q8_0") => Weights::Q80(quantize_model(model.weights(), config)?),
            Some(other) => return Err(Fault::unsupported(format!("option \"format\": \"{other}\""))),
        };
        let rope = RopeTable::new(config.rope_dim(), model.max_context(), config.rope_theta);
        Ok(Some(Self { weights, rope }))
    }

    pub fn format(&self) -> &'static str {
        match self.weights {
            Weights::F16(_) => "f16",
            Weights::Int8(_) => "int8",
            Weights::Q80(_) => "q8_0",
        }
    }

    /// The engine takes its prompt as text here, so the ids must survive the way through the tokenizer.
    pub fn generate(&self, model: &Qwen35Model, ids: &[u32], config: &GenerateConfig) -> Result<GenerateOutput, Fault> {
        let tokenizer = model.tokenizer();
        let text = tokenizer.decode(ids).unwrap_or_default();
        let tokens = tokenizer.tokenize(&text);
        if tokens.input_ids.get(..tokens.real_length) != Some(ids) {
            return Err(Fault::unsupported("these ids are no text, and this weight format takes its prompt as text"));
        }
        let arguments = (model.config(), tokenizer, &self.rope, text.as_str());
        let (cfg, tokenizer, rope, prompt) = arguments;
        Ok(match &self.weights {
            Weights::F16(weights) => generate_f16(weights, cfg, tokenizer, rope, prompt, config),
            Weights::Int8(weights) => generate_q8(weights, cfg, tokenizer, rope, prompt, config),
            Weights::Q80(weights) => generate_q8_neon(weights, cfg, tokenizer, rope, prompt, config),
        }?)
    }

    /// Final hidden states of all positions.
    pub fn hidden(&self, model: &Qwen35Model, fields: &Fields) -> Result<Answer, Fault> {
        let Weights::F16(weights) = &self.weights else {
            return Err(Fault::unsupported(format!("hidden states of {} weights", self.format())));
        };
        let config = text_only_config(model.config())?;
        let ids = request::ids(fields, "ids")?;
        let hidden = config.hidden_size;
        let request = Qwen35VisionRequest {
            input_ids: ids.clone(),
            image_grids: Vec::new(),
            post_merger_rows: Vec::new(),
            image_token_id: u32::MAX,
            spatial_merge_size: 1,
            decoder_hidden_size: hidden,
        };
        let values = prefill_hidden_states_f16(weights, &config, &request)?;
        let tensor = Tensor { name: "hidden".into(), shape: vec![ids.len(), hidden], values };
        Ok(Answer { head: json!({"format": self.format()}), tensors: vec![tensor] })
    }
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
    rope.mrope_section = Some(vec![rotary / 2, 0, 0]);
    Ok(config)
}
