//! `generate`: from ids to ids through a decoder session and the engine's own driver.

use lattice_arch::decoder::SessionRequest;
use lattice_arch::decoder::driver;
use lattice_inference::family::{DecoderModel, Qwen35CpuDecoder};
use lattice_inference::model::Qwen35Model;
use lattice_inference::{GenerateConfig, StopReason};
use serde_json::{Value, json};

use crate::engine::Loaded;
use crate::fault::Fault;
use crate::formats::Served;
use crate::frame::{Answer, Tensor};
use crate::request::{self, Fields};
use crate::sampler::ORDER;
use crate::session::{Counters, Observed, neutral_config};

pub fn answer(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    check_path(fields)?;
    if request::optional(fields, "stop_strings").is_some() {
        return Err(Fault::unsupported("\"stop_strings\": ids in, ids out"));
    }
    let stream = request::flag(fields, "stream")?;
    let config = parse_config(fields)?;
    if let Some(served) = &loaded.served {
        return answer_by_text(served, loaded.stored_model()?, &request::ids(fields, "ids")?, &config);
    }
    answer_by_driver(loaded.decoder()?, request::ids(fields, "ids")?, config, stream)
}

pub fn check_path(fields: &Fields) -> Result<(), Fault> {
    match request::text(fields, "path")? {
        "session" => Ok(()),
        path => Err(Fault::unsupported(format!("path \"{path}\" (the engine generates by \"session\")"))),
    }
}

fn answer_by_driver(
    decoder: &mut Qwen35CpuDecoder,
    ids: Vec<u32>,
    config: GenerateConfig,
    stream: bool,
) -> Result<Answer, Fault> {
    let eos = decoder.model().config().eos_token_id;
    let request = SessionRequest::new(ids, config, eos);
    let mut session = Observed::new(decoder.session(&request)?);
    let last_choice = session.last_choice.clone();
    let mut streamed = Vec::new();
    let result = driver::run_into(
        &mut session,
        request.config(),
        request.think_close_id(),
        None,
        request.prompt_ids(),
        eos,
        stream,
        &|| false,
        |_| streamed.extend(last_choice.get()),
        |_, _| {}, // No text is made: ids in, ids out.
        &mut String::new(),
        &mut Vec::new(),
        |_, _| true,
        || {},
        String::new,
    )?;
    let stop = match stop_word(result.stop_reason)? {
        // The driver has one reason for both; the id that stopped it is the last one chosen.
        "eos" if session.last_choice.get() != Some(eos) => "stop",
        word => word,
    };
    let generated = result.generated_ids.len();
    let counters = Counters { prefill: session.prefilled, step: session.stepped, generated, ..Counters::default() };
    let mut counters = counters.to_json();
    counters["opened"] = Value::from(result.trace.opened);
    counters["consumed"] = Value::from(result.trace.consumed);
    let mut head = json!({"ids": result.generated_ids, "stop": stop, "order": ORDER, "counters": counters});
    if stream {
        head["streamed"] = Value::from(streamed);
    }
    let mut tensors = Vec::new();
    if request.config().logprobs.is_some() {
        let values: Vec<f32> = result.token_logprobs.iter().map(|token| token.logprob).collect();
        tensors.push(Tensor { name: "logprobs".into(), shape: vec![values.len()], values });
    }
    Ok(Answer { head, tensors })
}

fn stop_word(reason: impl Into<Option<StopReason>>) -> Result<&'static str, Fault> {
    match reason.into() {
        Some(StopReason::Length) => Ok("length"),
        Some(StopReason::Eos) => Ok("eos"),
        other => Err(Fault::internal(format!("generation stopped for {other:?}, which nothing asked for"))),
    }
}

/// By the engine's entry for weights of another format. It does not say which id stopped it.
fn answer_by_text(served: &Served, model: &Qwen35Model, ids: &[u32], config: &GenerateConfig) -> Result<Answer, Fault> {
    if !config.stop_token_ids.is_empty() {
        return Err(Fault::unsupported(format!("stop ids with {} weights", served.format())));
    }
    let output = served.generate(model, ids, config)?;
    let stop = stop_word(output.stop_reason)?;
    let generated = output.generated_tokens;
    let counters = Counters { prefill: output.prompt_tokens, generated, ..Counters::default() };
    let format = served.format();
    Ok(Answer::head(json!({"ids": output.token_ids, "stop": stop, "counters": counters.to_json(), "format": format})))
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
    config.min_p = request::number(sampling, "min_p")? as f32;
    config.repetition_penalty = request::number(sampling, "repetition_penalty")? as f32;
    config.seed = Some(request::unsigned(sampling, "seed")?);
    config.logprobs = request::flag(fields, "logprobs")?.then_some(0);
    Ok(config)
}
