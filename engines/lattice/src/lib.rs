//! The engine `lattice` behind crosscheck's C ABI (engines/engine_abi.h): one version of lattice-inference, Qwen3.5
//! and ERNIE 4.5 (as Llama) on the CPU. The build script names what that version offers; where it lacks something, a module
//! `without_…` stands in and answers `unsupported`.
//!
//! Nothing is checked here that the engine checks itself: an input that it rejects is `refused` with its error type, an
//! input that makes it panic is `internal`.

#[cfg_attr(not(has_sessions), path = "tune_adapter.rs")]
mod adapter;
mod counters;
mod engine;
#[cfg_attr(not(has_ernie), path = "without_ernie.rs")]
mod ernie;
#[cfg_attr(not(has_f16_hidden), path = "without_f16_hidden.rs")]
mod f16_hidden;
mod fault;
mod formats;
mod frame;
mod generate;
mod hello;
mod logits;
mod probe;
#[cfg_attr(not(has_readout), path = "without_readout.rs")]
mod readout;
mod request;
mod sampler;
#[cfg_attr(not(has_sessions), path = "without_sessions.rs")]
mod sessions;
mod text;
#[cfg_attr(not(has_sessions), path = "without_tokenizer.rs")]
mod tokenizer_ops;
mod versions;

use std::ffi::c_void;

use serde_json::Value;

use engine::Engine;
use fault::{guard, install_quiet_panic_hook};

const ABI_VERSION: u32 = 1;

/// `xck_arena`: memory of the caller for one reply.
#[repr(C)]
pub struct Arena {
    data: *mut u8,
    size: u64,
    capacity: u64,
    context: *mut c_void,
    grow: Option<unsafe extern "C" fn(arena: *mut Arena, size: u64) -> i32>,
}

/// The caller's bytes, or none when there are none.
///
/// # Safety
/// `data` points to `size` readable bytes when `size` is not zero.
unsafe fn bytes<'a>(data: *const u8, size: u64) -> &'a [u8] {
    if data.is_null() || size == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(data, size as usize) }
}

/// Makes room for `size` bytes and lets `write` fill them. Non-zero when the arena is exhausted.
///
/// # Safety
/// `arena` is a valid arena of the caller.
unsafe fn reply(arena: *mut Arena, size: usize, write: impl FnOnce(&mut [u8])) -> i32 {
    unsafe {
        if (*arena).capacity < size as u64 {
            let Some(grow) = (*arena).grow else { return 1 };
            if grow(arena, size as u64) != 0 || (*arena).capacity < size as u64 {
                return 1;
            }
        }
        if (*arena).data.is_null() {
            return 1;
        }
        write(std::slice::from_raw_parts_mut((*arena).data, size));
        (*arena).size = size as u64;
    }
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn xck_abi_version() -> u32 {
    ABI_VERSION
}

#[unsafe(no_mangle)]
pub extern "C" fn xck_coverage_ready() -> i32 {
    cfg!(coverage_counters).into()
}

/// # Safety
/// As engines/engine_abi.h says: `options` has `size` bytes, `engine` and `error` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xck_open(options: *const u8, size: u64, engine: *mut *mut Engine, error: *mut Arena) -> i32 {
    install_quiet_panic_hook();
    let options = unsafe { bytes(options, size) };
    match guard(|| Engine::open(options)) {
        Ok(opened) => {
            unsafe { *engine = Box::into_raw(Box::new(opened)) };
            0
        }
        Err(fault) => {
            if !error.is_null() {
                let text = fault.message.as_bytes();
                unsafe { reply(error, text.len(), |out| out.copy_from_slice(text)) };
            }
            1
        }
    }
}

/// # Safety
/// `engine` comes from `xck_open`, `request` has `size` bytes, `arena` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xck_call(engine: *mut Engine, request: *const u8, size: u64, arena: *mut Arena) -> i32 {
    let (engine, request) = unsafe { (&mut *engine, bytes(request, size)) };
    let mut id = Value::from(0);
    let result = guard(|| engine.answer(request, &mut id));
    let encoded = frame::encode(&id, result);
    unsafe { reply(arena, encoded.size, |out| encoded.write_to(out)) }
}

/// # Safety
/// `engine` comes from `xck_open` and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xck_close(engine: *mut Engine) {
    if !engine.is_null() {
        let engine = unsafe { Box::from_raw(engine) };
        // Freeing cannot fail in a way that anyone could be told of.
        let _ = guard(move || {
            drop(engine);
            Ok(())
        });
    }
}
