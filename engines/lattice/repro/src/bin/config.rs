//! Reproduces findings L1 to L3 without crosscheck: edits of config.json and the model that lattice loads then.
//! Usage: cargo run --release --locked --bin config -- FOLDER   (tests/golden/qwen35-base)

use std::path::Path;

use lattice_inference::InferenceError;
use lattice_inference::model::qwen35::Qwen35Model;

// Name, what Transformers makes of it, replacements.
struct Edit(&'static str, &'static str, &'static [(&'static str, &'static str)]);

const THETA: &str = "\"rope_theta\": 10000.0,";
const TIE: &str = "\"tie_word_embeddings\": false,";
const EDITS: &[Edit] = &[
    Edit("as it is", "a model of its own", &[]),
    Edit("rope_theta 1e7", "a model of its own", &[(THETA, "\"rope_theta\": 10000000.0,")]),
    Edit("tied", "a model of its own", &[(TIE, "\"tie_word_embeddings\": true,")]),
    Edit("rope_theta absent", "as it is, the class default is 1e4", &[(THETA, "")]),
    Edit("tie_word_embeddings absent", "as it is, the class default is false", &[(TIE, "")]),
    Edit("num_key_value_heads absent", "refused, default 4, tensors of 2", &[("\"num_key_value_heads\": 2,", "")]),
    Edit("hidden_act gelu", "a model of its own", &[("\"silu\"", "\"gelu\"")]),
    Edit("rope_type linear", "a model of its own", &[("\"default\"", "\"linear\", \"factor\": 2.0")]),
    Edit("rope_scaling", "a model of its own", &[("\"rope_parameters\"", SCALING)]),
];
const SCALING: &str = "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}, \"rope_parameters\"";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, folder] = &std::env::args().collect::<Vec<_>>()[..] else { return Err("usage: FOLDER".into()) };
    let config = std::fs::read_to_string(Path::new(folder).join("config.json"))?;
    let copy = std::env::temp_dir().join(format!("lattice-repro-{}", std::process::id()));
    std::fs::create_dir(&copy)?;
    for name in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(Path::new(folder).join(name), copy.join(name))?;
    }
    let mut seen: Vec<(&str, Vec<f32>)> = Vec::new();
    for Edit(name, right, replacements) in EDITS {
        let edited = replacements.iter().fold(config.clone(), |text, (old, new)| text.replace(old, new));
        std::fs::write(copy.join("config.json"), edited)?;
        match logits(&copy) {
            Err(error) => println!("{name}: refused: {error}"),
            Ok(logits) => {
                let twin =
                    seen.iter().find(|(_, earlier)| *earlier == logits).map_or("a model of its own", |(name, _)| name);
                println!("{name}: {:?}…: {twin} (right: {right})", &logits[..2]);
                seen.push((name, logits));
            }
        }
    }
    Ok(std::fs::remove_dir_all(&copy)?)
}

fn logits(folder: &Path) -> Result<Vec<f32>, InferenceError> {
    Qwen35Model::from_safetensors(folder)?.forward_prompt_debug(&[1, 2, 3, 4, 5, 6])
}
