//! `draw` and `invert`: the engine's shipped sampler on given logits, with its own random stream or with given uniforms.

use lattice_inference::sampling::{CandidateSet, Sampler, SamplingConfig};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::frame::{Answer, Payload};
use crate::request::{self, Fields};
use crate::versions::set_min_p;

/// The documented order of penalty, temperature and filters.
pub const ORDER: &str = "lattice";
const MOST_DRAWS: u64 = 1 << 20;

struct Draw {
    logits: Vec<f32>,
    config: SamplingConfig,
    history: Vec<u32>,
}

impl Draw {
    fn parse(fields: &Fields, payload: &Payload) -> Result<Self, Fault> {
        if payload.floats("bias")?.is_some() {
            return Err(Fault::unsupported("the sampler takes no bias"));
        }
        let logits = payload.floats("logits")?;
        Ok(Self {
            logits: logits.ok_or_else(|| Fault::bad_request("the tensor \"logits\" is missing"))?,
            config: parse_config(request::object(fields.get("parameters").unwrap_or(&Value::Null), "\"parameters\"")?)?,
            history: request::ids(fields, "history")?,
        })
    }

    fn sampler(&self, seed: u64) -> Result<Sampler, Fault> {
        let mut sampler = Sampler::new(self.config.clone()).with_seed(seed);
        seed_history(&mut sampler, self)?;
        Ok(sampler)
    }

    /// The steps that `Sampler` documents, on the type that takes the uniform explicitly.
    fn invert(&self, uniform: f32) -> u32 {
        let config = &self.config;
        let mut candidates = CandidateSet::from_full_logits(&self.logits);
        candidates.apply_repetition_penalty(&self.history, config.repetition_penalty);
        if config.temperature <= 0.0 || config.top_k == 1 {
            return candidates.argmax();
        }
        candidates.apply_temperature(config.temperature);
        candidates.retain_top_k(config.top_k);
        filter_and_pick(&mut candidates, config, uniform)
    }
}

#[cfg(has_seed_history)]
fn seed_history(sampler: &mut Sampler, draw: &Draw) -> Result<(), Fault> {
    sampler.seed_history(&draw.history);
    Ok(())
}

/// The oldest samplers penalise what they drew themselves and cannot be told of anything else.
#[cfg(not(has_seed_history))]
fn seed_history(_: &mut Sampler, draw: &Draw) -> Result<(), Fault> {
    if draw.history.is_empty() || draw.config.repetition_penalty == 1.0 {
        return Ok(());
    }
    Err(Fault::unsupported("this version's sampler takes no history"))
}

#[cfg(has_min_p)]
fn filter_and_pick(candidates: &mut CandidateSet, config: &SamplingConfig, uniform: f32) -> u32 {
    candidates.sample_min_p_top_p(config.min_p, config.top_p, uniform)
}

#[cfg(not(has_min_p))]
fn filter_and_pick(candidates: &mut CandidateSet, config: &SamplingConfig, uniform: f32) -> u32 {
    candidates.sample_top_p(config.top_p, uniform)
}

/// Parameters are always complete; those that the sampler has not must be neutral.
fn parse_config(parameters: &Fields) -> Result<SamplingConfig, Fault> {
    for name in ["frequency_penalty", "presence_penalty"] {
        if request::number(parameters, name)? != 0.0 {
            return Err(Fault::unsupported(format!("\"{name}\" other than 0")));
        }
    }
    let mut config = SamplingConfig::greedy();
    config.temperature = request::number(parameters, "temperature")? as f32;
    config.top_k = usize::try_from(request::unsigned(parameters, "top_k")?).unwrap_or(usize::MAX);
    config.top_p = request::number(parameters, "top_p")? as f32;
    set_min_p!(config, request::number(parameters, "min_p")? as f32);
    config.repetition_penalty = request::number(parameters, "repetition_penalty")? as f32;
    Ok(config)
}

fn answer(tokens: Vec<u32>) -> Answer {
    let counters = json!({"drawn": tokens.len()});
    Answer::head(json!({"tokens": tokens, "order": ORDER, "counters": counters}))
}

/// One token of each of `seeds`, or `draws` tokens of the stream of `seed`.
pub fn draw(fields: &Fields, payload: &Payload) -> Result<Answer, Fault> {
    let draw = Draw::parse(fields, payload)?;
    if request::optional(fields, "seeds").is_some() {
        let seeds = request::seeds(fields, "seeds")?;
        let first = |seed| Ok(draw.sampler(seed)?.sample(&draw.logits));
        return Ok(answer(seeds.into_iter().map(first).collect::<Result<_, Fault>>()?));
    }
    let mut sampler = draw.sampler(request::unsigned(fields, "seed")?)?;
    let draws = request::unsigned(fields, "draws")?;
    if draws > MOST_DRAWS {
        return Err(Fault::bad_request(format!("\"draws\" is more than {MOST_DRAWS}")));
    }
    Ok(answer((0..draws).map(|_| sampler.sample(&draw.logits)).collect()))
}

/// One token of each of `uniforms`.
pub fn invert(fields: &Fields, payload: &Payload) -> Result<Answer, Fault> {
    let draw = Draw::parse(fields, payload)?;
    let uniforms =
        payload.floats("uniforms")?.ok_or_else(|| Fault::bad_request("the tensor \"uniforms\" is missing"))?;
    Ok(answer(uniforms.into_iter().map(|uniform| draw.invert(uniform)).collect()))
}
