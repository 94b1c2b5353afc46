//! What has another type or place in some versions of lattice, so that the rest of the shim is written once.

use lattice_inference::InferenceError;
use lattice_inference::forward::neon_forward::Q8NeonModel;
use lattice_inference::weights::q8_weights::Q8ModelWeights;

use crate::fault::Fault;

#[cfg(not(has_generation))]
pub use lattice_inference::model::qwen35_config::{GenerateConfig, GenerateOutput};
#[cfg(has_generation)]
pub use lattice_inference::{GenerateConfig, GenerateOutput};

/// The result of a function that could not fail in older versions, other than by a panic.
pub trait Outcome<T> {
    fn outcome(self) -> Result<T, Fault>;
}

impl<T> Outcome<T> for Result<T, InferenceError> {
    fn outcome(self) -> Result<T, Fault> {
        Ok(self?)
    }
}

macro_rules! infallible {
    ($($type:ty),*) => {
        $(impl Outcome<$type> for $type {
            fn outcome(self) -> Result<$type, Fault> {
                Ok(self)
            }
        })*
    };
}
// set_lora; forward_prompt_debug; quantize_from_model; quantize_model.
infallible!((), Vec<f32>, Q8ModelWeights, Q8NeonModel);

/// Sets min-p in a configuration of sampling; where there is none it must be off.
#[cfg(has_min_p)]
macro_rules! set_min_p {
    ($config:expr, $value:expr) => {
        $config.min_p = $value
    };
}
#[cfg(not(has_min_p))]
macro_rules! set_min_p {
    ($config:expr, $value:expr) => {
        if $value != 0.0 {
            return Err(Fault::unsupported("\"min_p\" other than 0"));
        }
    };
}
pub(crate) use set_min_p;
