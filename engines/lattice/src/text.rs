//! Generation through the entries of the engine that take their prompt as text. The tokenizers of generated checkpoints
//! have one character for each id, so that a text is a sequence of ids.

use lattice_inference::model::Qwen35Model;
use lattice_inference::tokenizer::Tokenizer;
use lattice_inference::tokenizer::bpe::byte_decode_token;
use serde_json::json;

use crate::counters::Counters;
use crate::fault::Fault;
use crate::frame::{Answer, Tensor};
use crate::versions::{GenerateConfig, GenerateOutput};

/// The ids of a prompt, and its text where the request has it.
pub struct Prompt<'a> {
    pub ids: &'a [u32],
    pub text: Option<&'a str>,
}

impl<'a> Prompt<'a> {
    /// The text must stand for the ids: the engine's own tokenizer decides.
    fn for_engine(&self, model: &Qwen35Model) -> Result<String, Fault> {
        let Some(text) = self.text else { return text_of(model, self.ids) };
        let ids = ids_of(model, text);
        if ids == self.ids {
            return Ok(text.into());
        }
        let place = ids.iter().zip(self.ids).take_while(|(ours, theirs)| ours == theirs).count();
        let message = format!(
            "the engine's tokenizer makes {} ids of the text, the request has {}; the first that differs is number {place}: {:?} and {:?}",
            ids.len(),
            self.ids.len(),
            ids.get(place),
            self.ids.get(place)
        );
        Err(Fault::refused(message, "Tokenizer"))
    }
}

/// The answer of `run`, which maps a prompt and a configuration to the engine's output.
pub fn answer(
    model: &Qwen35Model,
    prompt: &Prompt,
    config: &GenerateConfig,
    run: impl Fn(&str, &GenerateConfig) -> Result<GenerateOutput, Fault>,
) -> Result<Answer, Fault> {
    let prompt = prompt.for_engine(model)?;
    let output = run(&prompt, config)?;
    let stop = match ended_by_a_token(&output, config)? {
        false => "length",
        true if config.stop_token_ids.is_empty() => "eos",
        true => ended_by(&prompt, config, &output, run)?,
    };
    let generated = output.token_ids.len();
    let counters = Counters { prefill: output.prompt_tokens, generated, ..Counters::default() };
    let head = json!({"ids": output.token_ids, "stop": stop, "counters": counters.to_json()});
    Ok(Answer { head, tensors: log_probabilities(&output, config) })
}

/// The text of the ids, where the way through the tokenizer and back gives the ids again.
pub fn text_of(model: &Qwen35Model, ids: &[u32]) -> Result<String, Fault> {
    // The versions' own decoding differs in what it drops, so the tokens themselves are joined.
    let tokens = ids.iter().filter_map(|&id| model.tokenizer().token_for_id(id));
    let text = byte_decode_token(&tokens.collect::<String>());
    if ids_of(model, &text) != ids {
        return Err(Fault::unsupported("these ids are no text, and the engine takes this prompt as text"));
    }
    Ok(text)
}

fn ids_of(model: &Qwen35Model, text: &str) -> Vec<u32> {
    let tokens = model.tokenizer().tokenize(text);
    tokens.input_ids[..tokens.real_length].to_vec()
}

#[cfg(has_stop_reason)]
fn ended_by_a_token(output: &GenerateOutput, _: &GenerateConfig) -> Result<bool, Fault> {
    Ok(crate::generate::stop_word(output.stop_reason)? != "length")
}

#[cfg(all(has_stopped, not(has_stop_reason)))]
fn ended_by_a_token(output: &GenerateOutput, _: &GenerateConfig) -> Result<bool, Fault> {
    Ok(output.stopped)
}

/// The oldest versions do not say why they ended.
#[cfg(not(has_stopped))]
fn ended_by_a_token(output: &GenerateOutput, config: &GenerateConfig) -> Result<bool, Fault> {
    Ok(output.token_ids.len() < config.max_new_tokens)
}

/// The engine does not say which id ended it. One more token without the stop ids tells: the end-of-sequence id ends that
/// run at the same place, a stop id does not.
fn ended_by(
    prompt: &str,
    config: &GenerateConfig,
    output: &GenerateOutput,
    run: impl Fn(&str, &GenerateConfig) -> Result<GenerateOutput, Fault>,
) -> Result<&'static str, Fault> {
    let mut longer = config.clone();
    longer.stop_token_ids.clear();
    longer.max_new_tokens = config.max_new_tokens.min(output.token_ids.len() + 1);
    let goes_on = run(prompt, &longer)?.token_ids.len() > output.token_ids.len();
    Ok(if goes_on { "stop" } else { "eos" })
}

#[cfg(has_stop_reason)]
fn log_probabilities(output: &GenerateOutput, config: &GenerateConfig) -> Vec<Tensor> {
    if config.logprobs.is_none() {
        return Vec::new();
    }
    let values: Vec<f32> = output.token_logprobs.iter().map(|token| token.logprob).collect();
    vec![Tensor { name: "logprobs".into(), shape: vec![values.len()], values }]
}

#[cfg(not(has_stop_reason))]
fn log_probabilities(_: &GenerateOutput, _: &GenerateConfig) -> Vec<Tensor> {
    Vec::new()
}

/// The answer of the entry that streams, with the ids of the text that it announced.
#[cfg(all(has_streaming, not(has_sessions)))]
pub fn stream(model: &Qwen35Model, ids: &[u32], config: &GenerateConfig) -> Result<Answer, Fault> {
    let announced = std::cell::RefCell::new(Vec::new());
    let mut answer = answer(model, &Prompt { ids, text: None }, config, |prompt, config| {
        let mut text = String::new();
        let output = model.generate_streaming(prompt, config, |piece| text.push_str(piece))?;
        if text_of(model, &output.token_ids).is_err() {
            return Err(Fault::unsupported("the generated ids are no text, and the engine streams text"));
        }
        announced.borrow_mut().push(text);
        Ok(output)
    })?;
    answer.head["streamed"] = ids_of(model, &announced.borrow()[0]).into();
    Ok(answer)
}

#[cfg(not(has_streaming))]
pub fn stream(_: &Qwen35Model, _: &[u32], _: &GenerateConfig) -> Result<Answer, Fault> {
    Err(Fault::unsupported("\"stream\": this version streams nothing on the CPU"))
}
