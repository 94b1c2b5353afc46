//! Reproduces a finding without crosscheck: one decoder session, call by call.
//! Usage: cargo run --release --locked --bin session -- FOLDER BUDGET ID,ID,… CALL…
//! CALL: prefill, select, finish, or decode=ID, which takes the prediction of the last select.

use std::{panic::AssertUnwindSafe, path::Path};

use lattice_arch::decoder::{
    AcceptedToken, DecoderSession, FinishDisposition, PredictionId, SelectOutcome, SelectionRequest, SessionRequest,
};
use lattice_inference::family::{DecoderModel, Qwen35CpuDecoder};
use lattice_inference::model::qwen35::Qwen35Model;
use lattice_inference::{GenerateConfig, InferenceError};

type Seen = Result<String, InferenceError>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, budget, ids, calls @ ..] = arguments.as_slice() else { return Err("usage: see the source".into()) };
    let mut config = GenerateConfig::default();
    (config.temperature, config.top_k, config.top_p, config.repetition_penalty) = (0.0, 0, 1.0, 1.0);
    config.max_new_tokens = budget.parse()?;
    let ids = ids.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let model = Qwen35Model::from_safetensors(Path::new(folder))?;
    let request = SessionRequest::new(ids, config.clone(), model.config().eos_token_id);
    let mut decoder = Qwen35CpuDecoder::new(model);
    let mut session = decoder.session(&request)?;
    let mut live = None;
    for call in calls {
        let run = AssertUnwindSafe(|| run(session.as_mut(), call, &config, &mut live));
        match std::panic::catch_unwind(run) {
            Ok(Ok(seen)) => println!("{call}: {seen}"),
            Ok(Err(error)) => println!("{call}: refused: {error}"),
            Err(_) => println!("{call}: panic"),
        }
    }
    Ok(())
}

fn run(session: &mut dyn DecoderSession, call: &str, config: &GenerateConfig, live: &mut Option<PredictionId>) -> Seen {
    if let Some(id) = call.strip_prefix("decode=") {
        let accepted = AcceptedToken::new(id.parse().expect("an id"), live.expect("a select before decode"));
        return session.decode(&accepted, &|| false).map(|stamp| format!("{} evaluated", stamp.evaluated_len));
    }
    match call {
        "prefill" => session.prefill(&|| false).map(|stamp| format!("{} evaluated", stamp.evaluated_len)),
        "finish" => session.finish(FinishDisposition::Reusable).map(|()| "accepted".into()),
        _ => session.select(&SelectionRequest::new(config, &[])).map(|outcome| {
            let SelectOutcome::Candidate(chosen) = outcome else { return "no candidate".into() };
            *live = Some(chosen.prediction);
            format!("candidate {}", chosen.candidate_id)
        }),
    }
}
