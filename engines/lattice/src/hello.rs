//! `hello`: what this build of the shim is and what its version of the engine can do.

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::frame::Answer;
use crate::probe;
use crate::request::{self, Fields};

/// The version of lattice-inference in the lock file.
pub const VERSION: &str = env!("CROSSCHECK_LATTICE_VERSION");
const BUILD: &str = env!("CROSSCHECK_LATTICE_BUILD");

/// The code paths of `logits`.
pub fn paths() -> Vec<&'static str> {
    let mut paths = vec!["prompt"];
    if cfg!(has_readout) {
        paths.push("readout");
    }
    if cfg!(has_sessions) {
        paths.push("session");
    }
    paths
}

fn extensions() -> Vec<&'static str> {
    let mut extensions = vec!["core", "model/1", "generate/1", "sampler/1", "lora/1"];
    if cfg!(has_sessions) {
        extensions.insert(2, "session/1");
        extensions.push("tokenizer/1");
    }
    extensions
}

fn families() -> Vec<&'static str> {
    let mut families = vec!["qwen3_5", "qwen3_5_moe"];
    if cfg!(has_ernie) {
        families.insert(1, "llama");
    }
    families
}

pub fn answer(fields: &Fields) -> Result<Answer, Fault> {
    if let Some(versions) = request::optional(fields, "protocol") {
        let versions = versions.as_array().ok_or_else(|| Fault::bad_request("\"protocol\" is not an array"))?;
        if !versions.contains(&Value::from(1)) {
            return Err(Fault::unsupported("this engine speaks protocol 1"));
        }
    }
    Ok(Answer::head(json!({
        "protocol": 1,
        "name": "lattice",
        "version": VERSION,
        "build": BUILD,
        "extensions": extensions(),
        "environment": {"cpu": cpu_features(), "rustc": env!("CROSSCHECK_RUSTC")},
        "limits": {
            "masks": false,
            "batched": false,
            "chunked_prefill": false,
            "logit_bias": false,
            "min_p": cfg!(has_min_p),
            "sampler_history": cfg!(has_seed_history),
            "logprobs": cfg!(has_stop_reason),
            "stream": cfg!(has_streaming),
            "hidden": cfg!(has_final_hidden),
            "hidden_of_one_token": cfg!(has_embed_tokens),
            "hidden_of_f16": cfg!(has_f16_hidden),
            "storage": ["F32", "BF16", "F16"],
            "families": families(),
            "tied_families": ["qwen3_5", "qwen3_5_moe"],
            "paths": paths(),
            "taps": probe::stage_names(),
        },
    })))
}

/// The instruction sets between which lattice's kernels choose at run time.
fn cpu_features() -> Vec<&'static str> {
    let mut features = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    for (name, present) in [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ] {
        if present {
            features.push(name);
        }
    }
    features
}
