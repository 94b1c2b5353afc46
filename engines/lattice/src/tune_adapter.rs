//! Adapters (LoRA) of versions before `lattice-lora`: read and applied by their training crate, `lattice-tune`.
//!
//! Its own hook over these two turns on the default features of `lattice-inference`, a web server among them. What is
//! repeated here of it is the look-up of a projection and of its shape, nothing that computes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(has_projection_shape)]
use lattice_inference::lora_hook::qwen35_projection_shape;
use lattice_inference::lora_hook::{LoraHook, NoopLoraHook};
use lattice_inference::model::Qwen35Model;
#[cfg(has_projection_shape)]
use lattice_inference::model::qwen35_config::Qwen35Config;
use lattice_tune::lora::LoraAdapter;

use crate::fault::Fault;
use crate::versions::Outcome;

/// The adapter of one model, and how often it changed a row.
#[derive(Clone)]
pub struct Adapter {
    adapter: Arc<LoraAdapter>,
    applied: Arc<AtomicUsize>,
}

impl Adapter {
    pub fn read(folder: &Path) -> Result<Self, Fault> {
        let adapter = LoraAdapter::from_safetensors(&folder.join("adapter_model.safetensors"));
        let adapter = adapter.map_err(|error| Fault::refused(error.to_string(), "TuneError"))?;
        Ok(Self { adapter: Arc::new(adapter), applied: Arc::default() })
    }

    /// Makes the model use the adapter; newer versions check its shapes then.
    pub fn install(&self, model: &mut Qwen35Model) -> Result<(), Fault> {
        model.set_lora(Box::new(self.clone())).outcome()
    }

    pub fn remove(model: &mut Qwen35Model) -> Result<(), Fault> {
        model.set_lora(Box::new(NoopLoraHook)).outcome()
    }

    /// Rows changed since the last call.
    pub fn take_applied(&self) -> usize {
        self.applied.swap(0, Ordering::Relaxed)
    }
}

impl LoraHook for Adapter {
    fn apply(&self, layer: usize, module: &str, x: &[f32], output: &mut [f32]) {
        if self.adapter.has_adapter(layer, module) {
            self.adapter.apply(layer, module, x, output);
            self.applied.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(has_projection_shape)]
    fn validate_against(&self, config: &Qwen35Config) -> Result<(), String> {
        for ((layer, module), factors) in self.adapter.layers() {
            let shape = qwen35_projection_shape(config, *layer, module)?;
            if (factors.d_in, factors.d_out) != (shape.d_in, shape.d_out) {
                return Err(format!("layer {layer}, {module}: the adapter has another shape than the model"));
            }
        }
        Ok(())
    }

    #[cfg(has_hook_checks)]
    fn is_active(&self, layer: usize, module: &str) -> bool {
        self.adapter.has_adapter(layer, module)
    }
}
