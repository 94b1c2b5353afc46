//! `program` with `calls`: the engine's decoder sessions, one call at a time. Nothing is checked here that a session
//! checks itself, so that the order of the calls is judged on the engine's own answers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lattice_arch::decoder::{
    AcceptedToken, DecoderSession, FinishDisposition, PredictionId, SelectOutcome, SelectionRequest, SessionRequest,
};
use lattice_inference::family::{DecoderModel, Qwen35CpuDecoder};
use serde_json::{Value, json};

use crate::counters::Counters;
use crate::engine::Loaded;
use crate::fault::{Fault, guard};
use crate::frame::{Answer, Tensor};
use crate::generate::neutral_config;
use crate::request::{self, Fields};

enum Call {
    Open(Result<SessionRequest, Fault>),
    Prefill { cancelled: bool },
    Select,
    Decode { id: Result<u32, Fault>, prediction: i64, cancelled: bool },
    Finish,
    Reset,
    Prompt(Result<Vec<u32>, Fault>),
    Unknown(String),
}

struct Step {
    sequence: u64,
    call: Call,
}

/// What an accepted call shows.
#[derive(Default)]
struct Seen {
    length: Option<usize>,
    token: Option<u32>,
    logits: Vec<f32>,
}

/// The session of one sequence and the model that it borrows: the engine runs one session per model.
struct Slot<'p> {
    /// Declared before the owner: dropped first.
    session: Option<Box<dyn DecoderSession + 'p>>,
    owner: *mut Qwen35CpuDecoder,
    /// A panic left the session in an unknown state.
    broken: bool,
}

impl<'p> Slot<'p> {
    fn open(&mut self, request: &'p SessionRequest) -> Result<Seen, Fault> {
        self.close();
        // SAFETY: `answer` holds the owner exclusively for 'p and hands it to this slot alone; the session that borrowed
        // it before is gone.
        let owner: &'p mut Qwen35CpuDecoder = unsafe { &mut *self.owner };
        self.session = Some(owner.session(request)?);
        Ok(Seen { length: Some(0), ..Seen::default() })
    }

    fn close(&mut self) {
        self.session = None;
        self.broken = false;
    }

    fn session(&mut self) -> Result<&mut (dyn DecoderSession + 'p), Fault> {
        if self.broken {
            return Err(Fault::bad_request("the session panicked in an earlier step and was not reset"));
        }
        self.session.as_deref_mut().ok_or_else(|| Fault::bad_request("the sequence has no session"))
    }

    fn prompt(&self, ids: &[u32]) -> Result<Seen, Fault> {
        if self.session.is_some() {
            return Err(Fault::bad_request("the open session borrows the model"));
        }
        // SAFETY: as in `open`; no session borrows the owner.
        let owner = unsafe { &*self.owner };
        owner.model().forward_prompt_debug(ids)?;
        Ok(Seen::default())
    }
}

pub fn answer(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    let eos = loaded.model()?.config().eos_token_id;
    let steps = request::array(fields, "steps")?;
    let steps = steps.iter().map(|step| parse_step(step, eos)).collect::<Result<Vec<_>, _>>()?;
    let mut slots = BTreeMap::new();
    let sequences: std::collections::BTreeSet<u64> = steps.iter().map(|step| step.sequence).collect();
    for (sequence, owner) in sequences.iter().zip(super::owners(loaded, sequences.len())?) {
        slots.insert(*sequence, Slot { session: None, owner, broken: false });
    }
    let mut predictions = BTreeMap::new();
    let (mut observations, mut tensors, mut counters) = (Vec::new(), Vec::new(), Counters::default());
    for (index, step) in steps.iter().enumerate() {
        let slot = slots.get_mut(&step.sequence).ok_or_else(|| Fault::internal("a sequence without a slot"))?;
        let result = guard(|| run(slot, &step.call, index, &mut predictions));
        if matches!(&result, Err(fault) if fault.code == "internal") {
            slot.broken = true;
        }
        match (&result, &step.call) {
            (Ok(seen), Call::Prefill { .. }) => counters.prefill += seen.length.unwrap_or(0),
            (Ok(_), Call::Decode { .. }) => counters.step += 1,
            _ => {}
        }
        observations.push(observe(index, result, &mut tensors));
    }
    Ok(Answer { head: json!({"steps": observations, "counters": counters.to_json()}), tensors })
}

fn run<'p>(
    slot: &mut Slot<'p>,
    call: &'p Call,
    index: usize,
    predictions: &mut BTreeMap<i64, PredictionId>,
) -> Result<Seen, Fault> {
    match call {
        Call::Open(Ok(request)) => slot.open(request),
        Call::Open(Err(fault)) => {
            slot.close();
            Err(fault.clone())
        }
        Call::Prefill { cancelled } => {
            let stamp = slot.session()?.prefill(&|| *cancelled)?;
            Ok(Seen { length: Some(stamp.evaluated_len), ..Seen::default() })
        }
        Call::Select => {
            let (seen, prediction) = select(slot.session()?)?;
            predictions.insert(index as i64, prediction);
            Ok(seen)
        }
        Call::Decode { id, prediction, cancelled } => {
            let session = slot.session()?;
            let prediction = predictions.get(prediction);
            let prediction = *prediction.ok_or_else(|| Fault::bad_request("no such prediction was opened"))?;
            let id = id.as_ref().map_err(Fault::clone)?;
            let stamp = session.decode(&AcceptedToken::new(*id, prediction), &|| *cancelled)?;
            Ok(Seen { length: Some(stamp.evaluated_len), ..Seen::default() })
        }
        Call::Finish => {
            slot.session()?.finish(FinishDisposition::Reusable)?;
            Ok(Seen::default())
        }
        Call::Reset => {
            slot.close();
            Ok(Seen::default())
        }
        Call::Prompt(ids) => slot.prompt(ids.as_ref().map_err(Fault::clone)?),
        Call::Unknown(op) => Err(Fault::unsupported(format!("call \"{op}\""))),
    }
}

/// The greedy candidate. The engine shows the logits of a session only to a grammar mask, which may edit them: this one
/// copies.
fn select(session: &mut dyn DecoderSession) -> Result<(Seen, PredictionId), Fault> {
    let copy = RefCell::new(Vec::new());
    let mask = |row: &mut [f32]| {
        copy.replace(row.to_vec());
        Ok(())
    };
    let config = neutral_config(1);
    let request = SelectionRequest::new(&config, &[]);
    let mut outcome = session.select(&request.with_grammar_mask(&mask))?;
    if matches!(outcome, SelectOutcome::GrammarExhausted) {
        // No logit is finite. Without a mask the engine goes on, as its own generation does.
        outcome = session.select(&request)?;
    }
    let SelectOutcome::Candidate(candidate) = outcome else {
        return Err(Fault::internal("select gave no candidate although it had no mask"));
    };
    let seen = Seen { length: None, token: Some(candidate.candidate_id), logits: copy.take() };
    Ok((seen, candidate.prediction))
}

fn observe(index: usize, result: Result<Seen, Fault>, tensors: &mut Vec<Tensor>) -> Value {
    let seen = match result {
        Ok(seen) => seen,
        Err(fault) => return fault.to_step(),
    };
    let mut observation = json!({"ok": true});
    if let Some(length) = seen.length {
        observation["length"] = Value::from(length);
    }
    if let Some(token) = seen.token {
        observation["token"] = Value::from(token);
        let (name, shape) = (format!("step.{index}.logits"), vec![1, seen.logits.len()]);
        tensors.push(Tensor { name, shape, values: seen.logits });
    }
    observation
}

fn parse_step(value: &Value, eos: u32) -> Result<Step, Fault> {
    let fields = request::object(value, "an element of \"steps\"")?;
    let cancelled = request::flag(fields, "cancelled")?;
    let call = match request::text(fields, "op")? {
        "open" => {
            let budget = usize::try_from(request::unsigned(fields, "max_tokens")?).unwrap_or(usize::MAX);
            let ids = refused_later(request::ids(fields, "ids"))?;
            Call::Open(ids.map(|ids| SessionRequest::new(ids, neutral_config(budget), eos)))
        }
        "prefill" => Call::Prefill { cancelled },
        "select" => Call::Select,
        "decode" => {
            let prediction = fields.get("prediction").and_then(Value::as_i64);
            let prediction = prediction.ok_or_else(|| Fault::bad_request("field \"prediction\" is no integer"))?;
            Call::Decode { id: refused_later(request::id(fields, "id"))?, prediction, cancelled }
        }
        "finish" => Call::Finish,
        "reset" => Call::Reset,
        "prompt" => Call::Prompt(refused_later(request::ids(fields, "ids"))?),
        other => Call::Unknown(other.into()),
    };
    Ok(Step { sequence: request::unsigned(fields, "sequence")?, call })
}

/// An id that the engine's type of ids cannot hold is refused when its step runs; what is malformed fails the request.
fn refused_later<T>(parsed: Result<T, Fault>) -> Result<Result<T, Fault>, Fault> {
    match parsed {
        Err(fault) if fault.code != "refused" => Err(fault),
        parsed => Ok(parsed),
    }
}
