//! Reproduces finding 7 without crosscheck: greedy tokens of one prompt from f32, f16, int8 and Q8_0 weights, with the
//! head of the checkpoint and with the embedding as head (the same files, tie_word_embeddings = true).
//! Usage: cargo run --release --locked --bin formats -- FOLDER TEXT TOKENS   (a folder with tie_word_embeddings = false)

use std::path::{Path, PathBuf};

use lattice_inference::forward::{cpu_f16, cpu_q8, neon_forward};
use lattice_inference::model::qwen35::Qwen35Model;
use lattice_inference::rope::RopeTable;
use lattice_inference::weights::{f16_weights::load_f16_weights, f32_weights::SafetensorsFile};
use lattice_inference::{GenerateConfig, GenerateOutput, InferenceError};

type Tokens = Result<GenerateOutput, InferenceError>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text, count] = arguments.as_slice() else { return Err("usage: FOLDER TEXT TOKENS".into()) };
    let copy = tied_copy(Path::new(folder))?;
    let answers = [Path::new(folder), &copy].map(|folder| generate(folder, text, count.parse().unwrap_or(1)));
    std::fs::remove_dir_all(&copy)?;
    let [own, tied] = answers;
    println!("expected: a head that is not the embedding changes the tokens of every format, as it does those of f32");
    for ((format, own), (_, tied)) in own?.into_iter().zip(tied?) {
        let seen = if own == tied { "the same" } else { "they differ" };
        println!("{format}: own head {own}, embedding as head {tied}: {seen}");
    }
    Ok(())
}

fn tied_copy(folder: &Path) -> std::io::Result<PathBuf> {
    let copy = std::env::temp_dir().join(format!("lattice-repro-{}", std::process::id()));
    std::fs::create_dir(&copy)?;
    for name in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(folder.join(name), copy.join(name))?;
    }
    let config = std::fs::read_to_string(folder.join("config.json"))?.replace("\": ", "\":");
    std::fs::write(copy.join("config.json"), config.replace("embeddings\":false", "embeddings\":true"))?;
    Ok(copy)
}

fn generate(folder: &Path, text: &str, count: usize) -> Result<[(&'static str, String); 4], InferenceError> {
    let model = Qwen35Model::from_safetensors(folder)?;
    let (cfg, tokenizer) = (model.config(), model.tokenizer());
    let rope = RopeTable::new(cfg.rope_dim(), model.max_context(), cfg.rope_theta);
    let mut greedy = GenerateConfig::default();
    (greedy.temperature, greedy.top_k, greedy.top_p, greedy.repetition_penalty) = (0.0, 0, 1.0, 1.0);
    (greedy.max_new_tokens, greedy.stop_token_ids) = (count, Vec::new());
    let f16 = load_f16_weights(&SafetensorsFile::open(&folder.join("model.safetensors"))?, cfg)?;
    let int8 = cpu_q8::quantize_from_model(&model)?;
    let q8_0 = neon_forward::quantize_model(model.weights(), cfg)
        .and_then(|q8_0| neon_forward::generate_q8_neon(&q8_0, cfg, tokenizer, &rope, text, &greedy));
    let show =
        |tokens: Tokens| tokens.map_or_else(|error| error.to_string(), |output| format!("{:?}", output.token_ids));
    let f16 = cpu_f16::generate_f16(&f16, cfg, tokenizer, &rope, text, &greedy);
    let int8 = cpu_q8::generate_q8(&int8, cfg, tokenizer, &rope, text, &greedy);
    Ok([("f32", show(model.generate(text, &greedy))), ("f16", show(f16)), ("int8", show(int8)), ("q8_0", show(q8_0))])
}
