//! Which lattice this shim is built against, for `hello`, and what that version offers, as cfgs.

use std::path::Path;
use std::process::Command;

/// The first supported version with each part of the interface: the only place that states when it changed.
const SINCE: [(&str, [u32; 3]); 15] = [
    ("has_mtp", [0, 2, 2]),              // GenerateConfig::enable_mtp
    ("has_seed_history", [0, 4, 0]),     // Sampler::seed_history
    ("has_stopped", [0, 4, 0]),          // GenerateOutput::stopped
    ("has_streaming", [0, 4, 0]),        // Qwen35Model::generate_streaming
    ("has_final_hidden", [0, 4, 0]),     // Qwen35Model::forward_final_hidden
    ("has_stop_reason", [0, 5, 0]),      // GenerateOutput::{stop_reason, token_logprobs}, GenerateConfig::logprobs
    ("has_hook_checks", [0, 7, 0]),      // LoraHook::is_active
    ("has_f16_hidden", [0, 7, 0]),       // forward::cpu_f16::prefill_hidden_states_f16
    ("has_embed_tokens", [0, 7, 2]),     // Qwen35Model::embed_tokens
    ("has_projection_shape", [0, 9, 0]), // lora_hook::qwen35_projection_shape
    ("has_ernie", [0, 10, 0]),           // model::ernie45
    ("has_generation", [0, 11, 0]),      // lattice_inference::generation
    ("has_min_p", [0, 11, 0]),           // min_p in both configurations of sampling
    ("has_readout", [0, 12, 0]),         // Qwen35Model::prefill_readout
    ("has_sessions", [0, 15, 0]),        // decoder sessions, lattice-arch, lattice-lora
];

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let lock = Path::new(&folder).join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let version = locked_version(&std::fs::read_to_string(lock).expect("the package has a lock file"));
    println!("cargo::rustc-env=CROSSCHECK_LATTICE_VERSION={version}");
    println!("cargo::rustc-check-cfg=cfg(coverage_counters)"); // set by ci/cmake/coverage_rustc.sh
    let numbers: Vec<u32> = version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
    for (name, since) in SINCE {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if numbers.as_slice() >= since.as_slice() {
            println!("cargo::rustc-cfg={name}");
        }
    }
    println!("cargo::rustc-env=CROSSCHECK_RUSTC={}", compiler());
    println!("cargo::rustc-env=CROSSCHECK_LATTICE_BUILD={}", build(&Path::new(&folder).join("Cargo.toml")));
}

/// "release", whether the crates are those of a checkout, and the features that the manifest asks lattice-inference for.
fn build(manifest: &Path) -> String {
    println!("cargo::rerun-if-changed={}", manifest.display());
    let text = std::fs::read_to_string(manifest).expect("the package has a manifest");
    let line = text.lines().find(|line| line.starts_with("lattice-inference")).expect("the shim depends on the engine");
    let features = line.split_once("features = [").map_or("", |(_, rest)| rest.trim_end_matches([']', ' ', '}']));
    let name = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let checkout = if name.ends_with("-local") { ", local checkout" } else { "" };
    format!("release{checkout}, features {}", features.replace(['"', ','], ""))
}

/// The version of lattice-inference in a lock file.
fn locked_version(lock: &str) -> String {
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"lattice-inference\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.and_then(|rest| rest.strip_suffix('"')).expect("the lock file holds lattice-inference").into()
}

fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    text.unwrap_or_default().trim().into()
}
