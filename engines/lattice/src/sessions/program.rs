//! `program`: prefill, decode and reset of sequences. The engine keeps one session per model, so a prefill of another
//! sequence ends the one that is open.

use std::collections::BTreeSet;

use lattice_inference::family::Qwen35CpuDecoder;
use serde_json::{Value, json};

use super::calls;
use super::forced::{ForcedSession, session_request};
use crate::counters::Counters;
use crate::engine::Loaded;
use crate::fault::{Fault, guard};
use crate::frame::{Answer, Tensor};
use crate::request::{self, Fields};

enum Action {
    Prefill(Vec<u32>),
    Decode(u32),
    Reset,
    Unknown(String),
}

struct Step {
    sequence: u64,
    action: Action,
}

/// What happened so far, and which sequences lost their session.
#[derive(Default)]
struct Record {
    steps: Vec<Value>,
    tensors: Vec<Tensor>,
    counters: Counters,
    displaced: BTreeSet<u64>,
    broken: BTreeSet<u64>,
}

impl Record {
    /// Notes the outcome of the next step; `logits` is the row of its last position.
    fn push(&mut self, result: Result<Vec<f32>, Fault>) {
        let index = self.steps.len();
        match result {
            Ok(values) => {
                self.steps.push(json!({"ok": true}));
                if !values.is_empty() {
                    let shape = vec![1, values.len()];
                    self.tensors.push(Tensor { name: format!("step.{index}.logits"), shape, values });
                }
            }
            Err(fault) => self.steps.push(fault.to_step()),
        }
    }

    /// Notes a reset of a sequence that has no session.
    fn reset(&mut self, sequence: u64) {
        self.displaced.remove(&sequence);
        self.broken.remove(&sequence);
        self.push(Ok(Vec::new()));
    }

    /// Notes a step of a sequence that has no session.
    fn push_without_session(&mut self, sequence: u64) {
        let fault = if self.displaced.contains(&sequence) {
            Fault::unsupported(format!(
                "sequence {sequence} ended when another began: the engine has one session per model"
            ))
        } else if self.broken.contains(&sequence) {
            Fault::bad_request(format!("sequence {sequence} failed in an earlier step and was not reset"))
        } else {
            Fault::bad_request(format!("sequence {sequence} has no prefill"))
        };
        self.push(Err(fault));
    }
}

pub fn answer(loaded: &mut Loaded, fields: &Fields) -> Result<Answer, Fault> {
    let wanted = request::wants_logits(fields)?;
    if request::flag(fields, "calls")? {
        let mut answer = calls::answer(loaded, fields)?;
        if !wanted {
            answer.tensors.clear();
        }
        return Ok(answer);
    }
    let steps = request::array(fields, "steps")?.iter().map(parse_step).collect::<Result<Vec<_>, _>>()?;
    let decoder = loaded.decoder()?;
    let mut record = Record::default();
    while let Some(step) = steps.get(record.steps.len()) {
        match &step.action {
            Action::Prefill(ids) => run_session(decoder, &steps, step.sequence, ids, &mut record),
            Action::Reset => record.reset(step.sequence),
            Action::Decode(_) => record.push_without_session(step.sequence),
            Action::Unknown(op) => record.push(Err(unknown_step(op))),
        }
    }
    let tensors = if wanted { record.tensors } else { Vec::new() };
    Ok(Answer { head: json!({"steps": record.steps, "counters": record.counters.to_json()}), tensors })
}

fn parse_step(value: &Value) -> Result<Step, Fault> {
    let fields = request::object(value, "an element of \"steps\"")?;
    let action = match request::text(fields, "op")? {
        "prefill" => Action::Prefill(request::ids(fields, "ids")?),
        "decode" => Action::Decode(request::id(fields, "id")?),
        "reset" => Action::Reset,
        other => return Ok(Step { sequence: 0, action: Action::Unknown(other.into()) }),
    };
    Ok(Step { sequence: request::unsigned(fields, "sequence")?, action })
}

fn unknown_step(op: &str) -> Fault {
    Fault::unsupported(format!("step \"{op}\" (prefill, decode, reset)"))
}

/// Opens a session for the prefill at the next step and runs the steps that it can serve.
fn run_session(decoder: &mut Qwen35CpuDecoder, steps: &[Step], sequence: u64, ids: &[u32], record: &mut Record) {
    record.displaced.remove(&sequence);
    record.broken.remove(&sequence);
    let rest = &steps[record.steps.len() + 1..];
    let room = decoder.model().max_context().saturating_sub(ids.len());
    let request = session_request(decoder, ids.to_vec(), decodes(rest, sequence).min(room));
    let mut session = match guard(|| ForcedSession::open(decoder, &request)) {
        Ok(session) => session,
        Err(fault) => {
            record.broken.insert(sequence);
            return record.push(Err(fault));
        }
    };
    let mut alive = run_step(record, sequence, |logits| session.prefill(logits));
    for step in rest {
        if !alive {
            break;
        }
        match &step.action {
            Action::Unknown(op) => record.push(Err(unknown_step(op))),
            Action::Decode(id) if step.sequence == sequence => {
                alive = run_step(record, sequence, |logits| session.decode(*id, logits));
            }
            Action::Decode(_) => record.push_without_session(step.sequence),
            Action::Prefill(_) if step.sequence == sequence => {
                record.push(Err(Fault::unsupported("the engine has no chunked prefill: reset the sequence first")));
            }
            Action::Prefill(_) => {
                record.displaced.insert(sequence);
                break;
            }
            Action::Reset if step.sequence == sequence => break,
            Action::Reset => record.reset(step.sequence),
        }
    }
    session.count(&mut record.counters);
}

/// How many decode steps a session must have room for: those before the sequence is reset.
fn decodes(steps: &[Step], sequence: u64) -> usize {
    let own = steps.iter().filter(|step| step.sequence == sequence);
    own.take_while(|step| !matches!(step.action, Action::Reset))
        .filter(|step| matches!(step.action, Action::Decode(_)))
        .count()
}

/// Runs one step of the open session. A failed step ends it, for its state is then unknown.
fn run_step(record: &mut Record, sequence: u64, body: impl FnOnce(&mut Vec<f32>) -> Result<(), Fault>) -> bool {
    let mut logits = Vec::new();
    let result = guard(|| body(&mut logits));
    let alive = result.is_ok();
    if !alive {
        record.broken.insert(sequence);
    }
    record.push(result.map(|()| logits));
    alive
}
