//! Logits of all positions from one prefill.

use lattice_inference::model::Qwen35Model;
use lattice_inference::model::qwen35::PrefillInput;

use crate::counters::Counters;
use crate::fault::Fault;

/// The engine reads at most this many rows of the head in one call.
const READOUT_ROWS: usize = 255;

/// [positions, vocab], from one prefill for each group of vocabulary rows.
pub fn all_positions(model: &Qwen35Model, ids: &[u32], counters: &mut Counters) -> Result<Vec<f32>, Fault> {
    let vocab = model.config().vocab_size;
    let slots: Vec<usize> = (0..ids.len()).collect();
    let rows: Vec<u32> = (0..vocab as u32).collect();
    let mut values = vec![0.0; ids.len() * vocab];
    for (group, rows) in rows.chunks(READOUT_ROWS).enumerate() {
        let start = group * READOUT_ROWS;
        let read = model.prefill_readout(PrefillInput::TokenIds(ids), &slots, rows)?;
        for (position, row) in read.iter().enumerate() {
            values[position * vocab + start..][..rows.len()].copy_from_slice(row);
        }
    }
    counters.readout += ids.len();
    Ok(values)
}
