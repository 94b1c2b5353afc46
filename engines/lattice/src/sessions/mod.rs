//! Decoder sessions of the engine: its step-wise logits, programs of calls, and generation by its own driver.

mod calls;
mod forced;
mod program;

use std::path::Path;

use lattice_arch::decoder::SessionRequest;
use lattice_arch::decoder::driver;
use lattice_inference::GenerateConfig;
use lattice_inference::family::DecoderModel;
pub use lattice_inference::family::Qwen35CpuDecoder as Owner;
use lattice_inference::model::Qwen35Model;
use serde_json::{Value, json};

use crate::counters::Counters;
use crate::engine::Loaded;
use crate::fault::Fault;
use crate::frame::{Answer, Tensor};
use crate::generate::stop_word;
use crate::logits::Sequence;
use crate::sampler::ORDER;
use forced::{ForcedSession, Observed, session_request};
pub use program::answer as program;

/// Further copies of a model: the engine runs one session per model.
pub struct Copies {
    path: String,
    owners: Vec<Box<Owner>>,
}

impl Copies {
    pub fn new(path: &str) -> Self {
        Self { path: path.into(), owners: Vec::new() }
    }
}

/// `count` decoders of a model, each for one session; a copy is loaded when it is first needed.
fn owners(loaded: &mut Loaded, count: usize) -> Result<Vec<*mut Owner>, Fault> {
    while loaded.copies.owners.len() + 1 < count {
        let model = Qwen35Model::from_safetensors(Path::new(&loaded.copies.path))?;
        loaded.copies.owners.push(Box::new(Owner::new(model)));
    }
    let first: *mut Owner = loaded.decoder()?;
    let copies = loaded.copies.owners.iter_mut().map(|copy| &raw mut **copy);
    Ok(std::iter::once(first).chain(copies).take(count).collect())
}

/// Logits of the last position of the prefill and of each later token.
pub fn logits(loaded: &mut Loaded, sequence: Sequence, counters: &mut Counters) -> Result<Vec<f32>, Fault> {
    let decoder = loaded.decoder()?;
    let mut prefill = sequence.ids;
    let steps = prefill.split_off(sequence.prefill);
    let mut values = Vec::with_capacity((steps.len() + 1) * decoder.model().config().vocab_size);
    let request = session_request(decoder, prefill, steps.len());
    let mut session = ForcedSession::open(decoder, &request)?;
    session.prefill(&mut values)?;
    for id in steps {
        session.decode(id, &mut values)?;
    }
    session.count(counters);
    Ok(values)
}

/// Generation from ids to ids.
pub fn generate(loaded: &mut Loaded, ids: Vec<u32>, config: GenerateConfig, stream: bool) -> Result<Answer, Fault> {
    let decoder = loaded.decoder()?;
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
