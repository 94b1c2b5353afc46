//! Reproduces findings on weight formats without crosscheck: greedy tokens of one prompt from f32, f16, int8 and Q8_0
//! weights. Usage: cargo run --release --locked --bin formats -- FOLDER TEXT TOKENS

use std::path::Path;

use lattice_inference::forward::{cpu_f16, cpu_q8, neon_forward};
use lattice_inference::model::qwen35::Qwen35Model;
use lattice_inference::rope::RopeTable;
use lattice_inference::weights::{f16_weights::load_f16_weights, f32_weights::SafetensorsFile};
use lattice_inference::{GenerateConfig, GenerateOutput, InferenceError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text, tokens] = arguments.as_slice() else { return Err("usage: FOLDER TEXT TOKENS".into()) };
    let model = Qwen35Model::from_safetensors(Path::new(folder))?;
    let (cfg, tokenizer) = (model.config(), model.tokenizer());
    let rope = RopeTable::new(cfg.rope_dim(), model.max_context(), cfg.rope_theta);
    let mut greedy = GenerateConfig::default();
    (greedy.temperature, greedy.top_k, greedy.top_p, greedy.repetition_penalty) = (0.0, 0, 1.0, 1.0);
    (greedy.max_new_tokens, greedy.stop_token_ids) = (tokens.parse()?, Vec::new());
    println!("tied head: {}, convolution kernel: {}", cfg.tie_word_embeddings, cfg.linear_conv_kernel_dim);
    show("f32", model.generate(text, &greedy));
    let f16 = load_f16_weights(&SafetensorsFile::open(&Path::new(folder).join("model.safetensors"))?, cfg)?;
    show("f16", cpu_f16::generate_f16(&f16, cfg, tokenizer, &rope, text, &greedy));
    let int8 = cpu_q8::quantize_from_model(&model)?;
    show("int8", cpu_q8::generate_q8(&int8, cfg, tokenizer, &rope, text, &greedy));
    let q8_0 = neon_forward::quantize_model(model.weights(), cfg);
    let generated = q8_0.and_then(|q8_0| neon_forward::generate_q8_neon(&q8_0, cfg, tokenizer, &rope, text, &greedy));
    show("q8_0", generated);
    Ok(())
}

fn show(format: &str, output: Result<GenerateOutput, InferenceError>) {
    match output {
        Ok(output) => println!("{format}: {:?}", output.token_ids),
        Err(error) => println!("{format}: refused: {error}"),
    }
}
