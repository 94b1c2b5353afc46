//! Checked access to the fields of a request: a missing or wrongly typed field is `bad_request`.

use serde_json::{Map, Value};

use crate::fault::Fault;

pub type Fields = Map<String, Value>;

fn wrong(name: &str, expected: &str) -> Fault {
    Fault::bad_request(format!("field \"{name}\" is missing or not {expected}"))
}

/// A field that may be absent or null.
pub fn optional<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

pub fn text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Fault> {
    fields.get(name).and_then(Value::as_str).ok_or_else(|| wrong(name, "a string"))
}

pub fn unsigned(fields: &Fields, name: &str) -> Result<u64, Fault> {
    fields.get(name).and_then(Value::as_u64).ok_or_else(|| wrong(name, "an unsigned integer"))
}

pub fn array<'a>(fields: &'a Fields, name: &str) -> Result<&'a [Value], Fault> {
    fields.get(name).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| wrong(name, "an array"))
}

pub fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Fields, Fault> {
    value.as_object().ok_or_else(|| Fault::bad_request(format!("{what} is not an object")))
}

/// Absent means false.
pub fn flag(fields: &Fields, name: &str) -> Result<bool, Fault> {
    match optional(fields, name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong(name, "true or false")),
    }
}

pub fn number(fields: &Fields, name: &str) -> Result<f64, Fault> {
    fields.get(name).and_then(Value::as_f64).ok_or_else(|| wrong(name, "a number"))
}

/// Whether a program's logits are wanted.
#[cfg(has_ernie)]
pub fn wants_logits(fields: &Fields) -> Result<bool, Fault> {
    let mut logits = false;
    for want in array(fields, "want")? {
        match want.as_str() {
            Some("logits") => logits = true,
            _ => return Err(Fault::unsupported(format!("\"want\" holds {want} (the engine has \"logits\")"))),
        }
    }
    Ok(logits)
}

/// Lengths or flags: an array of unsigned integers.
pub fn counts(fields: &Fields, name: &str) -> Result<Vec<usize>, Fault> {
    let count = |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok());
    array(fields, name)?
        .iter()
        .map(|value| count(value).ok_or_else(|| wrong(name, "an array of unsigned integers")))
        .collect()
}

/// Random seeds: any 64 bits.
pub fn seeds(fields: &Fields, name: &str) -> Result<Vec<u64>, Fault> {
    let wrong = || wrong(name, "an array of unsigned integers");
    array(fields, name)?.iter().map(|value| value.as_u64().ok_or_else(wrong)).collect()
}

/// Token ids. Whether they are in the vocabulary is for the engine to say.
pub fn ids(fields: &Fields, name: &str) -> Result<Vec<u32>, Fault> {
    array(fields, name)?.iter().map(|value| token_id(value, name)).collect()
}

#[cfg(has_ernie)]
pub fn id(fields: &Fields, name: &str) -> Result<u32, Fault> {
    token_id(fields.get(name).unwrap_or(&Value::Null), name)
}

/// An integer that the engine's type of token ids cannot hold is rejected by that type.
fn token_id(value: &Value, name: &str) -> Result<u32, Fault> {
    if let Some(id) = value.as_u64().and_then(|id| u32::try_from(id).ok()) {
        return Ok(id);
    }
    if value.is_u64() || value.is_i64() {
        return Err(Fault::refused(format!("token id {value} does not fit u32"), "TryFromIntError"));
    }
    Err(Fault::bad_request(format!("\"{name}\" holds {value}, which is no token id")))
}
