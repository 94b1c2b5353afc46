//! Reproduces finding 6 without crosscheck: how the next token depends on the taps of the short convolution, for int8
//! weights (whose path sums, then shifts) and for Q8_0 weights (whose path shifts, then sums).
//! Usage: cargo run --release --locked --bin taps -- FOLDER TEXT   (each letter of TEXT is a prompt)

use std::path::Path;

use lattice_inference::forward::cpu_q8::{generate_q8, quantize_from_model};
use lattice_inference::forward::neon_forward::{Q8NeonAttentionWeights as Q80Layer, generate_q8_neon, quantize_model};
use lattice_inference::model::qwen35::Qwen35Model;
use lattice_inference::rope::RopeTable;
use lattice_inference::weights::q8_weights::Q8AttentionWeights as Int8Layer;
use lattice_inference::{GenerateConfig, InferenceError};

type Edit = fn(&mut [f32]); // of the taps of one channel, that of the new token last

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text] = arguments.as_slice() else { return Err("usage: FOLDER TEXT".into()) };
    let model = Qwen35Model::from_safetensors(Path::new(folder))?;
    let only_last: Edit = |taps| taps.split_last_mut().expect("a tap").1.fill(0.0);
    let swapped: Edit = |taps| taps.rchunks_mut(2).next().expect("a tap").reverse();
    println!("The other taps set to 0. Nothing stands before these prompts of one token: no answer may change.");
    text.chars().try_for_each(|prompt| compare(&model, &prompt.to_string(), only_last))?;
    println!("The last two taps swapped. New and previous token have a tap each: answers should change.");
    Ok(text.chars().try_for_each(|prompt| compare(&model, &prompt.to_string(), swapped))?)
}

fn compare(model: &Qwen35Model, prompt: &str, edit: Edit) -> Result<(), InferenceError> {
    let (plain, edited) = (next_token(model, prompt, |_| {})?, next_token(model, prompt, edit)?);
    for (i, format) in ["int8", "Q8_0"].into_iter().enumerate() {
        let seen = if plain[i] == edited[i] { "the same" } else { "changed" };
        println!("  {format}, prompt {prompt:?}: {:?} becomes {:?}: {seen}", plain[i], edited[i]);
    }
    Ok(())
}

fn next_token(model: &Qwen35Model, prompt: &str, edit: Edit) -> Result<[Vec<u32>; 2], InferenceError> {
    let (mut cfg, tokenizer) = (model.config().clone(), model.tokenizer());
    let rope = RopeTable::new(cfg.rope_dim(), model.max_context(), cfg.rope_theta);
    let (mut int8, mut q8_0) = (quantize_from_model(model)?, quantize_model(model.weights(), &cfg)?);
    let each = |taps: &mut [f32]| taps.chunks_mut(cfg.linear_conv_kernel_dim).for_each(edit);
    for ((int8, _), (q8_0, _)) in int8.layers.iter_mut().zip(&mut q8_0.layers) {
        if let (Int8Layer::Linear(int8), Q80Layer::Linear(q8_0)) = (int8, q8_0) {
            each(&mut int8.conv1d_weight);
            each(&mut q8_0.conv1d_weight);
        }
    }
    let mut greedy = GenerateConfig::default();
    (greedy.temperature, greedy.top_k, greedy.top_p, greedy.repetition_penalty) = (0.0, 0, 1.0, 1.0);
    (greedy.max_new_tokens, greedy.stop_token_ids, cfg.eos_token_id) = (1, Vec::new(), u32::MAX);
    let int8 = generate_q8(&int8, &cfg, tokenizer, &rope, prompt, &greedy)?.token_ids;
    Ok([int8, generate_q8_neon(&q8_0, &cfg, tokenizer, &rope, prompt, &greedy)?.token_ids])
}
