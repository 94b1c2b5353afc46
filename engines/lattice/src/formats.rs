//! Checkpoints served in another weight format than their own: f16, int8 (one scale a row) and Q8_0. The engine offers
//! final hidden states for f16 and greedy or sampled text for all three; no logits.

use std::path::Path;

use lattice_inference::forward::cpu_f16::generate_f16;
use lattice_inference::forward::cpu_q8::{generate_q8, quantize_from_model};
use lattice_inference::forward::neon_forward::{Q8NeonModel, generate_q8_neon, quantize_model};
use lattice_inference::model::Qwen35Model;
use lattice_inference::rope::RopeTable;
use lattice_inference::weights::f16_weights::{F16ModelWeights, load_f16_weights};
use lattice_inference::weights::f32_weights::SafetensorsFile;
use lattice_inference::weights::q8_weights::Q8ModelWeights;

use crate::fault::Fault;
use crate::frame::Answer;
use crate::request::{self, Fields};
use crate::versions::{GenerateConfig, GenerateOutput, Outcome};
use crate::{f16_hidden, text};

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
            Some("int8") => Weights::Int8(quantize_from_model(model).outcome()?),
            Some("q8_0") => Weights::Q80(quantize_model(model.weights(), config).outcome()?),
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

    /// The engine takes its prompt as text here.
    pub fn generate(
        &self,
        model: &Qwen35Model,
        prompt: &text::Prompt,
        config: &GenerateConfig,
    ) -> Result<Answer, Fault> {
        let mut answer = text::answer(model, prompt, config, |prompt, config| self.run(model, prompt, config))?;
        answer.head["format"] = self.format().into();
        Ok(answer)
    }

    fn run(&self, model: &Qwen35Model, prompt: &str, config: &GenerateConfig) -> Result<GenerateOutput, Fault> {
        let (cfg, tokenizer, rope) = (model.config(), model.tokenizer(), &self.rope);
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
        let mut answer = f16_hidden::answer(weights, model.config(), &request::ids(fields, "ids")?)?;
        answer.head["format"] = self.format().into();
        Ok(answer)
    }
}
