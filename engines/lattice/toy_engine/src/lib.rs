//! An engine with one defect, deep behind conditions on the token ids: ci/engine_counters.py looks at the coverage counters of each
//! step towards it. It answers nothing else.

use std::ffi::c_void;

use serde_json::{Value, json};

/// Whether the ids have the given remainders of 4, in this order. One function for each step, so that a search that sees the counters
/// of this library climbs step by step, and one that does not has to hit all at once.
macro_rules! steps {
    ($step:ident $remainder:literal) => {
        #[inline(never)]
        fn $step(ids: &[u64]) -> bool {
            ids.first().is_some_and(|id| id % 4 == $remainder)
        }
    };
    ($step:ident $remainder:literal, $next:ident $($rest:tt)*) => {
        #[inline(never)]
        fn $step(ids: &[u64]) -> bool {
            ids.first().is_some_and(|id| id % 4 == $remainder) && $next(&ids[1..])
        }
        steps!($next $($rest)*);
    };
}
steps!(is_planted 2, second 1, third 3, fourth 1, fifth 2, sixth 3, seventh 3, eighth 1, ninth 2, tenth 1, eleventh 3, twelfth 2);

/// `xck_arena` of engines/engine_abi.h.
#[repr(C)]
pub struct Arena {
    data: *mut u8,
    size: u64,
    capacity: u64,
    context: *mut c_void,
    grow: Option<unsafe extern "C" fn(arena: *mut Arena, size: u64) -> i32>,
}

fn failure(code: &str, message: &str) -> Value {
    json!({"ok": false, "error": {"code": code, "message": message, "type": ""}})
}

fn load(request: &Value) -> Value {
    let path = request["path"].as_str().unwrap_or_default();
    let text = std::fs::read_to_string(format!("{path}/config.json")).unwrap_or_default();
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let vocab = config["text_config"]["vocab_size"].as_u64().or(config["vocab_size"].as_u64());
    let context = config["text_config"]["max_position_embeddings"].as_u64();
    json!({"ok": true, "model": "toy", "vocab": vocab.unwrap_or(1), "context": context.unwrap_or(1), "paths": ["prompt"],
           "echo": {}})
}

fn logits(request: &Value) -> Value {
    for sequence in request["sequences"].as_array().unwrap_or(&Vec::new()) {
        let ids = sequence["ids"].as_array().map(|ids| ids.iter().map(|id| id.as_u64().unwrap_or(0)).collect());
        let ids: Vec<u64> = ids.unwrap_or_default();
        if is_planted(&ids) {
            return failure("internal", "the planted defect");
        }
    }
    failure("unsupported", "the toy computes nothing")
}

fn answer(request: &Value) -> Value {
    match request["op"].as_str().unwrap_or_default() {
        "hello" => json!({"ok": true, "protocol": 1, "name": "toy", "version": "1", "build": "", "environment": {},
            "extensions": ["core", "model/1"], "limits": {"storage": ["F32"], "families": ["qwen3_5"], "paths": ["prompt"]}}),
        "load" => load(request),
        "unload" => json!({"ok": true}),
        "logits" => logits(request),
        _ => failure("unsupported", "the toy computes nothing"),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn xck_abi_version() -> u32 {
    1
}

/// # Safety
/// As engines/engine_abi.h says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xck_open(_: *const u8, _: u64, engine: *mut *mut u8, _: *mut Arena) -> i32 {
    unsafe { *engine = Box::into_raw(Box::new(0)) };
    0
}

/// # Safety
/// As engines/engine_abi.h says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xck_call(_: *mut u8, request: *const u8, size: u64, arena: *mut Arena) -> i32 {
    let frame = unsafe { std::slice::from_raw_parts(request, size as usize) };
    let head_bytes = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
    let request: Value = serde_json::from_slice(&frame[16..16 + head_bytes]).unwrap_or_default();
    let mut head = answer(&request);
    head["id"] = request["id"].clone();
    let head = head.to_string();
    let mut reply = b"XCK1".to_vec();
    reply.extend((head.len() as u32).to_le_bytes());
    reply.extend(0u64.to_le_bytes());
    reply.extend(head.as_bytes());
    unsafe {
        if (*arena).capacity < reply.len() as u64 {
            let Some(grow) = (*arena).grow else { return 1 };
            if grow(arena, reply.len() as u64) != 0 {
                return 1;
            }
        }
        std::ptr::copy_nonoverlapping(reply.as_ptr(), (*arena).data, reply.len());
        (*arena).size = reply.len() as u64;
    }
    0
}

/// # Safety
/// As engines/engine_abi.h says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xck_close(engine: *mut u8) {
    drop(unsafe { Box::from_raw(engine) });
}
