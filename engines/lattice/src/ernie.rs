//! The engine's ERNIE 4.5 text decoder, which is a Llama: plain attention with grouped heads, stride-half RoPE, an untied
//! head. It loads from memory and leaves the key-value cache to its caller.

use std::collections::BTreeMap;
use std::path::Path;

use lattice_inference::model::ernie45::{Ernie45Config, Ernie45KvCache, Ernie45Model, Ernie45Weights, MAX_SEQ_LEN};
use lattice_inference::sampling::CandidateSet;
use lattice_inference::weights::SafetensorsFile;
use serde_json::{Map, Value, json};

use crate::counters::Counters;
use crate::fault::{Fault, guard};
use crate::frame::{Answer, Tensor};
use crate::generate::check_path;
use crate::logits::{self, Path as LogitsPath, Sequence};
use crate::request::{self, Fields};

const STAGES: [&str; 3] = ["embedding", "layer_out", "final_norm"];

pub struct Ernie {
    model: Ernie45Model,
    /// Positions of a sequence at most: of the configuration, as the engine reads none, and the engine's own limit.
    context: usize,
    eos: Option<u32>,
}

impl Ernie {
    /// Whether a config.json is of the family that this model computes.
    pub fn serves(config: &Value) -> bool {
        config["model_type"] == "llama"
    }

    pub fn load(folder: &Path, config: &Value) -> Result<Self, Fault> {
        let parsed = Ernie45Config::from_config_json_str(&ernie_config(config).to_string())?;
        let file = folder.join("model.safetensors");
        let bytes =
            std::fs::read(&file).map_err(|error| Fault::refused(format!("{}: {error}", file.display()), "Io"))?;
        let weights = Ernie45Weights::load(&mut SafetensorsFile::from_bytes(bytes)?, &parsed)?;
        let limit = config["max_position_embeddings"].as_u64().and_then(|limit| usize::try_from(limit).ok());
        Ok(Self {
            model: Ernie45Model::new(parsed, weights)?,
            context: limit.unwrap_or(MAX_SEQ_LEN).min(MAX_SEQ_LEN),
            eos: config["eos_token_id"].as_u64().and_then(|id| u32::try_from(id).ok()),
        })
    }

    pub fn vocab(&self) -> usize {
        self.model.config().vocab_size
    }

    pub fn context(&self) -> usize {
        self.context
    }

    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The answer to an operation on the model.
    pub fn answer(&self, op: &str, fields: &Fields) -> Result<Answer, Fault> {
        match op {
            "logits" => self.logits(fields),
            "nll" => self.nll(fields),
            "hidden" => self.hidden(fields),
            "taps" => self.taps(fields),
            "generate" => self.generate(fields),
            "program" => self.program(fields),
            _ => Err(Fault::unsupported(format!("op \"{op}\" on a llama model (ERNIE 4.5 in the engine)"))),
        }
    }

    fn logits(&self, fields: &Fields) -> Result<Answer, Fault> {
        logits::answer_with(fields, self.vocab(), |path, sequence, counters| {
            let length = sequence.ids.len();
            Ok(match path {
                LogitsPath::Prompt => {
                    let values = self.model.forward_embeds_last_logits(&self.embed(&sequence.ids)?, &places(length))?;
                    counters.prompt += length;
                    (length.saturating_sub(1), values)
                }
                LogitsPath::Readout => {
                    self.check_length(length)?;
                    let values = self.model.forward_trace(&sequence.ids)?.logits;
                    counters.readout += length;
                    (0, values)
                }
                LogitsPath::Session => (sequence.prefill.saturating_sub(1), self.session(&sequence, counters)?),
            })
        })
    }

    /// Logits of the last position of the prefill and of each later token.
    fn session(&self, sequence: &Sequence, counters: &mut Counters) -> Result<Vec<f32>, Fault> {
        let mut cache = self.model.new_kv_cache(sequence.ids.len())?;
        let (prefill, steps) = sequence.ids.split_at(sequence.prefill);
        let mut values = self.prefill(prefill, &mut cache)?;
        for &id in steps {
            values.extend(self.decode(id, &mut cache)?);
        }
        counters.prefill += prefill.len();
        counters.step += steps.len();
        Ok(values)
    }

    fn prefill(&self, ids: &[u32], cache: &mut Ernie45KvCache) -> Result<Vec<f32>, Fault> {
        Ok(self.model.kv_prefill(&self.embed(ids)?, &places(ids.len()), cache)?)
    }

    fn decode(&self, id: u32, cache: &mut Ernie45KvCache) -> Result<Vec<f32>, Fault> {
        let place = cache.len() as u32;
        Ok(self.model.kv_decode_step(&self.embed(&[id])?, [place; 3], cache)?)
    }

    /// The embedding rows that the engine wants in the place of ids, [ids, hidden].
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, Fault> {
        self.check_length(ids.len())?;
        let hidden = self.model.config().hidden_size;
        let table = self.model.embed_tokens();
        let mut rows = Vec::with_capacity(ids.len() * hidden);
        for &id in ids {
            let row = table.get(id as usize * hidden..(id as usize + 1) * hidden);
            rows.extend_from_slice(row.ok_or_else(|| {
                Fault::refused(format!("token id {id} is outside the vocabulary of {}", self.vocab()), "InvalidInput")
            })?);
        }
        Ok(rows)
    }

    fn check_length(&self, length: usize) -> Result<(), Fault> {
        if length <= self.context {
            return Ok(());
        }
        Err(Fault::refused(format!("{length} positions exceed the context of {}", self.context), "InvalidInput"))
    }

    /// −ln p of each next token, from the engine's logits of all positions: it has no function for this itself.
    fn nll(&self, fields: &Fields) -> Result<Answer, Fault> {
        let ids = request::ids(fields, "ids")?;
        self.check_length(ids.len())?;
        let logits = self.model.forward_trace(&ids)?.logits;
        let rows = logits.chunks_exact(self.vocab()).zip(&ids[1..]);
        let values: Vec<f32> = rows.map(|(row, &next)| negative_log_likelihood(row, next)).collect();
        let tensor = Tensor { name: "nll".into(), shape: vec![values.len()], values };
        Ok(Answer { head: json!({}), tensors: vec![tensor] })
    }

    fn hidden(&self, fields: &Fields) -> Result<Answer, Fault> {
        let ids = request::ids(fields, "ids")?;
        self.check_length(ids.len())?;
        let values = self.model.forward_trace(&ids)?.final_norm;
        let tensor = Tensor { name: "hidden".into(), shape: self.rows(ids.len()), values };
        Ok(Answer { head: json!({}), tensors: vec![tensor] })
    }

    fn rows(&self, length: usize) -> Vec<usize> {
        vec![length, self.model.config().hidden_size]
    }

    /// Absent or empty stages: all.
    fn taps(&self, fields: &Fields) -> Result<Answer, Fault> {
        let ids = request::ids(fields, "ids")?;
        self.check_length(ids.len())?;
        let mut wanted = Vec::new();
        if request::optional(fields, "stages").is_some() {
            for value in request::array(fields, "stages")? {
                let name =
                    value.as_str().ok_or_else(|| Fault::bad_request("\"stages\" holds something else than strings"))?;
                let known = STAGES.iter().find(|&&stage| stage == name);
                wanted.push(*known.ok_or_else(|| {
                    Fault::unsupported(format!("stage \"{name}\" (a llama model shows {})", STAGES.join(", ")))
                })?);
            }
        }
        let wants = |stage: &str| wanted.is_empty() || wanted.contains(&stage);
        let trace = self.model.forward_trace(&ids)?;
        let mut tensors = Vec::new();
        let mut push = |name: String, values: Vec<f32>| {
            tensors.push(Tensor { name, shape: self.rows(ids.len()), values });
        };
        if wants("embedding") {
            push("embedding".into(), trace.embed);
        }
        for (layer, values) in trace.layer_outputs.into_iter().enumerate().filter(|_| wants("layer_out")) {
            push(format!("L{layer:02}.layer_out"), values);
        }
        if wants("final_norm") {
            push("final_norm".into(), trace.final_norm);
        }
        Ok(Answer { head: json!({}), tensors })
    }

    /// Greedy generation: cached steps and the engine's own arg-max.
    fn generate(&self, fields: &Fields) -> Result<Answer, Fault> {
        let (ids, stop, max_tokens) = parse_greedy(fields)?;
        let budget = max_tokens.min(self.context.saturating_sub(ids.len()).max(1));
        let mut cache = self.model.new_kv_cache(ids.len() + budget)?;
        let mut logits = self.prefill(&ids, &mut cache)?;
        let mut generated = Vec::new();
        let mut reason = "length";
        while generated.len() < budget {
            let next = CandidateSet::from_full_logits(&logits).argmax();
            if Some(next) == self.eos {
                reason = "eos";
            } else if stop.contains(&next) {
                reason = "stop";
            }
            if reason != "length" {
                break;
            }
            generated.push(next);
            if generated.len() < budget {
                logits = self.decode(next, &mut cache)?;
            }
        }
        let counters = Counters {
            prefill: ids.len(),
            step: cache.len() - ids.len(),
            generated: generated.len(),
            ..Counters::default()
        };
        Ok(Answer::head(json!({"ids": generated, "stop": reason, "counters": counters.to_json()})))
    }

    /// Sequences side by side, each with a cache of its own.
    fn program(&self, fields: &Fields) -> Result<Answer, Fault> {
        if request::flag(fields, "calls")? {
            return Err(Fault::unsupported("the engine has no decoder session for its ERNIE model, only a cache"));
        }
        let wanted = request::wants_logits(fields)?;
        let mut caches = BTreeMap::new();
        let mut counters = Counters::default();
        let mut steps = Vec::new();
        let mut tensors = Vec::new();
        for (index, value) in request::array(fields, "steps")?.iter().enumerate() {
            let step = request::object(value, "an element of \"steps\"")?;
            match guard(|| self.step(step, &mut caches, &mut counters)) {
                Ok(values) => {
                    steps.push(json!({"ok": true}));
                    if wanted && !values.is_empty() {
                        let shape = vec![1, values.len()];
                        tensors.push(Tensor { name: format!("step.{index}.logits"), shape, values });
                    }
                }
                Err(fault) => steps.push(fault.to_step()),
            }
        }
        Ok(Answer { head: json!({"steps": steps, "counters": counters.to_json()}), tensors })
    }

    /// The logits of the last position, or none for a step that evaluates nothing.
    fn step(
        &self,
        step: &Map<String, Value>,
        caches: &mut BTreeMap<u64, Ernie45KvCache>,
        counters: &mut Counters,
    ) -> Result<Vec<f32>, Fault> {
        let sequence = request::unsigned(step, "sequence");
        let cache = |caches: &mut BTreeMap<u64, Ernie45KvCache>, sequence| {
            caches.remove(&sequence).ok_or_else(|| Fault::bad_request(format!("sequence {sequence} has no prefill")))
        };
        match request::text(step, "op")? {
            "prefill" => {
                let sequence = sequence?;
                let ids = request::ids(step, "ids")?;
                let mut kept = match caches.remove(&sequence) {
                    Some(kept) => kept,
                    None => self.model.new_kv_cache(self.context)?,
                };
                if !kept.is_empty() {
                    caches.insert(sequence, kept);
                    return Err(Fault::unsupported("the engine has no chunked prefill: reset the sequence first"));
                }
                let logits = self.prefill(&ids, &mut kept)?;
                counters.prefill += ids.len();
                caches.insert(sequence, kept);
                Ok(logits)
            }
            "decode" => {
                let sequence = sequence?;
                let id = request::id(step, "id")?;
                let mut kept = cache(caches, sequence)?;
                let logits = self.decode(id, &mut kept);
                caches.insert(sequence, kept);
                counters.step += usize::from(logits.is_ok());
                logits
            }
            "reset" => {
                if let Some(kept) = caches.get_mut(&sequence?) {
                    kept.clear();
                }
                Ok(Vec::new())
            }
            "trim" => {
                let sequence = sequence?;
                let length = request::unsigned(step, "length")?;
                let mut kept = cache(caches, sequence)?;
                let trimmed = kept.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                caches.insert(sequence, kept);
                trimmed?;
                Ok(Vec::new())
            }
            other => Err(Fault::unsupported(format!("step \"{other}\" (prefill, decode, reset, trim)"))),
        }
    }
}

fn negative_log_likelihood(row: &[f32], id: u32) -> f32 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
    (sum.ln() + f64::from(largest) - f64::from(row[id as usize])) as f32
}

/// Text positions: all three axes count alike.
fn places(length: usize) -> Vec<[u32; 3]> {
    (0..length as u32).map(|place| [place; 3]).collect()
}

/// A Llama configuration as the engine's ERNIE wants it: one section of positions that fills half a head.
fn ernie_config(config: &Value) -> Value {
    let mut ernie = config.clone();
    let half = config["head_dim"].as_u64().unwrap_or(0) / 2;
    ernie["rope_scaling"] = json!({"mrope_section": [half]});
    ernie["use_bias"] = json!(config["attention_bias"] == true || config["mlp_bias"] == true);
    if let Some(theta) = config["rope_parameters"].get("rope_theta") {
        ernie["rope_theta"] = theta.clone();
    }
    ernie
}

/// ids, stop ids and the budget of a greedy generation; everything else is unsupported.
fn parse_greedy(fields: &Fields) -> Result<(Vec<u32>, Vec<u32>, usize), Fault> {
    check_path(fields)?;
    for name in ["logprobs", "stream"] {
        if request::flag(fields, name)? {
            return Err(Fault::unsupported(format!("\"{name}\"")));
        }
    }
    let max_tokens = usize::try_from(request::unsigned(fields, "max_tokens")?).unwrap_or(usize::MAX);
    let sampling = request::object(fields.get("sampling").unwrap_or(&Value::Null), "\"sampling\"")?;
    let neutral = [
        ("temperature", 0.0),
        ("top_k", 0.0),
        ("top_p", 1.0),
        ("min_p", 0.0),
        ("repetition_penalty", 1.0),
        ("frequency_penalty", 0.0),
        ("presence_penalty", 0.0),
    ];
    for (name, only) in neutral {
        if request::number(sampling, name)? != only {
            return Err(Fault::unsupported(format!("\"{name}\" other than {only} on a llama model: greedy only")));
        }
    }
    request::unsigned(sampling, "seed")?;
    Ok((request::ids(fields, "ids")?, request::ids(fields, "stop")?, max_tokens))
}
