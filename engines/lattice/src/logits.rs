//! `logits`: the three f32 code paths of the engine, each by its own name.

use lattice_inference::model::Qwen35Model;
use serde_json::{Value, json};

use crate::counters::Counters;
use crate::engine::Loaded;
use crate::fault::Fault;
use crate::frame::{Answer, Tensor};
use crate::request::{self, Fields};
use crate::versions::Outcome;
use crate::{readout, sessions};

#[derive(Clone, Copy)]
pub enum Path {
    /// `forward_prompt_debug`: token by token, logits of the last position.
    Prompt,
    /// `prefill_readout`: token by token, logits of all positions.
    Readout,
    /// A decoder session: batched prefill, then single steps.
    Session,
}

pub struct Sequence {
    pub ids: Vec<u32>,
    pub prefill: usize,
}

/// The path of the request and its sequences.
fn parse_logits(fields: &Fields) -> Result<(Path, Vec<Sequence>), Fault> {
    let path = match request::text(fields, "path")? {
        "prompt" => Path::Prompt,
        "readout" => Path::Readout,
        "session" => Path::Session,
        other => return Err(Fault::unsupported(format!("path \"{other}\" (prompt, readout, session)"))),
    };
    if request::flag(fields, "batched")? {
        return Err(Fault::unsupported("the engine runs one sequence at a time: \"batched\" must be false"));
    }
    let sequences = request::array(fields, "sequences")?.iter().map(parse_sequence).collect::<Result<Vec<_>, _>>()?;
    Ok((path, sequences))
}

/// The answer of a model that evaluates one sequence after the other: the first position that it answers, and the rows
/// from there on.
pub fn answer_with(
    fields: &Fields,
    vocab: usize,
    mut evaluate: impl FnMut(Path, Sequence, &mut Counters) -> Result<(usize, Vec<f32>), Fault>,
) -> Result<Answer, Fault> {
    let (path, sequences) = parse_logits(fields)?;
    let mut counters = Counters::default();
    let mut positions = Vec::with_capacity(sequences.len());
    let mut tensors = Vec::with_capacity(sequences.len());
    for (index, sequence) in sequences.into_iter().enumerate() {
        let length = sequence.ids.len();
        let (first, values) = evaluate(path, sequence, &mut counters)?;
        positions.push(Value::from_iter(first..length));
        tensors.push(Tensor { name: format!("logits.{index}"), shape: vec![length - first, vocab], values });
    }
    Ok(Answer { head: json!({"positions": positions, "counters": counters.to_json()}), tensors })
}

pub fn answer(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    let vocab = loaded.model()?.config().vocab_size;
    answer_with(fields, vocab, |path, sequence, counters| {
        Ok(match path {
            Path::Prompt => (sequence.ids.len().saturating_sub(1), prompt(loaded.model()?, &sequence.ids, counters)?),
            Path::Readout => (0, readout::all_positions(loaded.model()?, &sequence.ids, counters)?),
            Path::Session => (sequence.prefill.saturating_sub(1), sessions::logits(loaded, sequence, counters)?),
        })
    })
}

fn parse_sequence(value: &Value) -> Result<Sequence, Fault> {
    let fields = request::object(value, "an element of \"sequences\"")?;
    let ids = request::ids(fields, "ids")?;
    if request::optional(fields, "mask").is_some() {
        let mask = request::counts(fields, "mask")?;
        if mask.len() != ids.len() || mask.iter().any(|&bit| bit > 1) {
            return Err(Fault::bad_request("\"mask\" has one 0 or 1 for each id"));
        }
        if mask.contains(&0) {
            return Err(Fault::unsupported("the engine takes no padding mask"));
        }
    }
    let prefill = parse_prefill(fields, ids.len())?;
    Ok(Sequence { ids, prefill })
}

/// The length of the only prefill; absent chunks mean all ids.
fn parse_prefill(fields: &Fields, length: usize) -> Result<usize, Fault> {
    if request::optional(fields, "chunks").is_none() {
        return Ok(length);
    }
    let chunks = request::counts(fields, "chunks")?;
    let sum = chunks.iter().fold(0, |sum: usize, &chunk| sum.saturating_add(chunk));
    if chunks.is_empty() || chunks.contains(&0) || sum > length {
        return Err(Fault::bad_request(format!("\"chunks\" {chunks:?} do not split a prefix of {length} ids")));
    }
    if chunks.len() > 1 {
        return Err(Fault::unsupported("the engine has no chunked prefill: \"chunks\" holds one length"));
    }
    Ok(sum)
}

fn prompt(model: &Qwen35Model, ids: &[u32], counters: &mut Counters) -> Result<Vec<f32>, Fault> {
    let values = model.forward_prompt_debug(ids).outcome()?;
    counters.prompt += ids.len();
    Ok(values)
}
