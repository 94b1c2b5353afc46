//! `nll`, `hidden` and `taps`: what the model computes besides logits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lattice_inference::lora_hook::{LoraHook, NoopLoraHook};
use lattice_inference::model::Qwen35Model;
use serde_json::json;

use crate::engine::Loaded;
use crate::fault::{Fault, guard};
use crate::frame::{Answer, Tensor};
use crate::request::{self, Fields};
use crate::versions::Outcome;

pub fn nll(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    let values = loaded.model()?.compute_token_nlls(&request::ids(fields, "ids")?)?;
    let tensor = Tensor { name: "nll".into(), shape: vec![values.len()], values };
    Ok(Answer { head: json!({}), tensors: vec![tensor] })
}

pub fn hidden(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    if let Some(served) = &loaded.served {
        return served.hidden(loaded.stored_model()?, fields);
    }
    let model = loaded.model()?;
    let ids = request::ids(fields, "ids")?;
    // The entry for all positions wants two tokens.
    let rows = match ids.len() {
        1 => vec![only_state(model, &ids)?],
        _ => final_states(model, &ids)?,
    };
    let shape = vec![rows.len(), model.config().hidden_size];
    Ok(Answer { head: json!({}), tensors: vec![Tensor { name: "hidden".into(), shape, values: rows.concat() }] })
}

/// Pooling one token's state is that state, by the same code.
#[cfg(has_embed_tokens)]
fn only_state(model: &Qwen35Model, ids: &[u32]) -> Result<Vec<f32>, Fault> {
    Ok(model.embed_tokens(ids, lattice_inference::model::HiddenPooling::LastToken)?)
}

#[cfg(not(has_embed_tokens))]
fn only_state(_: &Qwen35Model, _: &[u32]) -> Result<Vec<f32>, Fault> {
    Err(Fault::unsupported("this version shows no hidden state of a single token"))
}

#[cfg(has_final_hidden)]
fn final_states(model: &Qwen35Model, ids: &[u32]) -> Result<Vec<Vec<f32>>, Fault> {
    Ok(model.forward_final_hidden(ids)?)
}

#[cfg(not(has_final_hidden))]
fn final_states(_: &Qwen35Model, _: &[u32]) -> Result<Vec<Vec<f32>>, Fault> {
    Err(Fault::unsupported("this version shows no hidden states"))
}

/// Which side of a projection a stage is.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Input,
    Output,
}

/// Stage of the goldens, projection of the engine, side.
const STAGES: [(&str, &str, Side); 18] = [
    ("mixer_in", "q_proj", Side::Input),
    ("mixer_in", "in_proj_qkv", Side::Input),
    ("attn.q_proj_out", "q_proj", Side::Output),
    ("attn.k_proj_out", "k_proj", Side::Output),
    ("attn.v", "v_proj", Side::Output),
    ("attn.gated", "o_proj", Side::Input),
    ("mixer_out", "o_proj", Side::Output),
    ("gdn.u", "in_proj_qkv", Side::Output),
    ("gdn.z", "in_proj_z", Side::Output),
    ("gdn.b", "in_proj_b", Side::Output),
    ("gdn.a", "in_proj_a", Side::Output),
    ("gdn.normed", "out_proj", Side::Input),
    ("mixer_out", "out_proj", Side::Output),
    ("mlp_in", "gate_proj", Side::Input),
    ("mlp.gate", "gate_proj", Side::Output),
    ("mlp.up", "up_proj", Side::Output),
    ("mlp.activated", "down_proj", Side::Input),
    ("mlp_out", "down_proj", Side::Output),
];

/// The logits of the last position, from the run that was tapped.
const LOGITS: &str = "logits";

/// The stages that `taps` can answer, each once.
pub fn stage_names() -> Vec<&'static str> {
    let mut names: Vec<_> = STAGES.iter().map(|&(stage, _, _)| stage).collect();
    names.push(LOGITS);
    names.sort_unstable();
    names.dedup();
    names
}

/// Rows by layer and stage, in the order in which the engine computed them.
type Recorded = BTreeMap<(usize, &'static str), Vec<f32>>;

/// An adapter that changes nothing and keeps what passes through the projections.
struct Recorder {
    wanted: Vec<&'static str>,
    recorded: Arc<Mutex<Recorded>>,
}

impl LoraHook for Recorder {
    fn apply(&self, layer: usize, module: &str, x: &[f32], output: &mut [f32]) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        for (stage, projection, side) in STAGES {
            if projection == module && self.wanted.contains(&stage) {
                let row: &[f32] = if side == Side::Input { x } else { output };
                recorded.entry((layer, stage)).or_default().extend_from_slice(row);
            }
        }
    }
}

pub fn taps(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    let ids = request::ids(fields, "ids")?;
    let wanted = parse_stages(fields)?;
    let kv_heads = loaded.model()?.config().num_key_value_heads;
    let recorded = Arc::new(Mutex::new(Recorded::new()));
    let wants_logits = wanted.contains(&LOGITS);
    let recorder = Recorder { wanted, recorded: Arc::clone(&recorded) };
    let logits = loaded.with_model(|model| {
        model.set_lora(Box::new(recorder)).outcome()?;
        // The hook must go also when the forward pass panics.
        let result = guard(|| model.forward_prompt_debug(&ids).outcome());
        model.set_lora(Box::new(NoopLoraHook)).outcome()?;
        result
    })?;
    loaded.adapter_installed = false;
    let recorded = std::mem::take(&mut *recorded.lock().unwrap_or_else(PoisonError::into_inner));
    let taps = recorded.into_iter().map(|((layer, stage), values)| tap(layer, stage, values, ids.len(), kv_heads));
    let mut tensors: Vec<Tensor> = taps.collect();
    if wants_logits {
        tensors.push(Tensor { name: LOGITS.into(), shape: vec![1, logits.len()], values: logits });
    }
    Ok(Answer { head: json!({}), tensors })
}

/// Absent or empty: all.
fn parse_stages(fields: &Fields) -> Result<Vec<&'static str>, Fault> {
    let known = stage_names();
    if request::optional(fields, "stages").is_none() {
        return Ok(known);
    }
    let mut wanted = Vec::new();
    for value in request::array(fields, "stages")? {
        let name =
            value.as_str().ok_or_else(|| Fault::bad_request("\"stages\" holds something that is not a string"))?;
        match known.iter().find(|&&stage| stage == name) {
            Some(stage) => wanted.push(*stage),
            None => {
                return Err(Fault::unsupported(format!("stage \"{name}\" (the engine shows {})", known.join(", "))));
            }
        }
    }
    Ok(if wanted.is_empty() { known } else { wanted })
}

/// [positions, width], but `attn.v` as the goldens have it: [key-value heads, positions, head dimension].
fn tap(layer: usize, stage: &str, values: Vec<f32>, positions: usize, kv_heads: usize) -> Tensor {
    let name = format!("L{layer:02}.{stage}");
    let width = values.len() / positions;
    if stage != "attn.v" {
        return Tensor { name, shape: vec![positions, width], values };
    }
    let dimension = width / kv_heads;
    let mut by_head = Vec::with_capacity(values.len());
    for head in 0..kv_heads {
        for row in values.chunks_exact(width) {
            by_head.extend_from_slice(&row[head * dimension..][..dimension]);
        }
    }
    Tensor { name, shape: vec![kv_heads, positions, dimension], values: by_head }
}
