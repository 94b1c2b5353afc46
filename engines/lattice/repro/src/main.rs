//! Reproduces a finding without crosscheck: last-position logits of a checkpoint folder by each code path of lattice.
//! Usage: cargo run --release --locked -- FOLDER PREFILL ID…   (the session prefills PREFILL ids, then decodes the rest)

use std::{cell::RefCell, path::Path};

use lattice_arch::decoder::{AcceptedToken, SelectOutcome, SelectionRequest, SessionRequest};
use lattice_inference::family::{DecoderModel, Qwen35CpuDecoder};
use lattice_inference::model::qwen35::{PrefillInput, Qwen35Model};
use lattice_inference::{GenerateConfig, InferenceError};

type Logits = Result<Vec<f32>, InferenceError>;
type CodePath = fn(Qwen35Model, &[u32], usize) -> Logits;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, prefill, ids @ ..] = arguments.as_slice() else { return Err("usage: FOLDER PREFILL ID…".into()) };
    let ids = ids.iter().map(|id| id.parse()).collect::<Result<Vec<u32>, _>>()?;
    let prefill = prefill.parse::<usize>()?.min(ids.len());
    let paths: [(_, CodePath); 3] =
        [("prompt", |model, ids, _| model.forward_prompt_debug(ids)), ("readout", readout), ("session", session)];
    for (name, path) in paths {
        let model = Qwen35Model::from_safetensors(Path::new(folder))?;
        // A panic ends one path, not the program.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| path(model, &ids, prefill))) {
            Ok(Ok(logits)) => println!("{name}: {logits:?}"),
            Ok(Err(error)) => println!("{name}: refused: {error}"),
            Err(_) => println!("{name}: panic"),
        }
    }
    Ok(())
}

fn readout(model: Qwen35Model, ids: &[u32], _prefill: usize) -> Logits {
    let (rows, last): (Vec<u32>, _) = ((0..model.config().vocab_size as u32).collect(), [ids.len().saturating_sub(1)]);
    let groups = rows.chunks(255).map(|rows| model.prefill_readout(PrefillInput::TokenIds(ids), &last, rows));
    Ok(groups.collect::<Result<Vec<_>, _>>()?.concat().concat())
}

fn session(model: Qwen35Model, ids: &[u32], prefill: usize) -> Logits {
    let mut config = GenerateConfig::default();
    (config.temperature, config.top_k, config.top_p, config.repetition_penalty) = (0.0, 0, 1.0, 1.0);
    config.max_new_tokens = ids.len() - prefill;
    let request = SessionRequest::new(ids[..prefill].to_vec(), config.clone(), model.config().eos_token_id);
    let mut decoder = Qwen35CpuDecoder::new(model);
    let mut session = decoder.session(&request)?;
    let logits = RefCell::new(Vec::new());
    let copy = |row: &mut [f32]| {
        logits.replace(row.to_vec());
        Ok(())
    };
    session.prefill(&|| false)?;
    for id in ids[prefill..].iter().map(Some).chain([None]) {
        let outcome = session.select(&SelectionRequest::new(&config, &[]).with_grammar_mask(&copy))?;
        if let (SelectOutcome::Candidate(chosen), Some(&id)) = (outcome, id) {
            session.decode(&AcceptedToken::new(id, chosen.prediction), &|| false)?;
        }
    }
    Ok(logits.take())
}
