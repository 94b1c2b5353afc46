//! lattice's own quantisers on a checkpoint, so that crosscheck's formats can be compared with the files of a released
//! lattice byte for byte.
//! Usage: lattice-converter FOLDER OUTPUT SEED
//!   OUTPUT/quarot   the folder that lattice's QuaRot converter writes (rotated, symmetric Q4)
//!   OUTPUT/q4       one file NAME.q4 for each matrix, asymmetric, not rotated

use std::error::Error;
use std::path::Path;

use lattice_arch::qwen35_config::Qwen35Config;
use lattice_arch::qwen35_tensors::qwen_required_tensor_names;
use lattice_quant::quarot::QuarotTensorReader;
use lattice_quant::quarot::convert::{ConversionOptions, convert_quarot_qwen35};
use lattice_weights::q4_weights::{quantize_f64_to_q4_mode, save_q4_file};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, output, seed] = arguments.as_slice() else { return Err("usage: FOLDER OUTPUT SEED".into()) };
    let (folder, output) = (Path::new(folder), Path::new(output));
    asymmetric(folder, &output.join("q4"))?;
    let options = ConversionOptions { rotation_seed: seed.parse()?, ..ConversionOptions::default() };
    let report = convert_quarot_qwen35(folder, &output.join("quarot"), &options)?;
    println!("{} tensors in Q4, {} in f16", report.planned_quantized, report.kept_f16);
    Ok(())
}

fn asymmetric(folder: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(output)?;
    let config = Qwen35Config::from_config_json_str(&std::fs::read_to_string(folder.join("config.json"))?)?;
    let reader = QuarotTensorReader::open(folder)?;
    for name in qwen_required_tensor_names(&config) {
        let (values, shape) = reader.read_tensor_f64(&name)?;
        if shape.len() == 2 {
            save_q4_file(&output.join(name + ".q4"), &quantize_f64_to_q4_mode(&values, &shape, false)?)?;
        }
    }
    Ok(())
}
