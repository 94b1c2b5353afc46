//! Adapters (LoRA): a folder in PEFT's format, read by the engine's codec and applied by its formula through its hook.
//!
//! The engine's own hook over these two is in its training crate, `lattice-tune`, which turns on every family of
//! `lattice-inference`. What is repeated here of it is the look-up of a projection, nothing that computes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lattice_inference::lora_hook::{LoraHook, LoraTargetGeometry, NoopLoraHook};
use lattice_inference::model::Qwen35Model;
use lattice_lora::codec::{self, DecodedAdapter};
use lattice_lora::{LoraError, LoraLayer, apply_lora, effective_scale};

use crate::fault::Fault;

/// The adapter of one model, and how often it changed a row.
#[derive(Clone)]
pub struct Adapter {
    decoded: Arc<DecodedAdapter>,
    applied: Arc<AtomicUsize>,
}

impl Adapter {
    pub fn read(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join("adapter_model.safetensors");
        let bytes = codec::read_adapter_file_bounded(&file, codec::MAX_ADAPTER_FILE_BYTES).map_err(refusal)?;
        let mut decoded = codec::decode_peft_safetensors(&bytes).map_err(refusal)?;
        let Some(sidecar) = codec::read_peft_sidecar(&file).map_err(refusal)? else {
            return Err(Fault::refused("the folder has no adapter_config.json", "LoraError"));
        };
        codec::apply_peft_sidecar(&mut decoded, &sidecar).map_err(refusal)?;
        Ok(Self { decoded: Arc::new(decoded), applied: Arc::default() })
    }

    /// Makes the model use the adapter, after the model has checked its shapes.
    pub fn install(&self, model: &mut Qwen35Model) -> Result<(), Fault> {
        Ok(model.set_lora(Box::new(self.clone()))?)
    }

    pub fn remove(model: &mut Qwen35Model) -> Result<(), Fault> {
        Ok(model.set_lora(Box::new(NoopLoraHook))?)
    }

    /// Rows changed since the last call.
    pub fn take_applied(&self) -> usize {
        self.applied.swap(0, Ordering::Relaxed)
    }

    fn layer(&self, layer: usize, module: &str) -> Option<&LoraLayer> {
        let found = self.decoded.layers.iter().find(|((index, name), _)| *index == layer && name == module);
        found.map(|(_, factors)| factors)
    }
}

impl LoraHook for Adapter {
    fn apply(&self, layer: usize, module: &str, x: &[f32], output: &mut [f32]) {
        if let Some(factors) = self.layer(layer, module) {
            apply_lora(factors, effective_scale(self.decoded.rank, self.decoded.alpha), x, output);
            self.applied.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn validate_geometry(&self, geometry: &dyn LoraTargetGeometry) -> Result<(), String> {
        for ((layer, module), factors) in &self.decoded.layers {
            let shape = geometry.projection_shape(*layer, module)?;
            if (factors.d_in, factors.d_out) != (shape.d_in, shape.d_out) {
                return Err(format!("layer {layer}, {module}: the adapter has another shape than the model"));
            }
        }
        Ok(())
    }

    fn is_active(&self, layer: usize, module: &str) -> bool {
        self.layer(layer, module).is_some()
    }
}

fn refusal(error: LoraError) -> Fault {
    Fault::refused(error.message(), "LoraError")
}
