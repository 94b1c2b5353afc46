//! Reproduces the findings about the sampler without crosscheck.
//! Usage: cargo run --release --locked --bin sampler -- FOLDER   (tests/golden/qwen35-tiny)

use std::collections::BTreeMap;

use lattice_inference::GenerateConfig;
use lattice_inference::model::qwen35::Qwen35Model;
use lattice_inference::sampling::{CandidateSet, Sampler, SamplingConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, folder] = &std::env::args().collect::<Vec<_>>()[..] else { return Err("usage: FOLDER".into()) };
    let model = Qwen35Model::from_safetensors(folder.as_ref())?;
    let mut law = GenerateConfig::default(); // nearly uniform over the vocabulary
    (law.temperature, law.top_k, law.top_p, law.repetition_penalty) = (100.0, 0, 1.0, 1.0);
    (law.max_new_tokens, law.stop_token_ids) = (1, Vec::new());
    let mut config = SamplingConfig::greedy();
    (config.temperature, config.top_k) = (1.0, 0);

    // Four equally likely tokens, the first draw of each seed: every token should come up about 2,500 times.
    let seconds = 1_700_000_000;
    let starts = [
        ("0, 1, 2, …", 0, 1),
        ("seconds", seconds, 1),
        ("5 us apart", seconds * 1_000_000_000, 5_000),
        ("far apart", 1, 0x9e37_79b9_7f4a_7c15_u64),
    ];
    for (name, start, step) in starts {
        let mut counts = BTreeMap::<u32, u32>::new();
        for i in 0..10_000 {
            let token =
                Sampler::new(config.clone()).with_seed(step.wrapping_mul(i).wrapping_add(start)).sample(&[0.0; 4]);
            *counts.entry(token).or_default() += 1;
        }
        println!("seeds {name}: {counts:?}");
        let mut counts = BTreeMap::<Vec<u32>, u32>::new();
        for i in 0..1_000 {
            law.seed = Some(step.wrapping_mul(i).wrapping_add(start));
            *counts.entry(model.generate("a", &law)?.token_ids).or_default() += 1;
        }
        println!("  through generate: {counts:?}");
    }

    // Masked tokens must never be drawn; 1 - 2^-24 is the largest uniform that the sampler's stream produces.
    let largest = 1.0 - f32::EPSILON / 2.0;
    let mut masked = 0;
    for i in 0..1000_u16 {
        let logits = [0.0, -f32::from(i) / 100.0, -f32::from(i) / 200.0, f32::NEG_INFINITY];
        masked += u32::from(CandidateSet::from_full_logits(&logits).sample_min_p_top_p(0.0, 1.0, largest) == 3);
    }
    println!("largest uniform: the masked token is drawn for {masked} of 1000 laws");
    Ok(())
}
