//! Extension `safetensors/1`.

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::{Failure, bad_request};

/// Op `safetensors`: one U8 tensor `file` → `{valid: true, tensors: [{name, dtype, shape, data_offsets}]}` in the order
/// of the data, or `{valid: false, reason}`, as the crate `safetensors` reads it.
pub fn read(payload: &[u8]) -> Result<Value, Failure> {
    let message = SafeTensors::deserialize(payload).map_err(|error| bad_request(format!("payload: {error}")))?;
    let file = message.tensor("file").map_err(|error| bad_request(format!("payload: {error}")))?;
    let metadata = match SafeTensors::read_metadata(file.data()) {
        Ok((_, metadata)) => metadata,
        Err(error) => return Ok(json!({"valid": false, "reason": error.to_string()})),
    };
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (begin, end) = info.data_offsets;
        let dtype = info.dtype.to_string();
        tensors.push(json!({"name": name, "dtype": dtype, "shape": info.shape, "data_offsets": [begin, end]}));
    }
    Ok(json!({"valid": true, "tensors": tensors}))
}
