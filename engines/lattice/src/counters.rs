//! Counters that prove which code ran.

use serde_json::{Value, json};

/// Tokens by the code path that evaluated them.
#[derive(Default)]
pub struct Counters {
    pub prompt: usize,
    pub readout: usize,
    pub prefill: usize,
    pub step: usize,
    pub generated: usize,
}

impl Counters {
    pub fn to_json(&self) -> Value {
        json!({"prompt": self.prompt, "readout": self.readout, "prefill": self.prefill, "step": self.step,
               "generated": self.generated})
    }
}
