//! Reproduces the findings about the sampler without crosscheck. Usage: cargo run --release --locked --bin sampler

use std::collections::BTreeMap;

use lattice_inference::sampling::{CandidateSet, Sampler, SamplingConfig};

fn main() {
    let mut config = SamplingConfig::greedy();
    (config.temperature, config.top_k) = (1.0, 0);

    // Four equally likely tokens, the first draw of each seed: every token should come up about 2,500 times.
    let seconds = 1_700_000_000;
    let starts = [("0, 1, 2, …", 0, 1), ("seconds", seconds, 1), ("5 us apart", seconds * 1_000_000_000, 5_000)];
    for (name, start, step) in starts {
        let mut counts = BTreeMap::<u32, u32>::new();
        for i in 0..10_000 {
            let token = Sampler::new(config.clone()).with_seed(start + step * i).sample(&[0.0; 4]);
            *counts.entry(token).or_default() += 1;
        }
        println!("seeds {name}: {counts:?}");
    }

    // Masked tokens must never be drawn; 1 - 2^-24 is the largest uniform that the sampler's stream produces.
    let largest = 1.0 - f32::EPSILON / 2.0;
    let mut masked = 0;
    for i in 0..1000_u16 {
        let logits = [0.0, -f32::from(i) / 100.0, -f32::from(i) / 200.0, f32::NEG_INFINITY];
        masked += u32::from(CandidateSet::from_full_logits(&logits).sample_min_p_top_p(0.0, 1.0, largest) == 3);
    }
    println!("largest uniform: the masked token is drawn for {masked} of 1000 laws");
}
