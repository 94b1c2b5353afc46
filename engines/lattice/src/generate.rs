//! `generate`: the configuration of a generation, and the way that a model answers it.

#[cfg(has_stop_reason)]
use lattice_inference::StopReason;
use serde_json::Value;

use crate::engine::Loaded;
use crate::fault::Fault;
use crate::frame::Answer;
use crate::request::{self, Fields};
use crate::sessions;
use crate::text::Prompt;
use crate::versions::{GenerateConfig, set_min_p};

pub fn answer(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    check_path(fields)?;
    if request::optional(fields, "stop_strings").is_some() {
        return Err(Fault::unsupported("\"stop_strings\": ids in, ids out"));
    }
    let stream = request::flag(fields, "stream")?;
    let config = parse_config(fields)?;
    let ids = request::ids(fields, "ids")?;
    match &loaded.served {
        Some(served) => {
            let text = request::optional(fields, "text").map(|_| request::text(fields, "text")).transpose()?;
            served.generate(loaded.stored_model()?, &Prompt { ids: &ids, text }, &config)
        }
        None => sessions::generate(loaded, ids, config, stream),
    }
}

pub fn check_path(fields: &Fields) -> Result<(), Fault> {
    match request::text(fields, "path")? {
        "session" => Ok(()),
        path => Err(Fault::unsupported(format!("path \"{path}\" (the engine generates by \"session\")"))),
    }
}

/// Where versions of the engine have one reason more, it is for the same end.
#[cfg(has_stop_reason)]
pub fn stop_word(reason: impl Into<Option<StopReason>>) -> Result<&'static str, Fault> {
    match reason.into() {
        Some(StopReason::Length | StopReason::KvFull) => Ok("length"),
        Some(StopReason::Eos) => Ok("eos"),
        other => Err(Fault::internal(format!("generation stopped for {other:?}, which nothing asked for"))),
    }
}

/// Greedy, every field set that has another default: those of min-p, grammar, stop strings, budget of reasoning and
/// log-probs are neutral, and older versions have not all of them.
pub fn neutral_config(max_new_tokens: usize) -> GenerateConfig {
    let mut config = GenerateConfig::default();
    config.max_new_tokens = max_new_tokens;
    config.temperature = 0.0;
    config.top_k = 0;
    config.top_p = 1.0;
    config.repetition_penalty = 1.0;
    config.seed = Some(0);
    config.stop_token_ids = Vec::new();
    config.enable_thinking = false;
    #[cfg(has_mtp)]
    {
        config.enable_mtp = Some(false);
    }
    config
}

/// Sampling parameters are always complete. Those that the engine has not must be neutral.
fn parse_config(fields: &Fields) -> Result<GenerateConfig, Fault> {
    let max_tokens = request::unsigned(fields, "max_tokens")?;
    let sampling = request::object(fields.get("sampling").unwrap_or(&Value::Null), "\"sampling\"")?;
    for name in ["frequency_penalty", "presence_penalty"] {
        if request::number(sampling, name)? != 0.0 {
            return Err(Fault::unsupported(format!("\"{name}\" other than 0")));
        }
    }
    let mut config = neutral_config(usize::try_from(max_tokens).unwrap_or(usize::MAX));
    config.stop_token_ids = request::ids(fields, "stop")?;
    config.temperature = request::number(sampling, "temperature")? as f32;
    config.top_k = usize::try_from(request::unsigned(sampling, "top_k")?).unwrap_or(usize::MAX);
    config.top_p = request::number(sampling, "top_p")? as f32;
    set_min_p!(config, request::number(sampling, "min_p")? as f32);
    config.repetition_penalty = request::number(sampling, "repetition_penalty")? as f32;
    config.seed = Some(request::unsigned(sampling, "seed")?);
    if request::flag(fields, "logprobs")? {
        ask_for_log_probabilities(&mut config)?;
    }
    Ok(config)
}

#[cfg(has_stop_reason)]
fn ask_for_log_probabilities(config: &mut GenerateConfig) -> Result<(), Fault> {
    config.logprobs = Some(0);
    Ok(())
}

#[cfg(not(has_stop_reason))]
fn ask_for_log_probabilities(_: &mut GenerateConfig) -> Result<(), Fault> {
    Err(Fault::unsupported("\"logprobs\": this version has none"))
}
